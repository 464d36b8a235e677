"""What is read for a picture: a window along chunks, in a bounded number of bytes."""

import numpy as np
import pytest

import azarr
from azarr.viewer import pictures
from azarr.viewer.pictures import DECODED, PIXELS, POINTS, Part, fitted, note, thinned, window_around


async def array_of(**options: object) -> azarr.Array:
    return await azarr.create_array({}, dtype="float32", **options)  # pyright: ignore[reportArgumentType]


async def test_rows_and_columns_may_be_any_two_axes():
    array = await array_of(shape=(3, 4, 5), chunks=(3, 4, 5))
    values = np.arange(60, dtype="f4").reshape(3, 4, 5)
    await array[...].write(values)
    for axes in ((0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)):
        part = Part(axes, (2, 3, 4), tuple((0, array.shape[axis]) for axis in axes), (1, 1))
        third = ({0, 1, 2} - set(axes)).pop()
        expected = np.moveaxis(values, axes, (0, 1))[..., (2, 3, 4)[third]]
        assert np.array_equal(part.turned(await part.of(array)), expected), axes


async def test_what_is_small_is_read_as_a_whole():
    array = await array_of(shape=(240, 37, 49), chunks=(10, 37, 49))
    part = Part((1, 2), (7, 0, 0), ((0, 37), (0, 49)), (1, 1))
    assert fitted(array, part) == part
    assert note(array, part, ["time", "y", "x"]) == ""


async def test_what_is_large_is_a_window_along_chunks_that_stays_below_the_bound():
    array = await array_of(shape=(50, 20000, 20000), chunks=(1, 1000, 1000))
    part = fitted(array, Part((1, 2), (0, 0, 0), ((0, 20000), (0, 20000)), (1, 1)))
    assert part.of(array).plan().decoded <= DECODED
    assert all(start % 1000 == 0 and stop % 1000 == 0 for start, stop in part.window)
    assert part.window == ((8000, 12000), (8000, 12000))
    assert part.steps == (4, 4)
    assert part.of(array).shape == (1000, 1000)
    assert note(array, part, ["t", "y", "x"]).startswith("y 8,000 to 11,999 of 20,000; x 8,000 to 11,999 of 20,000; one in 4 along y")


async def test_a_profile_that_is_too_long_is_about_its_point():
    array = await array_of(shape=(100_000, 2000), chunks=(1000, 2000))
    for at, inside in ((0, (0, 6000)), (99_999, (94_000, 100_000))):
        assert fitted(array, Part((0,), (0, 0), ((0, 100_000),), (1,)), (at,)).window == (inside,)
    start, stop = fitted(array, Part((0,), (0, 0), ((0, 100_000),), (1,)), (50_000,)).window[0]
    assert start < 50_000 < stop


async def test_one_chunk_is_read_however_large_it_is():
    array = await array_of(shape=(10_000, 10_000), chunks=(10_000, 10_000))
    part = fitted(array, Part((0, 1), (0, 0), ((0, 10_000), (0, 10_000)), (1, 1)))
    assert part.window == ((0, 10_000), (0, 10_000))
    assert max(part.of(array).shape) <= PIXELS


async def test_many_small_chunks_are_bounded_by_their_number():
    array = await array_of(shape=(1000, 1000), chunks=(10, 10))
    assert fitted(array, Part((0, 1), (0, 0), ((0, 1000), (0, 1000)), (1, 1))).of(array).plan().chunks <= pictures.CHUNKS


async def test_inner_chunks_of_shards_are_what_counts():
    array = await array_of(shape=(20000, 20000), chunks=(500, 500), shards=(10000, 10000))
    part = fitted(array, Part((0, 1), (0, 0), ((0, 20000), (0, 20000)), (1, 1)))
    assert part.of(array).plan().decoded <= DECODED
    assert part.window[0][1] - part.window[0][0] >= 3000


@pytest.mark.parametrize(
    ("window", "found"), [(None, (0, 100)), ((10, 20), (10, 20)), ((-5, 5), (0, 10)), ((95, 105), (90, 100)), ((0, 900), (0, 100)), ((7, 7), (7, 8))]
)
async def test_windows_lie_on_the_axis(window: tuple[int, int] | None, found: tuple[int, int]):
    assert window_around(await array_of(shape=(100,), chunks=(100,)), 0, window) == found


def test_a_thinned_line_keeps_its_peaks():
    values = np.zeros(100_000)
    values[[12_345, 77_777]] = 5, -3
    found = thinned(values)
    assert found.size <= POINTS
    assert {12_345, 77_777} <= set(found.tolist())
    assert np.all(np.diff(found) > 0)


def test_a_line_that_is_short_is_not_thinned_and_gaps_stay_gaps():
    assert thinned(np.arange(10.0)).tolist() == list(range(10))
    assert np.isnan(np.full(50_000, np.nan)[thinned(np.full(50_000, np.nan))]).all()
