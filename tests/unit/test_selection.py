"""Keys become regions: which elements, in which shape, and which keys are refused. NumPy says what is right."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import keys
from azarr.errors import SelectionError
from azarr.selection import Region, basic, orthogonal, vectorised, whole
from drawing import examples


def numbered(shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    return np.arange(math.prod(shape)).reshape(shape)


X = numbered((4, 5, 6))


def taken(values: np.ndarray[Any, Any], region: Region) -> np.ndarray[Any, Any]:
    """The elements that a region means, taken one axis at a time, the points first."""
    if not region.size:
        return np.empty(region.shape, values.dtype)
    rest = [axis for axis in range(values.ndim) if axis not in region.points]
    found = values.transpose([*region.points, *rest])
    found = found[tuple(region.axes[axis] for axis in region.points)] if region.points else found[None]
    for place, axis in reversed(list(enumerate(rest, 1))):
        selected = region.axes[axis]
        found = found.take(selected if isinstance(selected, int) else np.array(selected, np.int64), place)
    return found.reshape(region.shape)


def same(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> bool:
    return found.shape == expected.shape and np.array_equal(found, expected)


@given(keys.SHAPES, st.data())
@examples(150)
def test_a_basic_key_means_what_it_means_in_numpy(shape: tuple[int, ...], data: st.DataObject):
    everything = values = numbered(shape)
    region = whole(shape)
    for _ in range(data.draw(st.integers(1, 3))):
        key = data.draw(keys.basic_keys(values.shape))
        region, values = basic(region, key), values[(*key, ...) if ... not in key else key]
        assert same(taken(everything, region), values)
        assert region.size == values.size


@given(keys.SHAPES, st.data())
@examples(100)
def test_an_orthogonal_key_takes_each_axis_by_itself(shape: tuple[int, ...], data: st.DataObject):
    values = numbered(shape)
    first = data.draw(keys.orthogonal_keys(shape))
    once = keys.orthogonal(values, first)
    region = orthogonal(whole(shape), first)
    assert same(taken(values, region), once)
    second = data.draw(keys.orthogonal_keys(once.shape))
    assert same(taken(values, orthogonal(region, second)), keys.orthogonal(once, second))


@given(st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple), st.data())
@examples(100)
def test_a_vectorised_key_takes_points(shape: tuple[int, ...], data: st.DataObject):
    values = numbered(shape)
    key = data.draw(keys.point_keys(shape))
    assert same(taken(values, vectorised(whole(shape), key)), keys.vectorised(values, key))


@given(st.lists(st.integers(1, 6), min_size=2, max_size=3).map(tuple), st.data())
@examples(100)
def test_points_are_taken_of_what_is_selected_already(shape: tuple[int, ...], data: st.DataObject):
    values = numbered(shape)
    first = data.draw(keys.orthogonal_keys(shape))
    once = keys.orthogonal(values, first)
    if once.ndim and once.size:
        key = data.draw(keys.point_keys(once.shape))
        region = vectorised(orthogonal(whole(shape), first), key)
        assert same(taken(values, region), keys.vectorised(once, key))


def test_index_arrays_of_every_integer_type_are_taken():
    for dtype in ("i1", "u1", "i4", "u8", ">i2"):
        assert orthogonal(whole((300,)), np.array([3, 0, 3], dtype)).axes[0].tolist() == [3, 0, 3]
    assert orthogonal(whole((300,)), np.array([-1, -128], "i1")).axes[0].tolist() == [299, 172]


def test_an_empty_list_selects_nothing():
    assert basic(whole((4, 5)), []).shape == (0, 5)


def test_a_zero_dimensional_array_is_a_scalar():
    assert basic(whole((4,)), np.array(2)).axes == (2,)
    assert basic(whole((4,)), np.int8(-1)).axes == (3,)


def test_an_array_beside_an_integer_is_taken_where_numpy_and_oindex_agree():
    for key in ((0, 1, [1, 2]), ([1, 2], 0), ([1, 2], slice(None), 3), (slice(None), 2, [0, 5]), (0, [1, 2], slice(None)), (0, [1, 1], 3)):
        assert same(taken(X, basic(whole(X.shape), key)), X[key])


def test_a_mask_of_several_axes_selects_points():
    mask = X[:, :, 0] > 40
    assert same(taken(X, basic(whole(X.shape), mask)), X[mask])
    assert same(taken(X, basic(whole(X.shape), (mask, 3))), X[mask, 3])
    assert same(taken(X, basic(whole(X.shape), (mask, slice(1, 3)))), X[mask, 1:3])
    assert same(taken(X, basic(whole(X.shape), X > 50)), X[X > 50])
    assert same(taken(X, vectorised(whole(X.shape), (slice(None), X[0] > 12))), X.transpose(1, 2, 0)[X[0] > 12])


@pytest.mark.parametrize(
    "key",
    [([0, 1], [2, 3]), (0, slice(None), [1, 2]), (slice(None), [1, 2], slice(None), 3), ([[0, 1]],), (slice(None), np.ones((5, 6), bool))],
    ids=["two arrays", "an integer apart", "an integer apart, later", "two-dimensional", "a mask later"],
)
def test_what_numpy_and_oindex_take_differently_is_asked_for_by_name(key: Any):
    with pytest.raises(SelectionError, match=r"say oindex\[...\] \(axis by axis\) or vindex\[...\] \(point by point\)"):
        basic(whole((4, 5, 6, 7)), key)


OUT = "index {} is out of bounds for axis {} with size {}"
REFUSED: list[tuple[Any, Any, str]] = [
    (basic, 4, OUT.format(4, 0, 4)),
    (basic, -5, OUT.format(-5, 0, 4)),
    (basic, (..., 6), OUT.format(6, 2, 6)),
    (basic, (0, 0, 0, 0), "too many indices: 4 were given for 3 dimensions"),
    (basic, (..., 0, ...), "an index can only have a single ellipsis ('...')"),
    (basic, 1.0, "an index is an integer, a slice, '...', None, or an array of integers or bool, not 1.0"),
    (basic, "a", "not 'a'"),
    (basic, np.array([1.0]), "index arrays are of integers or bool, not float64"),
    (basic, True, "True and False are not indices; a mask is an array of bool"),
    (basic, np.bool_(True), "True and False are not indices"),
    (basic, np.array(True), "True and False are not indices"),
    (basic, [0, 4], OUT.format(4, 0, 4)),
    (basic, np.array([2**64 - 1], "u8"), OUT.format(2**64 - 1, 0, 4)),
    (basic, np.ones(3, bool), "a mask of shape (3,) does not fit axes of shape (4,)"),
    (basic, np.ones((4, 4), bool), "a mask of shape (4, 4) does not fit axes of shape (4, 5)"),
    (basic, np.ones((4, 5, 6, 1), bool), "too many indices: 4 were given for 3 dimensions"),
    (orthogonal, ([[0, 1]],), "an index array for oindex has one dimension, not 2; vindex takes several"),
    (orthogonal, np.ones((4, 5), bool), "an index array for oindex has one dimension, not 2; vindex takes several"),
    (vectorised, ([0], [5]), OUT.format(5, 1, 5)),
    (vectorised, ([0, 1], [0, 1, 2]), "index arrays do not broadcast together: (2,) (3,)"),
    (vectorised, (None, [0]), "vindex takes no newaxis; reshape the result"),
    (vectorised, True, "True and False are not indices"),
    (vectorised, np.ones(3, bool), "a mask of shape (3,) does not fit axes of shape (4,)"),
    (vectorised, [0.5], "index arrays are of integers or bool, not float64"),
]


@pytest.mark.parametrize(("select", "key", "reason"), REFUSED, ids=[f"{select.__name__}-{place}" for place, (select, _, _) in enumerate(REFUSED)])
def test_a_key_that_does_not_fit_is_an_index_error_that_says_why(select: Any, key: Any, reason: str):
    with pytest.raises(IndexError) as caught:
        select(whole(X.shape), key)
    assert isinstance(caught.value, SelectionError)
    assert reason in str(caught.value)


def test_a_step_of_zero_is_a_value_error_as_in_numpy():
    for region in (whole((4,)), orthogonal(whole((4,)), [0, 1])):
        with pytest.raises(ValueError, match="cannot be zero"):
            basic(region, slice(None, None, 0))


def test_a_bound_that_is_no_integer_is_a_type_error_as_in_numpy():
    with pytest.raises(TypeError, match="slice indices must be integers"):
        basic(whole((4,)), slice(0.5, None))


def test_the_axis_in_an_error_is_the_one_of_what_is_indexed():
    with pytest.raises(SelectionError, match="index 9 is out of bounds for axis 0 with size 5"):
        basic(basic(whole((4, 5)), 0), 9)


def test_points_are_not_indexed_further():
    points = vectorised(whole((4, 5)), [0, 1])
    for select in (basic, orthogonal):
        with pytest.raises(SelectionError, match="a selection by points cannot be indexed further; read it, and index the result"):
            select(points, 0)
    for region in (points, basic(whole((4, 5)), None)):
        with pytest.raises(SelectionError, match="this selection cannot be indexed with vindex; read it, and index the result"):
            vectorised(region, [0])


def test_a_new_axis_is_sliced_and_indexed_but_not_with_arrays():
    new = basic(whole((4,)), (None, slice(None)))
    assert new.shape == (1, 4)
    assert basic(new, -1).shape == (4,)
    assert basic(new, slice(1, None)).shape == (0, 4)
    with pytest.raises(SelectionError, match="index 1 is out of bounds for axis 0 with size 1"):
        basic(new, 1)
    with pytest.raises(SelectionError, match="an axis made by newaxis cannot be indexed with an array"):
        basic(new, [0])


def test_vindex_without_arrays_is_a_basic_selection():
    assert vectorised(whole((4, 5)), (slice(1, 3), ...)).axes == (range(1, 3), range(5))


def test_vindex_with_integers_alone_is_one_point():
    region = vectorised(whole((4, 5)), (3, -1))
    assert (region.shape, region.size) == ((), 1)
    assert [axis.tolist() for axis in region.axes] == [[3], [4]]


def test_forward_has_the_same_elements_and_no_range_runs_backward():
    region = basic(whole((10, 4)), (slice(None, 1, -3), slice(None)))
    assert region.axes == (range(9, 1, -3), range(4))
    assert region.forward().axes == (range(3, 10, 3), range(4))
    forward = whole((3,))
    assert forward.forward() is forward


@given(keys.SHAPES, st.data())
@examples(100)
def test_filling_the_target_forward_fills_the_result_as_selected(shape: tuple[int, ...], data: st.DataObject):
    values = numbered(shape)
    key = data.draw(keys.basic_keys(shape))
    region = basic(whole(shape), key)
    if region.size:
        out, forward = np.full(region.shape, -1), region.forward()
        target = region.target(out)
        target[...] = taken(values, forward).reshape(target.shape)
        assert same(out, values[(*key, ...) if ... not in key else key])


def test_points_of_several_dimensions_are_one_axis_of_the_target():
    region = vectorised(whole((4, 5, 6)), ([[0, 1], [2, 3]], slice(None, None, -1), [0, 1]))
    assert region.shape == (2, 2, 5)
    out = np.zeros((2, 2, 5))
    target = region.target(out)
    assert target.shape == (4, 5)
    target[3, 0] = 7
    assert out[1, 1, 4] == 7


def test_a_part_of_a_region_is_what_its_slices_select():
    region = basic(whole((4, 5)), (slice(None, None, -1), None, slice(1, None)))
    assert region.part((slice(0, 2), slice(0, 1), slice(3, 4))).axes == (range(3, 1, -1), range(4, 5))
    points = vectorised(whole((4, 5)), ([[3, 0]], slice(None)))
    part = points.part((slice(0, 1), slice(0, 2), slice(2, 4)))
    assert part.axes[0].tolist() == [3, 0]
    assert part.axes[1] == range(2, 4)
    assert part.shape == (1, 2, 2)


def test_a_region_is_sliced_unless_an_axis_has_an_index_array():
    region = whole((4, 5))
    assert region.sliced
    assert basic(region, (2, slice(None, None, -2))).sliced
    assert not orthogonal(region, ([1, 2], slice(None))).sliced
    assert not vectorised(region, ([1, 2], [0, 1])).sliced
