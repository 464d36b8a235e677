"""`zstd`: several chunks decoded by one call."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from chunks import codec, decoded, modest
from hypothesis import given
from hypothesis import strategies as st

from azarr.codecs import native
from azarr.errors import ChunkDecodeError
from azarr.scratch import Scratch
from drawing import examples
from oracles import zstd

PLAIN = codec("zstd", level=3, checksum=False)
CHECKED = codec("zstd", level=3, checksum=True)
NATIVE = native.library() is not None and hasattr(native.library(), "ZSTD_createDCtx")


def some(count: int, nbytes: int, seed: int = 0) -> list[bytes]:
    random = np.random.default_rng(seed)
    return [np.repeat(random.integers(0, 50, nbytes // 16 + 1, np.uint8), 16)[:nbytes].tobytes() for _ in range(count)]


def together(chunks: list[bytes], nbytes: int, scratch: Scratch, *, gap: int = 11, order: int = 1) -> list[bytes] | None:
    """What they decode to by one call; None where they must be decoded one by one."""
    memory, starts = np.full(20 + sum(map(len, chunks)) + gap * (len(chunks) + 1), 0xA5, np.uint8), list[int]()
    for chunk in chunks:
        starts.append(20 if not starts else starts[-1] + len(chunks[len(starts) - 1]) + gap)
        memory[starts[-1] : starts[-1] + len(chunk)] = np.frombuffer(chunk, np.uint8)
    out = np.full((len(chunks), nbytes), 90, np.uint8)
    sizes = list(map(len, chunks))
    found = PLAIN.decode_many(memory, starts[::order], sizes[::order], out, scratch)
    for start, chunk in zip(starts, chunks, strict=True):  # they may have to be decoded one by one
        assert memory[start : start + len(chunk)].tobytes() == chunk
    return [row.tobytes() for row in out] if found else None


@pytest.mark.parametrize("gap", [0, 8, 11, 500])
@pytest.mark.parametrize("wrapper", [PLAIN, CHECKED], ids=["plain", "checked"])
@pytest.mark.parametrize("nbytes", [40, 255, 256, 300, 70_000])
def test_frames_that_state_their_size_are_decoded_by_one_call(scratch: Scratch, gap: int, wrapper: Any, nbytes: int) -> None:
    data = some(5, nbytes)
    found = together([bytes(wrapper.encode(each)) for each in data], nbytes, scratch, gap=gap)
    assert found == (data if NATIVE and native.library() is not None else None)


@modest
@given(count=st.integers(1, 5), nbytes=st.integers(1, 400), level=st.integers(-3, 9), gap=st.integers(0, 20), seed=st.integers(0, 99))
def test_one_call_gives_what_several_give_or_refuses(scratch: Scratch, count: int, nbytes: int, level: int, gap: int, seed: int) -> None:
    data = some(count, nbytes, seed)
    assert together([bytes(codec("zstd", level=level).encode(each)) for each in data], nbytes, scratch, gap=gap) in (None, data)


@examples(300)
@given(
    seed=st.integers(0, 99), which=st.integers(0, 3), place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), cut=st.integers(0, 9)
)
def test_a_damaged_chunk_is_refused_or_decodes_as_it_does_alone(seed: int, which: int, place: float, value: int, cut: int) -> None:
    data, scratch = some(4, 512, seed), Scratch()
    chunks = [bytes(PLAIN.encode(each)) for each in data]
    damaged = bytearray(chunks[which])
    damaged[int(place * len(damaged))] = value
    chunks[which] = bytes(damaged[: len(damaged) - cut])
    if (found := together(chunks, 512, scratch)) is not None:
        assert found == [decoded(PLAIN, chunk, 512, scratch) for chunk in chunks]


def unsized(data: bytes) -> bytes:
    compressor = zstd.ZstdCompressor()
    return compressor.compress(data) + compressor.flush()


DATA = bytes(range(64)) * 8
FRAME = bytes(PLAIN.encode(DATA))


@pytest.mark.parametrize(
    ("chunks", "nbytes"),
    [
        pytest.param([FRAME, bytes(CHECKED.encode(DATA))], 512, id="others"),
        pytest.param([unsized(DATA)] * 2, 512, id="no size stated"),
        pytest.param([FRAME, bytes(PLAIN.encode(DATA[:-1]))], 512, id="another size stated"),
        pytest.param([bytes(PLAIN.encode(DATA[:256]))] * 2, 512, id="half of it in a frame"),
        pytest.param([FRAME] * 2, 70_000, id="more than the head can state"),
        pytest.param([FRAME, FRAME[:17]], 512, id="cut in the head"),
        pytest.param([FRAME, b"\x29" + FRAME[1:]], 512, id="no frame"),
        pytest.param([FRAME + FRAME, FRAME], 512, id="two frames"),
        pytest.param([FRAME, FRAME[:-3]], 512, id="cut"),
        pytest.param([FRAME[:-3], FRAME], 512, id="cut before another"),
    ],
)
def test_what_is_not_alike_or_not_sound_is_decoded_one_by_one(scratch: Scratch, chunks: list[bytes], nbytes: int) -> None:
    assert together(chunks, nbytes, scratch) is None


def test_what_stands_between_is_not_overwritten_where_there_is_no_room(scratch: Scratch) -> None:
    for gap in (1, 7):
        assert together([FRAME] * 2, 512, scratch, gap=gap) is None
    assert together([FRAME] * 2, 512, scratch, order=-1) is None
    memory = np.frombuffer(FRAME, np.uint8).copy()
    assert not PLAIN.decode_many(memory, [0], [len(FRAME) + 1], np.empty((1, 512), np.uint8), scratch)


def test_a_cut_frame_alone_is_an_error(scratch: Scratch) -> None:
    with pytest.raises(ChunkDecodeError):
        decoded(PLAIN, FRAME[:-3], 512, scratch)
    assert struct.unpack_from("<I", FRAME)[0] == 0xFD2FB528
