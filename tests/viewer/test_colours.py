"""Values become pixels: colour maps, ranges, what is missing."""

import numpy as np
import pytest

from azarr.viewer.colours import MAPS, absent, numbers, paint, table, usual


@pytest.mark.parametrize("name", MAPS)
def test_a_map_begins_and_ends_with_its_outer_colours(name: str):
    points = MAPS[name].split()
    assert table(name).shape == (256, 3)
    assert bytes(table(name)[0]).hex() == points[0]
    assert bytes(table(name)[255]).hex() == points[-1]


def test_grey_is_straight():
    assert table("grey")[:, 0].tolist() == list(range(256))


def test_pixels_have_the_colour_of_their_value_and_missing_ones_can_be_seen_through():
    values = np.array([[0.0, 1.0, 2.0], [np.nan, -5.0, 99.0]])
    pixels = paint(values, absent(values, ()), (0.0, 2.0), "grey")
    assert pixels[..., 0].tolist() == [[0, 127, 255], [0, 0, 255]]
    assert pixels[..., 3].tolist() == [[255, 255, 255], [0, 255, 255]]


def test_infinity_is_painted_as_the_end_of_the_range():
    values = np.array([[np.inf, -np.inf]])
    assert paint(values, absent(values, ()), (0.0, 1.0), "grey")[..., 0].tolist() == [[255, 0]]


def test_a_range_of_one_value_divides_by_nothing():
    assert paint(np.full((1, 1), 3.0), np.zeros((1, 1), bool), (3.0, 3.0), "grey")[0, 0].tolist() == [0, 0, 0, 255]


@pytest.mark.parametrize(
    ("values", "painted"),
    [
        (np.array([True, False]), [1, 0]),
        (np.array([3 + 4j]), [5]),
        (np.array(["2020-01-01", "1970-01-02"], "M8[D]"), [18262, 1]),
        (np.array([7], "m8[s]"), [7]),
        (np.array([200], "u1"), [200]),
    ],
)
def test_all_kinds_of_numbers_are_painted(values: np.ndarray, painted: list[float]):
    found = numbers(values)
    assert found is not None
    assert found.tolist() == painted


def test_text_is_not_painted():
    assert numbers(np.array(["a"])) is None
    assert numbers(np.array([b"a"])) is None


def test_missing_are_nan_nat_and_what_stands_for_none():
    assert absent(np.array([1.0, np.nan, -9.0]), (-9,)).tolist() == [False, True, True]
    assert absent(np.array(["NaT", "2020-01-01"], "M8[D]"), ()).tolist() == [True, False]
    assert absent(np.array([0, 1]), (0,)).tolist() == [True, False]


def test_the_usual_range_leaves_out_what_is_rare_and_what_is_missing():
    values = np.concatenate([np.arange(1000.0), [1e9, np.nan]])
    low, high = usual(values, np.isnan(values))
    assert 0 < low < 20
    assert 980 < high < 1000


@pytest.mark.parametrize(
    ("values", "span"), [([4.0, 4.0], (3.5, 4.5)), ([], (0.0, 1.0)), ([np.nan], (0.0, 1.0)), ([0.0] * 999 + [1.0], (0.0, 1.0))]
)
def test_ranges_are_never_empty(values: list[float], span: tuple[float, float]):
    found = np.array(values)
    assert usual(found, np.isnan(found)) == span
