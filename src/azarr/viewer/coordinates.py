"""What stands at the edge of a picture: coordinates as text, times of CF, where ticks go. Knows NumPy and text; reads nothing."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Values: TypeAlias = npt.NDArray[Any]

SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
"""Of the units of CF, by their first letter; months and years have no fixed length there."""
DATE, CLOCK = r"(-?\d{1,4})-(\d{1,2})-(\d{1,2})", r"(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2}))?)?"
UNITS = rf"(d|days?|h|hours?|hrs?|min|minutes?|s|sec|seconds?)\s+since\s+{DATE}{CLOCK}.*"
REAL = ("", "standard", "gregorian", "proleptic_gregorian")
MONTHS = {
    "360_day": [30] * 12,
    "noleap": [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31],
    "all_leap": [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31],
}
"""Lengths of the months of calendars in which all years are alike."""
SHORT = {"degrees_north": "°N", "degree_north": "°N", "degrees_east": "°E", "degree_east": "°E", "degrees": "°"}
"""Units that are long for what they are."""
ALIKE = {"365_day": "noleap", "366_day": "all_leap"}


class Tick(NamedTuple):
    """A place along an axis, in elements from its start, and what stands there."""

    place: float
    text: str


@dataclass(frozen=True, slots=True)
class Coordinate:
    """The values along an axis, with the attributes that say what they are."""

    values: Values
    units: str = ""
    calendar: str = ""

    @property
    def is_time(self) -> bool:
        """Whether the values are shown as dates."""
        return self.values.dtype.kind == "M" or (self.values.dtype.kind in "iuf" and _epoch(self.units, self.calendar) is not None)

    @property
    def shown_units(self) -> str:
        """The units, where texts do not have them already."""
        return "" if self.is_time else SHORT.get(self.units, self.units)

    def text(self, index: int) -> str:
        """The value at `index`, to be read."""
        value = self.values[index]
        is_count = self.is_time and self.values.dtype.kind != "M"
        return cf_date(float(value), self.units, self.calendar) if is_count else plain(value)

    @property
    def numeric(self) -> npt.NDArray[np.float64] | None:
        """The values as numbers, if they rise or fall all along."""
        if self.values.dtype.kind not in "iuf" or self.is_time or len(self.values) < 2:
            return None
        steps = np.diff(self.values.astype(float))
        return self.values.astype(float) if bool(np.all(steps > 0) or np.all(steps < 0)) else None


def plain(value: Any) -> str:
    """A scalar as text: numbers in at most seven digits, all else as NumPy prints it."""
    if isinstance(value, (float, np.floating)):
        return f"{float(value):.7g}"  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, np.datetime64):
        return re.sub(r"( 00:00:00)?(\.0+)?$", "", re.sub(r"(?<=\d)T", " ", str(value)))  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, (bytes, np.bytes_)):
        return bytes(value).decode("utf-8", "replace")
    return str(value)


def _epoch(units: str, calendar: str) -> re.Match[str] | None:
    known = calendar.lower() in REAL or ALIKE.get(calendar.lower(), calendar.lower()) in MONTHS
    return re.fullmatch(UNITS, units.strip(), re.IGNORECASE) if known else None


def cf_date(value: float, units: str, calendar: str = "") -> str:
    """The date that `value` is in units such as "hours since 1970-01-01", in a calendar of CF; with the time if it is not midnight."""
    found = _epoch(units, calendar)
    if found is None or not math.isfinite(value):
        return plain(value)
    year, month, day, *clock = (int(part or 0) for part in found.groups()[1:])
    begins = sum(part * scale for part, scale in zip(clock, (3600, 60, 1), strict=True))
    days, seconds = divmod(round(value * SECONDS[found[1][0].lower()]) + begins, 86400)
    months = MONTHS.get(ALIKE.get(calendar.lower(), calendar.lower()))
    if months is None:
        date = str(np.datetime64(f"{year:04d}-{month:02d}-{day:02d}") + np.timedelta64(days, "D"))
    else:
        year, rest = divmod(year * sum(months) + sum(months[: month - 1]) + day - 1 + days, sum(months))
        starts = np.cumsum([0, *months])
        month = int(np.searchsorted(starts, rest, side="right"))
        date = f"{year:04d}-{month:02d}-{rest - int(starts[month - 1]) + 1:02d}"
    return date if not seconds else f"{date} {seconds // 3600:02d}:{seconds // 60 % 60:02d}" + f":{seconds % 60:02d}" * bool(seconds % 60)


def round_steps(low: float, high: float, most: int) -> npt.NDArray[np.float64]:
    """Numbers from `low` to `high` that are good to read, multiples of 1, 2 or 5 with zeros; at most `most` steps."""
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        return np.array([low])
    ten = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(ten * times for times in (1, 2, 5, 10, 20) if (high - low) / (ten * times) <= most)
    return np.arange(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1).astype(float) * step


def ticks(coordinate: Coordinate | None, start: int, stop: int, most: int = 6) -> list[Tick]:
    """Where ticks stand along elements `start` to `stop` of an axis, each at the middle of an element or between two."""
    numeric = None if coordinate is None else coordinate.numeric
    if numeric is not None and stop - start > 1:
        part = numeric[start:stop]
        places = np.arange(len(part)) + 0.5
        rising = part[0] < part[-1]
        values = round_steps(float(part.min()), float(part.max()), most)
        found = np.interp(values, part if rising else part[::-1], places if rising else places[::-1])
        return [Tick(float(place), plain(float(value) + 0.0)) for place, value in zip(found, values, strict=True)]
    indices = [int(index) for index in round_steps(start, stop - 1, most) if index == int(index)]
    if coordinate is None:
        return [Tick(index - start + 0.5, str(index)) for index in indices]
    return [Tick(index - start + 0.5, coordinate.text(index)) for index in indices]
