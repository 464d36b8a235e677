"""The floor: the same bytes read and decoded by the bare library calls. Knows the layouts of `data`; no Zarr library.

Each thread takes the next chunk, reads its file into a scratch buffer (`readv`), decodes it with libblosc2 (its Blosc
and its Zstandard; called by ctypes, which releases the GIL) and assigns it to its place. Nothing is checked but sizes.
"""

import ctypes
import itertools
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import EllipsisType
from typing import Any

import numpy as np

from bench.data import ARRAYS, Layout

Todo = Iterator[tuple[tuple[int, ...], str]]
Decode = Callable[[int, int, int, int], int]  # source address and size, target address and size -> bytes written

INDEX_ENTRY = 16  # bytes: offset and size of an inner chunk, two 64-bit integers
CHECKSUM = 4  # bytes of crc32c behind the index of a shard


@dataclass(frozen=True, slots=True)
class Bare:
    """An opened array: the layout, a directory to open keys in, the keys by coordinates, and how many threads."""

    layout: Layout
    shape: tuple[int, ...]
    directory: int
    keys: dict[tuple[int, ...], str]
    threads: int
    item: Callable[[str, int, np.ndarray], None] | None  # reads some elements of one chunk


def opener(threads: int) -> Callable[[Path], Bare]:
    """A function that opens the array at a path, to be read with so many threads."""

    def start(path: Path) -> Bare:
        layout = ARRAYS[path.name]
        shape = tuple(json.loads((path / "zarr.json").read_text())["shape"])
        counts = [length // step for length, step in zip(shape, layout.shards or layout.chunks, strict=True)]
        keys = {coordinates: "/".join(map(str, coordinates)) for coordinates in itertools.product(*map(range, counts))}
        directory = os.open(path / "c", os.O_RDONLY)
        has_items = layout.shards is None and layout.codec is not None and layout.codec["name"] == "blosc"
        item = _item(layout, directory) if has_items else None
        return Bare(layout, shape, directory, keys, threads, item)

    return start


def read(array: Bare, selection: EllipsisType | tuple[int | slice, ...]) -> np.ndarray:
    """Everything, or a few elements within one chunk of Blosc (which decodes only the block they are in)."""
    if not isinstance(selection, tuple):
        return _read_all(array)
    row, down, right = selection
    assert isinstance(row, int)
    assert isinstance(down, int)
    assert isinstance(right, slice)
    assert array.item is not None
    _, height, width = array.layout.chunks
    result = np.empty(right.stop - right.start, "<u2")
    first = down % height * width + right.start % width
    array.item(array.keys[row, down // height, right.start // width], first, result)
    return result


def members(path: Path, consolidated: bool) -> dict[str, tuple[tuple[int, ...], str]]:
    """The JSON documents, parsed and not looked at any further."""
    if consolidated:
        with open(f"{path}/zarr.json", "rb", buffering=0) as file:
            found = json.loads(file.read())["consolidated_metadata"]["metadata"]
    else:
        directory = os.open(path, os.O_RDONLY)
        found: dict[str, Any] = {}
        for name in os.listdir(directory):
            if name != "zarr.json":
                file = os.open(f"{name}/zarr.json", os.O_RDONLY, dir_fd=directory)
                found[name] = json.loads(os.read(file, 1 << 16))
                os.close(file)
        os.close(directory)
    return {name: (tuple(document["shape"]), document["data_type"]) for name, document in found.items()}


def _read_all(array: Bare) -> np.ndarray:
    result = np.empty(array.shape, "<u2")
    todo = iter(array.keys.items())  # `next` on it holds the GIL: each chunk is taken once
    places = blocks(result, array.layout.shards or array.layout.chunks)
    fill = _fill_shards if array.layout.shards else _fill_decoded if array.layout.codec else _fill_plain
    arguments = (array.layout, array.directory, todo, places)
    threads = [threading.Thread(target=fill, args=arguments) for _ in range(array.threads - 1)]
    for thread in threads:
        thread.start()
    fill(*arguments)
    for thread in threads:
        thread.join()
    return result


def blocks(array: np.ndarray, steps: tuple[int, ...]) -> np.ndarray:
    """A view of `array` in which an index of as many integers gives the block of that place."""
    pairs = [(length // step, step) for length, step in zip(array.shape, steps, strict=True)]
    ndim = len(steps)
    axes = (*range(0, 2 * ndim, 2), *range(1, 2 * ndim, 2))
    return array.reshape(*itertools.chain(*pairs)).transpose(axes)


def _fill_plain(layout: Layout, directory: int, todo: Todo, places: np.ndarray) -> None:
    scratch = np.empty(layout.chunks, "<u2")
    for coordinates, key in todo:
        file = os.open(key, os.O_RDONLY, dir_fd=directory)
        size = os.readv(file, [scratch])
        os.close(file)
        if size != scratch.nbytes:
            raise ValueError(f"{key} has {size} bytes")
        places[coordinates] = scratch


def _fill_decoded(layout: Layout, directory: int, todo: Todo, places: np.ndarray) -> None:
    assert layout.codec is not None
    decode = DECODERS[layout.codec["name"]]()
    scratch = np.empty(layout.chunks, "<u2")
    encoded = [np.empty(scratch.nbytes + 4096, "u1")]
    source, target, room = encoded[0].ctypes.data, scratch.ctypes.data, scratch.nbytes
    for coordinates, key in todo:
        file = os.open(key, os.O_RDONLY, dir_fd=directory)
        size = os.readv(file, encoded)
        os.close(file)
        if decode(source, size, target, room) != room:
            raise ValueError(f"{key} does not decode to {room} bytes")
        places[coordinates] = scratch


def _fill_shards(layout: Layout, directory: int, todo: Todo, places: np.ndarray) -> None:
    assert layout.shards is not None
    assert layout.codec is not None
    decode = DECODERS[layout.codec["name"]]()
    counts = [shard // chunk for shard, chunk in zip(layout.shards, layout.chunks, strict=True)]
    inner = list(itertools.product(*map(range, counts)))
    scratch = np.empty(layout.chunks, "<u2")
    shard = np.empty(2 * int(np.prod(layout.shards)) + (1 << 20), "u1")
    source, target, room = shard.ctypes.data, scratch.ctypes.data, scratch.nbytes
    for coordinates, key in todo:
        file = os.open(key, os.O_RDONLY, dir_fd=directory)
        size = os.readv(file, [shard])
        os.close(file)
        index = shard[size - CHECKSUM - INDEX_ENTRY * len(inner) : size - CHECKSUM].view("<u8").reshape(-1, 2).tolist()
        inner_places = blocks(places[coordinates], layout.chunks)
        for place, (offset, nbytes) in zip(inner, index, strict=True):
            if decode(source + offset, nbytes, target, room) != room:
                raise ValueError(f"an inner chunk of {key} does not decode to {room} bytes")
            inner_places[place] = scratch


def _item(layout: Layout, directory: int) -> Callable[[str, int, np.ndarray], None]:
    encoded = [np.empty(2 * int(np.prod(layout.chunks)) + 4096, "u1")]
    source = encoded[0].ctypes.data
    library, context = _blosc()
    call = library.blosc2_getitem_ctx
    pointer, size = ctypes.c_void_p, ctypes.c_int32
    call.argtypes, call.restype = (pointer, pointer, size, size, size, pointer, size), ctypes.c_int

    def item(key: str, first: int, result: np.ndarray) -> None:
        file = os.open(key, os.O_RDONLY, dir_fd=directory)
        nbytes = os.readv(file, encoded)
        os.close(file)
        written = call(context, source, nbytes, first, result.size, result.ctypes.data, result.nbytes)
        if written != result.nbytes:
            raise ValueError(f"{key} gives {written} bytes")

    return item


# libblosc2 by ctypes ------------------------------------------------------------------------------------------------


class _Parameters(ctypes.Structure):
    """`blosc2_dparams` of libblosc2."""

    _fields_ = (
        ("nthreads", ctypes.c_int16),
        ("schunk", ctypes.c_void_p),
        ("postfilter", ctypes.c_void_p),
        ("postparams", ctypes.c_void_p),
        ("typesize", ctypes.c_int32),
    )


def _library() -> ctypes.CDLL:
    import blosc2

    names = [Path(blosc2.__file__).parent / "lib" / f"libblosc2.{ending}" for ending in ("so", "dylib", "dll")]
    return ctypes.CDLL(str(next(name for name in names if name.exists())))


def _blosc() -> tuple[ctypes.CDLL, ctypes.c_void_p]:
    library = _library()
    library.blosc2_init()
    library.blosc2_create_dctx.argtypes = (_Parameters,)
    library.blosc2_create_dctx.restype = ctypes.c_void_p
    return library, ctypes.c_void_p(library.blosc2_create_dctx(_Parameters(1, None, None, None, 8)))


def _blosc_decoder() -> Decode:
    library, context = _blosc()
    call = library.blosc2_decompress_ctx
    pointer, size = ctypes.c_void_p, ctypes.c_int32
    call.argtypes, call.restype = (pointer, pointer, size, pointer, size), ctypes.c_int
    return lambda source, nbytes, target, room: call(context, source, nbytes, target, room)


def _zstd_decoder() -> Decode:
    library = _library()
    library.ZSTD_createDCtx.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.ZSTD_createDCtx())
    call = library.ZSTD_decompressDCtx
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    call.argtypes, call.restype = (pointer, pointer, size, pointer, size), ctypes.c_size_t
    return lambda source, nbytes, target, room: call(context, target, room, source, nbytes)


DECODERS: dict[str, Callable[[], Decode]] = {"blosc": _blosc_decoder, "zstd": _zstd_decoder}
