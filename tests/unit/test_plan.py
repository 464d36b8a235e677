"""Regions are cut along the chunk grid: reading piece by piece gives what NumPy selects, and no chunk is read twice."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import keys
from azarr import plan
from azarr.errors import LimitExceeded
from azarr.grid import Grid, RegularAxis, grid_from_json
from azarr.plan import Job, Part, Piece, covers, give, jobs, parts, place, take
from azarr.selection import Region, basic, orthogonal, vectorised, whole
from azarr.tools.blocks import cuts
from drawing import examples

SHAPES = st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple)


def numbered(shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    return np.arange(math.prod(shape)).reshape(shape)


def chunk_of(values: np.ndarray[Any, Any], grid: Grid, coords: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """A chunk in its full size, -1 over the end of the array."""
    spans = [axis.span(index) for axis, index in zip(grid.axes, coords, strict=True)]
    found = np.full([size for _, size in spans], -1)
    part = values[tuple(slice(start, start + size) for start, size in spans)]
    found[tuple(slice(0, length) for length in part.shape)] = part
    return found


def made(region: Region, grid: Grid, inner: Grid | None = None, *, most: int = 3) -> list[Job]:
    return list(jobs(region.forward(), grid, inner, pieces_per_job=most, pieces_per_shard_job=most))


def read(values: np.ndarray[Any, Any], region: Region, grid: Grid, inner: Grid | None = None) -> np.ndarray[Any, Any]:
    """What reading piece by piece gives, each chunk at its coordinates in the array."""
    out = np.full(region.shape, -2)
    target = region.target(out) if region.size else out
    for job in made(region, grid, inner):
        for piece in job.pieces:
            coords = piece.coords
            if job.shard is not None:
                assert inner is not None
                firsts = [fine.locate(outer.span(index)[0]) for outer, fine, index in zip(grid.axes, inner.axes, job.shard, strict=True)]
                coords = tuple(first + index for first, index in zip(firsts, coords, strict=True))
            place(target, piece.outer, take(chunk_of(values, inner or grid, coords), piece, region.points))
    return out


def regions(data: st.DataObject, shape: tuple[int, ...]) -> tuple[Region, np.ndarray[Any, Any]]:
    """A region of any kind, and what it selects of `numbered(shape)`."""
    values, kind = numbered(shape), data.draw(st.sampled_from(("basic", "orthogonal", "points", "points of a selection")))
    if kind == "basic":
        key = data.draw(keys.basic_keys(shape))
        return basic(whole(shape), key), values[(*key, ...) if ... not in key else key]
    if kind == "points":
        key = data.draw(keys.point_keys(shape))
        return vectorised(whole(shape), key), keys.vectorised(values, key)
    key = data.draw(keys.orthogonal_keys(shape))
    region, once = orthogonal(whole(shape), key), keys.orthogonal(values, key)
    if kind == "orthogonal" or not once.ndim or not once.size:
        return region, once
    points = data.draw(keys.point_keys(once.shape))
    return vectorised(region, points), keys.vectorised(once, points)


@given(SHAPES, st.data())
@examples(120)
def test_reading_chunk_by_chunk_gives_what_numpy_selects(shape: tuple[int, ...], data: st.DataObject):
    region, expected = regions(data, shape)
    assert np.array_equal(read(numbered(shape), region, data.draw(keys.grids(shape))), expected)


@given(SHAPES, st.data())
@examples(120)
def test_reading_inner_chunks_shard_by_shard_gives_what_numpy_selects(shape: tuple[int, ...], data: st.DataObject):
    region, expected = regions(data, shape)
    assert np.array_equal(read(numbered(shape), region, *data.draw(keys.shards(shape))), expected)


@given(SHAPES, st.data())
@examples(60)
def test_each_chunk_comes_once_and_whole_says_that_all_of_it_is_taken_in_order(shape: tuple[int, ...], data: st.DataObject):
    key, grid = data.draw(keys.orthogonal_keys(shape)), data.draw(keys.grids(shape))
    pieces = [piece for job in made(orthogonal(whole(shape), key), grid) for piece in job.pieces]
    assert len({piece.coords for piece in pieces}) == len(pieces)
    for piece in pieces:
        chunk = numbered(grid.chunk_shape(piece.coords))
        found = take(chunk, piece, ())
        assert not piece.whole or np.array_equal(found.reshape(-1), chunk.reshape(-1))


@given(SHAPES, st.data())
@examples(60)
def test_a_complete_job_has_all_inner_chunks_of_its_shard_that_hold_data(shape: tuple[int, ...], data: st.DataObject):
    grid, inner = data.draw(keys.shards(shape))
    region = basic(whole(shape), data.draw(keys.basic_keys(shape)))
    held = dict.fromkeys(itertools.product(*[range(axis.count) for axis in grid.axes]), 0)
    for coords in itertools.product(*[range(axis.count) for axis in inner.axes]):
        held[tuple(outer.locate(fine.span(index)[0]) for outer, fine, index in zip(grid.axes, inner.axes, coords, strict=True))] += 1
    for job in made(region, grid, inner, most=27):
        assert job.shard is not None
        assert job.complete == (len(job.pieces) == held[job.shard])


@given(SHAPES, st.data())
@examples(150)
def test_what_is_given_piece_by_piece_is_what_numpy_would_assign(shape: tuple[int, ...], data: st.DataObject):
    region, where = regions(data, shape)
    grid = data.draw(keys.grids(shape))
    values, out = numbered(region.shape) + 100, numbered(shape)
    expected = out.copy()
    expected.reshape(-1)[where] = values
    source = region.target(values) if region.size else values
    for job in made(region, grid):
        for piece in job.pieces:
            chunk = chunk_of(out, grid, piece.coords)
            covered = covers(piece, grid)
            give(chunk, piece, region.points, source)
            spans = [axis.span(index) for axis, index in zip(grid.axes, piece.coords, strict=True)]
            inside = tuple(slice(start, start + size) for start, size in spans)
            target = out[(*inside, ...)]
            if covered:
                assert np.all(chunk[tuple(map(slice, target.shape))] >= 100)
            target[...] = chunk[(*map(slice, target.shape), ...)]
    assert np.array_equal(out, expected)


@pytest.mark.parametrize(
    ("key", "covered"),
    [
        ((slice(None), slice(None)), True),
        ((slice(3, 5), slice(2, 4)), True),  # the last chunk of five rows by three has two rows
        ((4, slice(2, 4)), False),
        ((slice(3, 5), slice(2, 3)), False),
        ((slice(3, 5), slice(4, 5)), True),
        ((slice(None, 2, -1), slice(3, 1, -1)), True),
        ((slice(3, 5), 4), True),
        (([3, 4], slice(2, 4)), False),  # not looked into
    ],
    ids=repr,
)
def test_a_piece_covers_its_chunk_if_it_takes_all_that_lies_in_the_array(key: Any, covered: bool):
    grid = Grid.regular((5, 5), (3, 2))
    (*_, last) = [piece for job in made(orthogonal(whole((5, 5)), key), grid) for piece in job.pieces]
    assert covers(last, grid) == covered


def test_a_piece_of_an_inner_chunk_counts_from_the_first_of_its_shard():
    grid, inner = Grid.regular((5,), (4,)), Grid.regular((5,), (2,))
    job = made(whole((5,)), grid, inner)[-1]
    assert (job.shard, job.pieces[0].coords, job.pieces[0].whole) == ((1,), (0,), False)
    assert covers(job.pieces[0], inner, (2,))
    assert not covers(job.pieces[0], inner)


@given(SHAPES.filter(len), st.data(), st.integers(2, 4))
@examples(100)
def test_rows_are_the_same_chunks_those_that_are_whole_along_the_last_axis_together(shape: tuple[int, ...], data: st.DataObject, row: int):
    region = basic(whole(shape), data.draw(keys.basic_keys(shape))).forward()
    grid = Grid.regular(shape, tuple(data.draw(st.integers(1, 2)) for _ in shape))
    rows = [piece for job in jobs(region, grid, None, pieces_per_job=2, pieces_per_shard_job=1, row=row) for piece in job.pieces]
    assert all(1 <= piece.chunks <= row for piece in rows)
    single: list[Piece] = []
    for piece in rows:
        if piece.chunks == 1:
            single.append(piece)
            continue
        *above, first = piece.coords
        *outer, last = piece.outer
        size = grid.chunk_shape(piece.coords)[-1]
        assert last.stop - last.start == piece.chunks * size
        assert piece.inner[-1] == slice(0, size, 1)
        for position in range(piece.chunks):
            start = last.start + position * size
            single.append(Piece((*above, first + position), piece.inner, (*outer, slice(start, start + size)), piece.whole))
    assert single == [piece for job in made(region, grid) for piece in job.pieces]
    follow = [(before, after) for before, after in itertools.pairwise(rows) if before.chunks + after.chunks <= row]
    for before, after in follow:  # nothing is left that could stand together
        next_one = (*before.coords[:-1], before.coords[-1] + before.chunks)
        both_whole = before.inner[-1:] == after.inner[-1:] == (slice(0, grid.chunk_shape(after.coords)[-1], 1),)
        assert before.chunks == row or after.coords != next_one or not both_whole


@given(SHAPES, st.data(), st.integers(2, 4))
@examples(80)
def test_rows_of_inner_chunks_stay_in_their_shard(shape: tuple[int, ...], data: st.DataObject, row: int):
    region = basic(whole(shape), data.draw(keys.basic_keys(shape))).forward()
    counts = [data.draw(st.integers(1, 3)) for _ in shape]
    inner = tuple(data.draw(st.integers(1, 2)) for _ in shape)
    grids = Grid.regular(shape, tuple(size * count for size, count in zip(inner, counts, strict=True))), Grid.regular(shape, inner)
    found = [list(jobs(region, *grids, pieces_per_job=1, pieces_per_shard_job=99, row=most)) for most in (row, 1)]
    chunks = [[(job.shard, job.complete, job.only, [each for piece in job.pieces for each in piece.each()]) for job in made] for made in found]
    assert chunks[0] == chunks[1]
    outs = [np.zeros(region.target(np.empty(region.shape)).shape, int) for _ in found]
    for out, made in zip(outs, found, strict=True):
        for piece in [piece for job in made for piece in job.pieces]:
            out[(*piece.outer, ...)] += 1
    assert np.all(outs[0] == 1)
    assert np.array_equal(*outs)


def test_rows_of_a_long_axis_are_made_while_they_are_consumed():
    grid = Grid.regular((10**12, 10**12), (10, 10))
    first = next(jobs(whole((10**12, 10**12)), grid, None, pieces_per_job=1, pieces_per_shard_job=1, row=64))
    assert first == Job([Piece((0, 0), (slice(0, 10, 1), slice(0, 10, 1)), (slice(0, 10), slice(0, 640)), True, 64)])


def test_a_scalar_is_one_chunk_and_one_shard():
    assert made(whole(()), Grid(())) == [Job([Piece((), (), (), True)])]
    assert made(whole(()), Grid(()), Grid(())) == [Job([Piece((), (), (), True)], (), complete=True, only=True)]


def test_nothing_selected_is_no_work():
    grid = Grid.regular((4,), (2,))
    for region in (basic(whole((4,)), slice(2, 2)), basic(whole((4,)), []), vectorised(whole((4,)), []), whole((0,))):
        assert made(region, grid) == made(region, grid, grid) == []


def test_a_job_has_at_most_so_many_pieces():
    assert [len(job.pieces) for job in made(whole((10,)), Grid.regular((10,), (1,)), most=4)] == [4, 4, 2]


def test_a_shard_with_more_pieces_than_a_job_has_comes_in_several_jobs_none_complete():
    found = made(whole((10,)), Grid.regular((10,), (5,)), Grid.regular((10,), (1,)), most=3)
    assert [(job.shard, len(job.pieces), job.complete) for job in found] == [((0,), 3, False), ((0,), 2, False), ((1,), 3, False), ((1,), 2, False)]
    points = made(vectorised(whole((10,)), list(range(10))), Grid.regular((10,), (5,)), Grid.regular((10,), (1,)), most=3)
    assert [(job.shard, len(job.pieces), job.complete) for job in points] == [(job.shard, len(job.pieces), False) for job in found]


def test_work_is_made_while_it_is_consumed():
    grid = Grid.regular((10**12, 10**12), (1, 1))
    first = next(jobs(whole((10**12, 10**12)), grid, None, pieces_per_job=2, pieces_per_shard_job=2))
    assert [piece.coords for piece in first.pieces] == [(0, 0), (0, 1)]
    first = next(jobs(whole((10**12, 10**12)), Grid.regular((10**12, 10**12), (10, 10)), grid, pieces_per_job=2, pieces_per_shard_job=2))
    assert (first.shard, [piece.coords for piece in first.pieces]) == ((0, 0), [(0, 0), (0, 1)])


def test_an_axis_with_more_parts_than_are_kept_is_cut_again_each_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(plan, "KEPT_PARTS", 2)
    assert np.array_equal(read(numbered((5, 2, 5)), whole((5, 2, 5)), Grid.regular((5, 2, 5), (1, 1, 1))), numbered((5, 2, 5)))


def test_the_parts_of_a_range_are_slices_of_each_chunk():
    assert list(parts(range(1, 10, 3), RegularAxis(10, 4))) == [
        Part(0, slice(1, 2, 3), slice(0, 1), False),
        Part(1, slice(0, 4, 3), slice(1, 3), False),
    ]
    assert list(parts(range(4, 8), RegularAxis(10, 4))) == [Part(1, slice(0, 4, 1), slice(0, 4), True)]


def test_the_part_of_an_integer_has_no_place_in_the_result():
    assert list(parts(5, RegularAxis(10, 4))) == [Part(1, 1, None, False)]
    assert list(parts(5, RegularAxis(10, 1))) == [Part(5, 0, None, True)]


def test_the_parts_of_an_unsorted_array_take_each_chunk_once():
    found = [(part.chunk, part.inner.tolist(), part.outer.tolist()) for part in parts(np.array([9, 0, 9, 5]), RegularAxis(10, 4))]
    assert found == [(0, [0], [1]), (1, [1], [3]), (2, [1, 1], [0, 2])]


def test_points_of_one_chunk_are_one_piece():
    region = vectorised(whole((4, 4)), ([3, 0, 2], [3, 1, 2]))
    pieces = [piece for job in made(region, Grid.regular((4, 4), (2, 2))) for piece in job.pieces]
    assert [(piece.coords, piece.outer[0].tolist()) for piece in pieces] == [((0, 0), [1]), ((1, 1), [0, 2])]


def test_taking_integers_alone_gives_an_array_without_axes():
    assert take(numbered((3, 3)), Piece((0, 0), (1, 2), (), False), ()).shape == ()


def test_placing_keeps_the_axes_that_elements_have_of_their_own():
    out = np.zeros((2, 2, 3))
    place(out, (np.array([1, 0]), np.array([0, 1])), np.arange(12).reshape(2, 2, 3))
    assert out.tolist() == [[[6, 7, 8], [9, 10, 11]], [[0, 1, 2], [3, 4, 5]]]


def blocks(region: Region, grid: Grid) -> Iterator[tuple[slice, ...]]:
    return itertools.product(*cuts(region, grid))


@given(SHAPES, st.data())
@examples(80)
def test_blocks_lie_side_by_side_and_make_up_the_result(shape: tuple[int, ...], data: st.DataObject):
    (region, expected), grid = regions(data, shape), data.draw(keys.grids(shape))
    seen, found = np.zeros(region.shape, int), np.full(region.shape, -1)
    for block in blocks(region, grid):
        part = read(numbered(shape), region.part(block), grid)
        assert part.size
        seen[block] += 1
        found[block] = part
    assert np.all(seen == 1)
    assert np.array_equal(found, expected)


def test_blocks_end_where_chunks_do():
    grid = Grid.regular((10,), (4,))
    assert list(blocks(whole((10,)), grid)) == [(slice(0, 4),), (slice(4, 8),), (slice(8, 10),)]
    assert list(blocks(basic(whole((10,)), slice(None, None, -1)), grid)) == [(slice(0, 2),), (slice(2, 6),), (slice(6, 10),)]
    assert list(blocks(basic(whole((10,)), [0, 1, 9, 8, 1]), grid)) == [(slice(0, 2),), (slice(2, 4),), (slice(4, 5),)]
    assert list(blocks(basic(whole((10,)), (None, slice(0, 4))), grid)) == [(slice(0, 1), slice(0, 4))]
    uneven = grid_from_json({"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": [[1, [3, 3]]]}}, (10,))
    assert list(blocks(basic(whole((10,)), [9, 0, 3, 4]), uneven)) == [(slice(0, 1),), (slice(1, 2),), (slice(2, 3),), (slice(3, 4),)]


def test_points_are_not_cut_but_the_axes_beside_them_are():
    region = vectorised(whole((4, 10)), [3, 0])
    assert list(blocks(region, Grid.regular((4, 10), (2, 5)))) == [(slice(0, 2), slice(0, 5)), (slice(0, 2), slice(5, 10))]


def test_an_empty_result_has_no_blocks():
    for region in (whole((4, 0)), basic(whole((4, 2)), (None, slice(0), [])), basic(basic(whole((4, 2)), None), slice(0))):
        assert list(blocks(region, Grid.regular((4, 2), (2, 2)))) == []


def test_a_scalar_is_one_block():
    assert list(blocks(whole(()), Grid(()))) == [()]


def test_blocks_are_counted_before_they_are_kept():
    with pytest.raises(LimitExceeded, match="1,000,000,000,000 blocks along one axis; 4,194,304 are allowed"):
        cuts(whole((10**12,)), Grid.regular((10**12,), (1,)))
