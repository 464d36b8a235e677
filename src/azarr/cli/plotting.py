"""Pictures of a slice: a map or a line, as PNG by matplotlib or as text with colours. Knows azarr's handles and the viewer's colours."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

import azarr
from azarr.cli.console import parted
from azarr.cli.selection_text import Axis
from azarr.errors import AzarrError, MissingPackage, NodeNotFound, NotAnArray, SelectionError
from azarr.viewer.colours import MAPS, absent, numbers, paint, usual
from azarr.viewer.coordinates import Coordinate, plain, ticks
from azarr.viewer.describing import apart, axis_names, dimension_names

COLOURS = list(MAPS)
SHADES = " .:-=+*#%@"
"""What stands for colours where there are none, dark to light."""
EIGHTHS = " ▁▂▃▄▅▆▇█"
LINE_HEIGHT = 12
MOST_COORDINATES = 100_000
NORTH = ("degrees_n", "degree_n", "degreesN")


@dataclass(frozen=True, slots=True)
class Slice:
    """What was read of an array for a picture: one axis or two, with their names and coordinates."""

    title: str
    values: NDArray[np.float64]
    missing: NDArray[np.bool_]
    names: tuple[str, ...]
    coordinates: tuple[Coordinate | None, ...]
    units: str

    @property
    def span(self) -> tuple[float, float]:
        """The range that most values are in; of a line, that of all."""
        if self.values.ndim == 2:
            return usual(self.values, self.missing)
        found = self.values[~self.missing & np.isfinite(self.values)]
        return (float(found.min()), float(found.max())) if found.size else (0.0, 1.0)

    @property
    def upwards(self) -> bool:
        """Whether the first row stands at the bottom: where rows go from south to north."""
        rows = self.coordinates[0]
        values = rows.numeric if rows is not None and rows.units.startswith(NORTH) else None
        return values is not None and bool(values[0] < values[-1])

    def along(self, axis: int) -> str:
        """An axis in words: its name, and from where to where."""
        length, coordinate = self.values.shape[axis], self.coordinates[axis]
        if coordinate is None:
            return f"{self.names[axis]}: {length:,}"
        return f"{self.names[axis]}: {coordinate.text(0)} to {coordinate.text(length - 1)} {coordinate.shown_units}".rstrip()

    def facts(self) -> dict[str, Any]:
        """What the picture shows."""
        shown = {"shape": self.values.shape, "axes": [self.along(axis) for axis in range(self.values.ndim)], "range": self.span}
        return {"title": self.title, **shown, "units": self.units, "missing": int(self.missing.sum())}


async def read_slice(
    url: str,
    array: azarr.Array,
    key: tuple[Axis, ...],
    check: Callable[[azarr.Selection], azarr.Selection],
    tell: Callable[[int, int], None],
) -> Slice:
    """Read `array[key]`, which `check` may refuse, and the coordinates that stand beside the array.

    Errors: `SelectionError` for more axes than two, or none; `AzarrError` for what is no numbers.
    """
    part = check(array[key])
    if part.ndim not in (1, 2) or not part.size:
        hint = ", ".join(["0"] * (array.ndim - 2) + [":"] * min(array.ndim, 2))
        raise SelectionError(f"the selection has the shape {part.shape}; a picture has one axis or two, such as {hint!r}")
    values = np.asarray(await part.read(progress=tell))
    painted = numbers(values)
    if painted is None:
        raise AzarrError(f"pictures are of numbers; this array has the data type {array.dtype}: print it by azarr cat")
    gap = key.index(...) if ... in key else len(key)
    keys = [*key[:gap], *[slice(None)] * (array.ndim - len(key) + (... in key)), *key[gap + 1 :]]
    axes = [axis for axis, each in enumerate(keys) if isinstance(each, slice)]
    names = axis_names(array)
    return Slice(
        title=" ".join([azarr.errors.redact(url), ", ".join(map(selection_text, keys))]),
        values=painted,
        missing=absent(values, apart(array, False)),
        names=tuple([names[axis] for axis in axes]),
        coordinates=tuple([await coordinate_of(url, array, axis, keys[axis]) for axis in axes]),
        units=str(array.attrs.get("units", "")),
    )


def selection_text(key: Axis) -> str:
    """A part of a selection as it is written."""
    if not isinstance(key, slice):
        return str(key)
    return ":".join("" if each is None else str(each) for each in ((key.start, key.stop, key.step) if key.step else (key.start, key.stop)))


async def coordinate_of(url: str, array: azarr.Array, axis: int, key: Axis) -> Coordinate | None:
    """The values along an axis: those of the array beside this one that has the name of the dimension, if there is one."""
    name, parts = dimension_names(array)[axis], urlsplit(url) if "://" in url else None
    place, query = (url, "") if parts is None else (url.partition("?")[0], f"?{parts.query}" if parts.query else "")
    if not name or array.shape[axis] > MOST_COORDINATES or (parts is not None and not parts.path.strip("/")):
        return None
    try:
        folder = "".join(place.rstrip("/").rpartition("/")[:2])
        found = await azarr.open_array(*parted(f"{folder}{name}{query}"))
    except (NodeNotFound, NotAnArray):
        return None
    if found.shape != (array.shape[axis],) or found.dtype.kind not in "iufM":
        return None
    return Coordinate(await found[key], *(str(found.attrs.get(each, "")) for each in ("units", "calendar")))


def draw_png(drawn: Slice, out: Path, colours: str) -> None:
    """Write the picture to a file. Errors: `MissingPackage`."""
    try:
        figures: Any = import_module("matplotlib.figure")
        maps: Any = import_module("matplotlib.colors")
    except ImportError as error:
        raise MissingPackage("azarr plot --out", "matplotlib", "pip install 'azarr[plot]'") from error
    figure = figures.Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot(title=drawn.title)
    values = np.where(drawn.missing, np.nan, drawn.values)
    for axis, name in enumerate(drawn.names):
        is_row = axis == 0 and values.ndim == 2
        found = ticks(drawn.coordinates[axis], 0, values.shape[axis])
        places, texts = [tick.place - 0.5 for tick in found], [tick.text for tick in found]
        (axes.set_yticks if is_row else axes.set_xticks)(places, texts)
        units = coordinate.shown_units if (coordinate := drawn.coordinates[axis]) else ""
        (axes.set_ylabel if is_row else axes.set_xlabel)(f"{name} ({units})" if units else name)
    if values.ndim == 1:
        axes.plot(values)
        axes.set_ylabel(drawn.units)
    else:
        low, high = drawn.span
        points = maps.LinearSegmentedColormap.from_list(colours, [f"#{point}" for point in MAPS[colours].split()])
        origin = "lower" if drawn.upwards else "upper"
        image = axes.imshow(values, cmap=points, vmin=low, vmax=high, aspect="auto", origin=origin, interpolation="nearest")
        figure.colorbar(image, label=drawn.units)
    figure.savefig(out, format="png", dpi=150)


def draw_text(drawn: Slice, colours: str) -> None:
    """Print the picture, as large as the terminal."""
    console = Console(highlight=False)
    console.print(Text(drawn.title, "bold"))
    if drawn.values.ndim == 1:
        console.print(line_text(drawn, console.width))
    else:
        has_colours = console.color_system is not None
        height = max(4, min(console.height, 60) - 4)
        console.print(map_text(drawn, colours, console.width, height) if has_colours else map_shades(drawn, console.width, height))
    low, high = (f"{plain(each)} {drawn.units}".rstrip() for each in drawn.span)
    console.print(Text(f"{low} to {high}; {'; '.join(map(drawn.along, range(drawn.values.ndim)))}"))


def fitted(drawn: Slice, width: int, height: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Which rows and columns are drawn in at most so many; small pictures are drawn larger."""
    rows, columns = drawn.values.shape
    scale = min(width / columns, height / rows)
    wide, high = max(1, int(columns * scale)), max(1, int(rows * scale))
    found = np.arange(high) * rows // high
    return found[::-1] if drawn.upwards else found, np.arange(wide) * columns // wide


def map_text(drawn: Slice, colours: str, width: int, height: int) -> Text:
    """Two rows in each line, as half blocks in colours."""
    rows, columns = fitted(drawn, width, 2 * height)
    pixels = paint(drawn.values[np.ix_(rows, columns)], drawn.missing[np.ix_(rows, columns)], drawn.span, colours)
    pixels = np.pad(pixels, ((0, len(pixels) % 2), (0, 0), (0, 0)))  # what is not opaque is not drawn
    text = Text()
    for top, bottom in zip(pixels[::2].tolist(), pixels[1::2].tolist(), strict=True):
        for upper, lower in zip(top, bottom, strict=True):
            above, below = (Color.from_rgb(*each[:3]) if each[3] else None for each in (upper, lower))
            if above is None:
                text.append("▄" if below else " ", Style(color=below))
            else:
                text.append("▀", Style(color=above, bgcolor=below))
        text.append("\n")
    text.rstrip()
    return text


def map_shades(drawn: Slice, width: int, height: int) -> Text:
    """The same in characters, where there are no colours; a character is twice as high as it is wide."""
    rows, columns = fitted(drawn, width, 2 * height)
    rows = rows[::2]
    pixels = paint(drawn.values[np.ix_(rows, columns)], drawn.missing[np.ix_(rows, columns)], drawn.span, "grey")
    lines = ["".join(SHADES[level * len(SHADES) // 256] if opaque else " " for level, _, _, opaque in line) for line in pixels.tolist()]
    return Text("\n".join(lines))


def line_text(drawn: Slice, width: int) -> Text:
    """A bar for each value; for the mean of several, where there are more than columns."""
    values = np.where(drawn.missing | ~np.isfinite(drawn.values), np.nan, drawn.values)
    if values.size > width:
        starts = np.arange(width) * values.size // width
        known = np.add.reduceat(~np.isnan(values), starts)
        with np.errstate(invalid="ignore"):
            values = np.add.reduceat(np.nan_to_num(values), starts) / known
    else:
        values = np.repeat(values, width // values.size)
    low, high = drawn.span
    levels = 1 + (values - low) / (high - low or 1) * (8 * LINE_HEIGHT - 1)
    eighths = np.nan_to_num(levels).round().astype(int)
    lines = [np.clip(eighths - 8 * row, 0, 8) for row in reversed(range(LINE_HEIGHT))]
    return Text("\n".join("".join(EIGHTHS[eighth] for eighth in line).rstrip() for line in lines))
