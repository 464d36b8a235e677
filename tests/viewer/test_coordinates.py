"""What stands at the edges of pictures: coordinates, times of CF, ticks."""

import datetime

import numpy as np
import pytest

from azarr.viewer.coordinates import Coordinate, cf_date, plain, round_steps, ticks


@pytest.mark.parametrize(
    ("value", "units", "calendar", "text"),
    [
        (0, "days since 1970-01-01", "", "1970-01-01"),
        (59, "days since 2000-01-01", "standard", "2000-02-29"),
        (59, "days since 2001-01-01 00:00:00", "gregorian", "2001-03-01"),
        (-1, "days since 1970-01-01", "proleptic_gregorian", "1969-12-31"),
        (36, "hours since 1970-01-01", "", "1970-01-02 12:00"),
        (1.5, "minutes since 1970-01-01T06:00", "", "1970-01-01 06:01:30"),
        (1, "seconds since 1970-01-01 23:59:59", "", "1970-01-02"),
        (59, "days since 2000-01-01", "360_day", "2000-02-30"),
        (360, "days since 2000-01-01", "360_day", "2001-01-01"),
        (-946800.0, "hours since 1970-01-01 00:00:00", "360_day", "1860-06-01"),
        (59, "days since 2000-01-01", "noleap", "2000-03-01"),
        (59, "days since 2001-01-01", "366_day", "2001-02-29"),
        (-1, "days since 2001-01-01", "365_day", "2000-12-31"),
    ],
)
def test_times_of_cf_are_dates(value: float, units: str, calendar: str, text: str):
    assert cf_date(value, units, calendar) == text


def test_dates_are_those_of_the_standard_library():
    for days in range(-200_000, 200_000, 997):
        assert cf_date(days, "days since 2000-03-01") == str(datetime.date(2000, 3, 1) + datetime.timedelta(days))


@pytest.mark.parametrize(
    ("units", "calendar"), [("K", ""), ("months since 2000-01-01", ""), ("days since 2000-01-01", "julian"), ("", "")]
)
def test_what_is_no_time_that_is_known_stays_a_number(units: str, calendar: str):
    assert not Coordinate(np.arange(3.0), units, calendar).is_time
    assert cf_date(2.5, units, calendar) == "2.5"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float32(0.1), "0.1"),
        (np.int64(12345678901), "12345678901"),
        (np.datetime64("2020-01-01T00:00:00.000000000"), "2020-01-01"),
        (np.datetime64("2020-01-01T06:30:00"), "2020-01-01 06:30:00"),
        (np.datetime64("NaT"), "NaT"),
        (np.bytes_(b"ab"), "ab"),
        ("x", "x"),
        (np.bool_(True), "True"),
    ],
)
def test_scalars_are_short(value: object, text: str):
    assert plain(value) == text


def test_long_units_are_shown_short_and_those_of_times_not_at_all():
    assert Coordinate(np.arange(3), "degrees_north").shown_units == "°N"
    assert Coordinate(np.arange(3), "m").shown_units == "m"
    assert Coordinate(np.arange(3), "days since 2000-01-01").shown_units == ""


@pytest.mark.parametrize(
    ("low", "high", "most", "steps"),
    [(0, 10, 6, [0, 2, 4, 6, 8, 10]), (0.13, 0.34, 3, [0.2, 0.3]), (-7, 7, 4, [-5, 0, 5]), (3, 3, 5, [3]), (0, 1e6, 5, [0, 2e5, 4e5, 6e5, 8e5, 1e6])],
)
def test_steps_are_good_to_read(low: float, high: float, most: int, steps: list[float]):
    assert round_steps(low, high, most).tolist() == pytest.approx(steps)


def test_ticks_stand_where_the_coordinate_has_round_values():
    rising = Coordinate(np.arange(15.0, 62.5, 2.5))  # 15, 17.5, ...: 20 is at index 2, in its middle
    assert ticks(rising, 0, 19)[0] == (2.5, "20")
    falling = Coordinate(np.arange(15.0, 62.5, 2.5)[::-1])
    assert (16.5, "20") in ticks(falling, 0, 19)
    assert ticks(rising, 2, 10)[0] == (0.5, "20")  # of a part, from its start


def test_ticks_without_a_coordinate_are_indices():
    assert ticks(None, 100, 111, 3) == [(0.5, "100"), (5.5, "105"), (10.5, "110")]
    assert ticks(None, 0, 1) == [(0.5, "0")]


def test_ticks_of_times_and_of_values_in_no_order_are_at_indices():
    assert ticks(Coordinate(np.array([1, 0, 2])), 0, 3) == [(0.5, "1"), (1.5, "0"), (2.5, "2")]
    assert ticks(Coordinate(np.arange(3), "days since 2000-01-01"), 0, 3)[2] == (2.5, "2000-01-03")
