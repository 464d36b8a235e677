"""`blosc`, decoded by libblosc2 and by numcodecs alike."""

from __future__ import annotations

import contextlib
import itertools
import struct
from typing import Any

import numpy as np
import pytest
from chunks import codec, decoded, missing, modest
from hypothesis import given
from hypothesis import strategies as st

from azarr.codecs import blosc, native
from azarr.errors import ChunkDecodeError, MetadataError, MissingPackage, UnknownCodec
from azarr.integrations import stand_ins
from azarr.scratch import Scratch
from drawing import examples
from memory import measured
from oracles import BROWSER, cramjam, numcodecs

ODD = bytes.fromhex(
    "0201240403020000000200005b00000018000000540000000b0000001f000100675000000000000b0000001f000100675000000000000b0000001f00"
    "0100675000000000000b0000001f0001006750000000000003000000070809"
)
"""515 bytes (512 of 0, then 7, 8, 9), bitshuffled lz4 with elements of 4 bytes, written by tensorstore."""
SNAPPY_BITSHUFFLED = bytes.fromhex(
    "0201440403020000000200005900000018000000500000000a00000080010000fe0100fa0100"
    "0a00000080010000fe0100fa01000a00000080010000fe0100fa01000a00000080010000fe0100fa0100050000000308070809"
)
"""The same with snappy."""
SNAPPY_SHUFFLED = bytes.fromhex(
    "0201410200020000000200008a000000140000005e000000800200003a010000013a010000023a010000033a010000043a010000053a010000063a010000"
    "073a010000083a010000093a0100000a3a0100000b3a0100000c3a0100000d3a0100000e3a01003c0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f100000008002"
    "0000fe0100fe0100fe0100fa0100"
)
"""The uint16 0 to 15, each 16 times, shuffled, written by tensorstore."""
PLAIN = codec("blosc", cname="lz4", clevel=5, shuffle="shuffle", typesize=2)
NUMBERS = np.arange(400, dtype="<u2")
CHUNK = bytes(numcodecs.Blosc("lz4", 5, 1).encode(NUMBERS))
CHUNKS = [
    pytest.param(CHUNK, id="shuffled"),
    # These need numcodecs or cramjam to be read.
    *(() if BROWSER else (pytest.param(ODD, id="odd"), pytest.param(SNAPPY_SHUFFLED, id="snappy"), pytest.param(SNAPPY_BITSHUFFLED, id="odd snappy"))),
]


@modest
@given(
    data=st.binary(max_size=400).map(lambda data: data * 7),
    cname=st.sampled_from(["blosclz", "lz4", "lz4hc", "zlib", "zstd"]),
    clevel=st.integers(0, 9),
    shuffle=st.sampled_from(["noshuffle", "shuffle", "bitshuffle"]),
    typesize=st.sampled_from([1, 2, 4, 7, 16, 300]),
    blocksize=st.sampled_from([0, 128, 1000]),
)
def test_what_is_encoded_decodes_to_the_same(scratch: Scratch, data: bytes, **configuration: Any) -> None:
    blosc = codec("blosc", **configuration)
    chunk = blosc.encode(data)
    assert decoded(blosc, chunk, len(data), scratch) == data
    assert decoded(blosc, chunk, None, scratch) == data
    assert not data or bytes(numcodecs.Blosc().decode(chunk)) == data


@pytest.mark.parametrize("shuffle", [0, 1, 2, -1])
@pytest.mark.parametrize("cname", ["blosclz", "lz4", "lz4hc", "zlib", "zstd"])
def test_what_numcodecs_encodes_is_read_and_the_other_way_round(scratch: Scratch, cname: str, shuffle: int) -> None:
    theirs = bytes(numcodecs.Blosc(cname, 5, shuffle, 0).encode(NUMBERS))
    ours = codec("numcodecs.blosc", cname=cname, clevel=5, shuffle=shuffle, blocksize=0, typesize=2)
    assert decoded(ours, theirs, 800, scratch) == NUMBERS.tobytes()
    assert bytes(ours.encode(NUMBERS.tobytes())) == theirs


def test_the_result_is_written_into_the_memory_that_is_given(scratch: Scratch) -> None:
    out = np.empty(800, np.uint8)
    assert PLAIN.decode(CHUNK, 800, 800, out, scratch) is out
    assert out.tobytes() == NUMBERS.tobytes()


def test_without_a_shuffle_v3_has_none_and_numcodecs_shuffles() -> None:
    assert (codec("blosc").shuffle, codec("numcodecs.blosc").shuffle) == (0, 1)


def test_shuffle_minus_one_chooses_by_the_element_size() -> None:
    assert codec("numcodecs.blosc", shuffle=-1, typesize=1).shuffle == 2
    assert codec("numcodecs.blosc", shuffle=-1, typesize=8).shuffle == 1


def test_an_element_size_of_zero_means_one() -> None:
    assert codec("blosc", typesize=0).typesize == 1


def test_chunks_of_zstd_and_zlib_are_expected_to_decode_slower() -> None:
    assert codec("blosc", cname="zstd").speed < codec("blosc", cname="lz4").speed


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("cname", "lzma", "one of 'blosclz', 'lz4', 'lz4hc', 'zlib', 'zstd', 'snappy' is needed, not 'lzma'"),
        ("clevel", 10, "an integer from 0 to 9 is needed, not 10"),
        ("shuffle", "byteshuffle", "one of 'noshuffle', 'shuffle', 'bitshuffle', -1, 0, 1, 2 is needed, not 'byteshuffle'"),
        ("shuffle", True, "one of 'noshuffle', 'shuffle', 'bitshuffle', -1, 0, 1, 2 is needed, not True"),
        ("typesize", -1, "an integer from 0 to 2147483647 is needed, not -1"),
        ("blocksize", 1 << 31, "an integer from 0 to 2147483647 is needed, not 2147483648"),
    ],
)
def test_a_bad_configuration_names_the_entry(entry: str, value: Any, message: str) -> None:
    with pytest.raises(MetadataError) as caught:
        codec("blosc", **{entry: value})
    assert str(caught.value) == f"metadata: codecs.blosc.{entry}: {message}"


@pytest.mark.parametrize("whole", [*CHUNKS, pytest.param(bytes(PLAIN.encode(b"stored")), id="stored")])
def test_a_chunk_cut_anywhere_is_an_error(scratch: Scratch, whole: bytes) -> None:
    nbytes = struct.unpack_from("<I", whole, 4)[0]
    assert len(decoded(PLAIN, whole, nbytes, scratch)) == nbytes
    for end in range(len(whole)):
        for size in (nbytes, None):
            with pytest.raises(ChunkDecodeError, match="blosc"):
                decoded(PLAIN, whole[:end], size, scratch)


@pytest.mark.parametrize("whole", CHUNKS)
def test_a_chunk_cut_anywhere_is_an_error_or_right_even_if_its_header_agrees(scratch: Scratch, whole: bytes) -> None:
    nbytes = struct.unpack_from("<I", whole, 4)[0]
    for end in range(16, len(whole)):
        cut = whole[:12] + struct.pack("<I", end) + whole[16:end]
        with pytest.raises(ChunkDecodeError, match=r"blosc|snappy"):
            decoded(PLAIN, cut, nbytes, scratch)


def header(**changes: int) -> bytes:
    """The header of `CHUNK`, with changes, and what follows it."""
    names = ("version", "inner", "flags", "typesize", "nbytes", "blocksize", "cbytes")
    fields = dict(zip(names, struct.unpack_from("<4B3I", CHUNK), strict=True)) | changes
    return struct.pack("<4B3I", *fields.values()) + CHUNK[16:]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "0 bytes are too few for a blosc header"),
        (CHUNK[:15], "15 bytes are too few for a blosc header"),
        (header(version=5), "not a chunk of Blosc 1 (format 5, flags 0x21, element size 2)"),
        (header(typesize=0), "not a chunk of Blosc 1 (format 2, flags 0x21, element size 0)"),
        (header(flags=0x25), "not a chunk of Blosc 1 (format 2, flags 0x25, element size 2)"),
        (CHUNK + b"\0", f"blosc states {len(CHUNK):,} compressed bytes, but {len(CHUNK) + 1:,} are here"),
        (header(nbytes=801), "blosc states 801 bytes where 800 are expected"),
        (header(flags=0x23), f"blosc stores {len(CHUNK) - 16:,} bytes, but states 800"),
        (header(blocksize=0), "blosc states blocks of 0 bytes in 800"),
        (header(blocksize=801), "blosc states blocks of 801 bytes in 800"),
        (header(blocksize=1), f"the table of 800 blosc blocks points outside the chunk of {len(CHUNK):,} bytes"),
        (CHUNK[:16] + b"\0" * 4 + CHUNK[20:], f"the table of 1 blosc blocks points outside the chunk of {len(CHUNK):,} bytes"),
        (CHUNK[:16] + b"\xff" * 4 + CHUNK[20:], f"the table of 1 blosc blocks points outside the chunk of {len(CHUNK):,} bytes"),
    ],
)
def test_a_damaged_header_is_refused_before_a_decoder_sees_it(scratch: Scratch, data: bytes, message: str) -> None:
    with pytest.raises(ChunkDecodeError) as caught:
        decoded(PLAIN, data, 800, scratch)
    assert str(caught.value) == message


def test_damaged_data_are_an_error(scratch: Scratch) -> None:
    damaged = bytearray(CHUNK)
    damaged[20:24] = struct.pack("<i", 0x7FFFFFFF)  # the length of the first stream
    with pytest.raises(ChunkDecodeError, match=r"blosc data are damaged"):
        decoded(PLAIN, damaged, 800, scratch)
    assert decoded(PLAIN, CHUNK, 800, scratch) == NUMBERS.tobytes()


def test_damaged_data_do_not_spoil_what_is_decoded_after_them(scratch: Scratch) -> None:
    for position in range(16, len(CHUNK)):
        damaged = bytearray(CHUNK)
        damaged[position] ^= 0xFF
        with contextlib.suppress(ChunkDecodeError):
            decoded(PLAIN, damaged, 800, scratch)
        assert decoded(PLAIN, CHUNK, 800, scratch) == NUMBERS.tobytes()


def test_a_chunk_that_claims_a_terabyte_takes_no_memory(scratch: Scratch) -> None:
    for data, size in ((header(nbytes=0xFFFFFFFF), 800), (header(nbytes=0xFFFFFFFF), None)):
        with (
            measured() as peak,
            pytest.raises(ChunkDecodeError, match=r"blosc states 4,294,967,295 bytes where (800|1,048,576) are expected"),
        ):
            decoded(PLAIN, data, size, scratch)
        assert peak.nbytes < 100_000


def test_a_chunk_of_nothing_decodes_to_nothing(scratch: Scratch) -> None:
    empty = struct.pack("<4B3I", 2, 1, 0x33, 2, 0, 0, 16)
    assert decoded(PLAIN, empty, None, scratch) == b""
    assert decoded(PLAIN, empty, 0, scratch) == b""


@pytest.mark.parametrize(("size", "blocksize", "typesize"), [(133, 128, 7), (256, 128, 8), (300, 128, 2), (160, 80, 2), (40, 40, 4), (1000, 254, 2)])
@pytest.mark.parametrize("flags", [0, 0x10])
def test_blocks_too_short_to_be_split_need_no_flag_that_says_so(scratch: Scratch, size: int, blocksize: int, typesize: int, flags: int) -> None:
    data = bytes(each % 251 for each in range(size))
    blocks = [data[first : first + blocksize] for first in range(0, size, blocksize)]
    starts = [16 + 4 * len(blocks) + number * (4 + blocksize) for number in range(len(blocks))]
    streams = b"".join(struct.pack("<I", len(block)) + block for block in blocks)
    header = struct.pack("<4B3I", 2, 1, flags, typesize, size, blocksize, 16 + 4 * len(blocks) + len(streams))
    chunk = header + struct.pack(f"<{len(blocks)}I", *starts) + streams
    assert decoded(PLAIN, chunk, size, scratch) == data
    if not BROWSER:
        assert bytes(numcodecs.Blosc().decode(chunk)) == data


@pytest.mark.parametrize("cname", ["blosclz", "lz4", "zlib", "zstd"])
@pytest.mark.parametrize("shuffle", [0, 1, 2])
def test_what_the_browser_encodes_numcodecs_decodes(scratch: Scratch, cname: str, shuffle: int) -> None:
    made = stand_ins._make(stand_ins.Blosc)
    for typesize, blocksize, size in itertools.product((1, 2, 4, 5, 7, 12, 16, 20, 300), (0, 128, 1000), (0, 7, 133, 140, 1000, 2800)):
        raw = (np.arange(size) // 30).astype(np.uint8)
        elements = raw if size % typesize else raw.view(f"V{typesize}")
        chunk = made.compress(elements, cname.encode(), 5, shuffle, blocksize)
        assert decoded(PLAIN, chunk, size, scratch) == raw.tobytes()
        if not BROWSER and size:
            assert bytes(numcodecs.Blosc().decode(chunk)) == raw.tobytes()


def test_bitshuffled_chunks_whose_last_bytes_are_no_whole_element_are_read_right(scratch: Scratch) -> None:
    assert decoded(PLAIN, ODD, 515, scratch) == bytes(512) + b"\7\x08\x09"


def test_libblosc2_is_not_asked_for_such_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    def decoder(name: str, scratch: Scratch) -> None:
        raise AssertionError("libblosc2 4.14 leaves the last 3 bytes of this chunk as they were, and reports success")

    monkeypatch.setattr(blosc, "decoder", decoder)
    assert decoded(PLAIN, ODD, 515)[-3:] == b"\7\x08\x09"


def test_snappy_chunks_of_tensorstore_are_read(scratch: Scratch) -> None:
    assert decoded(PLAIN, SNAPPY_SHUFFLED, 512, scratch) == np.repeat(np.arange(16, dtype="<u2"), 16).tobytes()
    assert decoded(PLAIN, SNAPPY_BITSHUFFLED, 515, scratch) == bytes(512) + b"\7\x08\x09"


def snappy_chunk(data: bytes, typesize: int, shuffle: int, blocksize: int, *, split: bool) -> bytes:
    """`data` as c-blosc packs it with snappy inside: blocks, in each one stream or one per byte of an element."""
    blocks: list[bytes] = []
    for start in range(0, len(data), blocksize):
        block = data[start : start + blocksize]
        whole = len(block) // typesize * typesize
        elements = np.frombuffer(block[:whole], np.uint8).reshape(-1, typesize)
        if shuffle == 0x1:
            block = elements.T.tobytes() + block[whole:]
        elif shuffle == 0x4 and len(elements) % 8 == 0:
            bits = np.unpackbits(elements, axis=1, bitorder="little").T
            block = np.packbits(bits, axis=1, bitorder="little").tobytes() + block[whole:]
        streams = typesize if split and typesize <= 16 and blocksize // typesize >= 128 and len(block) == blocksize else 1
        parts = [block[number * len(block) // streams : (number + 1) * len(block) // streams] for number in range(streams)]
        packed = [min(part, bytes(cramjam.snappy.compress_raw(part)), key=len) for part in parts]
        blocks.append(b"".join(struct.pack("<i", len(part)) + part for part in packed))
    position, starts = 16 + 4 * len(blocks), list[int]()
    for block in blocks:
        starts.append(position)
        position += len(block)
    flags = 2 << 5 | shuffle | (0 if split else 0x10)
    table = struct.pack(f"<4B3I{len(starts)}I", 2, 1, flags, typesize, len(data), blocksize, position, *starts)
    return table + b"".join(blocks)


@modest
@given(
    data=st.binary(min_size=1, max_size=64).map(lambda data: data * 40),
    typesize=st.sampled_from([1, 2, 4, 16, 17]),
    shuffle=st.sampled_from([0, 0x1, 0x4]),
    elements=st.sampled_from([8, 128, 200]),
    split=st.booleans(),
)
def test_snappy_chunks_are_read(data: bytes, typesize: int, shuffle: int, elements: int, split: bool) -> None:
    blocksize = min(typesize * elements, len(data))
    chunk = snappy_chunk(data, typesize, shuffle, blocksize, split=split)
    assert decoded(PLAIN, chunk, len(data)) == data


def test_damaged_snappy_is_an_error() -> None:
    chunk = snappy_chunk(bytes(256), 1, 0, 256, split=False)
    damaged = chunk[:24] + b"\xff" * (len(chunk) - 24)
    with pytest.raises(ChunkDecodeError, match=r"not valid snappy data"):
        decoded(PLAIN, damaged, 256)


def test_a_snappy_stream_of_another_size_than_its_block_is_an_error() -> None:
    short = snappy_chunk(bytes(200), 1, 0, 200, split=False)
    claimed = short[:4] + struct.pack("<II", 256, 256) + short[12:]
    with pytest.raises(ChunkDecodeError, match=r"a blosc stream gave 200 bytes where 256 are expected"):
        decoded(PLAIN, claimed, 256)


def test_a_snappy_stream_that_claims_4_gib_takes_no_memory() -> None:
    bomb = b"\xff\xff\xff\xff\x0f" + b"\0" * 20
    chunk = struct.pack("<4B3II", 2, 1, 0x50, 1, 256, 256, 24 + len(bomb), 20) + struct.pack("<I", len(bomb)) + bomb
    with measured() as peak, pytest.raises(ChunkDecodeError, match=r"not valid snappy data"):
        decoded(PLAIN, chunk, 256)
    assert peak.nbytes < 100_000


def test_what_is_not_installed_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "library", lambda: None)
    missing(monkeypatch, "numcodecs", "cramjam")
    with pytest.raises(MissingPackage) as caught:
        decoded(PLAIN, CHUNK, 800)
    line = 'pip install "azarr[fast]" or pip install numcodecs'
    assert str(caught.value) == f"the codec 'blosc' needs the package 'numcodecs', which is not installed: {line}"
    with pytest.raises(MissingPackage, match=r"the codec 'blosc' needs the package 'numcodecs', .*: pip install numcodecs$"):
        PLAIN.encode(b"data")
    with pytest.raises(MissingPackage, match=r"the codec 'blosc with snappy' needs the package 'cramjam', .*: pip install cramjam$"):
        decoded(PLAIN, SNAPPY_SHUFFLED, 512)


def test_snappy_is_not_written() -> None:
    with pytest.raises(UnknownCodec, match=r"no package writes Snappy inside Blosc: 'snappy' is read only$"):
        blosc.Blosc("blosc", {"cname": "snappy", "typesize": 1}).encode(b"1234")


# Several by one call

ROOM = 40


def in_memory(chunks: list[bytes], room: int, gap: int = 7) -> tuple[Any, list[int], list[int]]:
    """`chunks` behind `room`, with something between them; where they begin, and their sizes."""
    memory, starts = np.full(room + sum(map(len, chunks)) + gap * len(chunks), 165, np.uint8), list[int]()
    for chunk in chunks:
        starts.append(room if not starts else starts[-1] + len(chunks[len(starts) - 1]) + gap)
        memory[starts[-1] : starts[-1] + len(chunk)] = np.frombuffer(chunk, np.uint8)
    return memory, starts, [len(chunk) for chunk in chunks]


def together(chunks: list[bytes], nbytes: int, scratch: Scratch, room: int = ROOM) -> list[bytes] | None:
    """What they decode to by one call; None where they must be decoded one by one."""
    memory, starts, sizes = in_memory(chunks, room)
    before, out = memory.copy(), np.full((len(chunks), nbytes), 90, np.uint8)
    found = PLAIN.decode_many(memory, starts, sizes, out, scratch)
    assert np.array_equal(memory[room:], before[room:])
    return [row.tobytes() for row in out] if found else None


def some(count: int, nbytes: int, seed: int = 0) -> list[bytes]:
    """Data that compress, each other ones."""
    random = np.random.default_rng(seed)
    return [np.repeat(random.integers(0, 50, nbytes // 16 + 1, np.uint8), 16)[:nbytes].tobytes() for _ in range(count)]


@pytest.mark.parametrize("shuffle", [0, 1, 2])
@pytest.mark.parametrize("cname", ["blosclz", "lz4", "lz4hc", "zlib", "zstd"])
@pytest.mark.parametrize(("nbytes", "blocksize"), [(4096, 0), (4096, 1024), (32768, 4096)])
def test_chunks_that_are_alike_are_decoded_by_one_call(scratch: Scratch, cname: str, shuffle: int, nbytes: int, blocksize: int) -> None:
    blosc, data = codec("numcodecs.blosc", cname=cname, clevel=5, shuffle=shuffle, blocksize=blocksize, typesize=2), some(9, nbytes)
    found = together([bytes(blosc.encode(each)) for each in data], nbytes, scratch, 4160)
    assert found == (data if native.library() is not None else None)


@modest
@given(
    count=st.integers(1, 6),
    nbytes=st.integers(1, 600),
    seed=st.integers(0, 99),
    cname=st.sampled_from(["blosclz", "lz4", "zlib", "zstd"]),
    clevel=st.integers(0, 9),
    shuffle=st.sampled_from(["noshuffle", "shuffle", "bitshuffle"]),
    typesize=st.sampled_from([1, 2, 7, 300]),
    blocksize=st.sampled_from([0, 128, 200]),
)
def test_one_call_gives_what_several_give_or_refuses(scratch: Scratch, count: int, nbytes: int, seed: int, **configuration: Any) -> None:
    blosc, data = codec("blosc", **configuration), some(count, nbytes, seed)
    assert together([bytes(blosc.encode(each)) for each in data], nbytes, scratch, 4160) in (None, data)


@examples(300)
@given(
    seed=st.integers(0, 99),
    which=st.integers(0, 3),
    place=st.floats(0, 1, exclude_max=True),
    value=st.integers(0, 255),
    cname=st.sampled_from(["lz4", "zstd", "zlib", "blosclz"]),
)
def test_a_damaged_chunk_is_refused_or_decodes_as_it_does_alone(seed: int, which: int, place: float, value: int, cname: str) -> None:
    blosc, data, scratch = codec("blosc", cname=cname, shuffle="shuffle", typesize=2), some(4, 512, seed), Scratch()
    chunks = [bytes(blosc.encode(each)) for each in data]
    damaged = bytearray(chunks[which])
    damaged[int(place * len(damaged))] = value
    chunks[which] = bytes(damaged)
    if (found := together(chunks, 512, scratch, 200)) is not None:
        assert found == [decoded(blosc, chunk, 512, scratch) for chunk in chunks]


def stream_longer(which: int, by: int) -> bytes:
    """`CHUNK`, where one of the two streams of its block states more bytes."""
    chunk, place = bytearray(CHUNK), struct.unpack_from("<I", CHUNK, 16)[0]
    for _ in range(which):
        place += 4 + struct.unpack_from("<I", CHUNK, place)[0]
    struct.pack_into("<I", chunk, place, struct.unpack_from("<I", CHUNK, place)[0] + by)
    return bytes(chunk)


@pytest.mark.parametrize(
    ("chunks", "nbytes", "room"),
    [
        pytest.param([CHUNK, stream_longer(1, 1)], 800, ROOM, id="a stream ends behind its chunk"),
        pytest.param([stream_longer(0, 1000), CHUNK], 800, ROOM, id="a stream begins behind its chunk"),
        pytest.param([CHUNK, header(typesize=4)], 800, ROOM, id="others"),
        pytest.param([CHUNK, header(cbytes=5)], 800, ROOM, id="another size stated"),
        pytest.param([CHUNK, CHUNK[:15]], 800, ROOM, id="no header"),
        pytest.param([header(version=9)] * 2, 800, ROOM, id="no chunks"),
        pytest.param([CHUNK] * 2, 801, ROOM, id="another size expected"),
        pytest.param([CHUNK] * 300, 800, 0, id="no room for the table"),
        pytest.param([CHUNK, CHUNK[:16] + b"\x13" + CHUNK[17:]], 800, ROOM, id="a block begins in the table"),
        pytest.param([CHUNK, CHUNK[:16] + struct.pack("<I", len(CHUNK) - 3) + CHUNK[20:]], 800, ROOM, id="a block begins at the end"),
        pytest.param([ODD] * 2, 515, ROOM, id="no whole elements"),
        pytest.param([SNAPPY_SHUFFLED] * 2, 512, ROOM, id="snappy"),
        pytest.param([bytes(PLAIN.encode(b"stored"))] * 2, 6, ROOM, id="stored"),
    ],
)
def test_what_is_not_alike_or_not_sound_is_decoded_one_by_one(scratch: Scratch, chunks: list[bytes], nbytes: int, room: int) -> None:
    assert together(chunks, nbytes, scratch, room) is None


def test_chunks_may_lie_in_any_order_and_must_lie_in_the_memory(scratch: Scratch) -> None:
    memory, starts, sizes = in_memory([CHUNK, CHUNK], ROOM)
    for order in (1, -1):
        out = np.zeros((2, 800), np.uint8)
        assert PLAIN.decode_many(memory, starts[::order], sizes[::order], out, scratch) == (native.library() is not None)
        assert native.library() is None or [row.tobytes() for row in out] == [NUMBERS.tobytes()] * 2
    assert not PLAIN.decode_many(memory[:-8], starts, sizes, np.empty((2, 800), np.uint8), scratch)


def test_without_libblosc2_they_are_decoded_one_by_one(scratch: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "library", lambda: None)
    assert together([CHUNK] * 2, 800, scratch) is None
