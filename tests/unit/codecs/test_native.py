"""libblosc2: found where it is installed, done without where it is not."""

from __future__ import annotations

import ctypes
import gc
import importlib.machinery
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from azarr.codecs import native
from azarr.scratch import Scratch
from oracles import numcodecs, zstd

NUMBERS = np.arange(100, dtype="<u4")
ENCODED = {"blosc": numcodecs.Blosc("zstd", 5, 1).encode(NUMBERS), "zstd": zstd.compress(NUMBERS.tobytes())}


@pytest.mark.parametrize("name", ["blosc", "zstd"])
def test_a_chunk_is_decoded_into_the_given_memory(name: str) -> None:
    decode = native.decoder(name, Scratch())
    assert decode is not None
    out = np.zeros(400, np.uint8)
    assert decode(np.frombuffer(ENCODED[name], np.uint8), out) == 400
    assert out.tobytes() == NUMBERS.tobytes()


@pytest.mark.parametrize("name", ["blosc", "zstd"])
def test_data_that_do_not_decode_give_a_negative_number(name: str) -> None:
    decode = native.decoder(name, Scratch())
    assert decode is not None
    cut = np.frombuffer(ENCODED[name], np.uint8)[:-1].copy()
    assert decode(cut, np.zeros(400, np.uint8)) < 0
    assert decode(np.frombuffer(ENCODED[name], np.uint8), np.zeros(4, np.uint8)) < 0


def test_no_bytes_are_no_frame() -> None:
    decode = native.decoder("zstd", Scratch())
    assert decode is not None
    assert decode(np.empty(0, np.uint8), np.zeros(4, np.uint8)) == 0


def test_memory_that_can_be_written_is_read_like_memory_that_cannot() -> None:
    decode = native.decoder("zstd", Scratch())
    assert decode is not None
    out = np.zeros(400, np.uint8)
    assert decode(np.frombuffer(bytearray(ENCODED["zstd"]), np.uint8)[:], out) == 400
    assert out.tobytes() == NUMBERS.tobytes()


def test_a_worker_has_one_decoder_of_each_kind() -> None:
    mine, yours = Scratch(), Scratch()
    assert native.decoder("blosc", mine) is native.decoder("blosc", mine)
    assert native.decoder("blosc", mine) is not native.decoder("blosc", yours)
    assert native.decoder("blosc", mine) is not native.decoder("zstd", mine)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a worker would find if these files were installed, and this were what the library among them has."""

    def install(*files: str, **functions: Any) -> Any:
        loaded: list[str] = []

        def load(path: str) -> SimpleNamespace:
            loaded.append(Path(path).name)
            return SimpleNamespace(blosc2_init=lambda: None, **functions)

        (tmp_path / "lib").mkdir()
        for name in files:
            (tmp_path / "lib" / name).touch()
        spec = importlib.machinery.ModuleSpec("blosc2", None, is_package=True)
        spec.submodule_search_locations = [str(tmp_path)]
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
        monkeypatch.setattr(native, "CDLL", load)
        return native.library.__wrapped__(), loaded

    return install


@pytest.mark.parametrize("name", ["libblosc2.so", "libblosc2.dylib", "libblosc2.dll"])
def test_the_shared_library_is_found_beside_what_is_none(installed: Any, name: str) -> None:
    library, loaded = installed("libblosc2.a", "libblosc2.lib", name)
    assert library is not None
    assert loaded == [name]


def test_a_package_without_a_shared_library_is_done_without(installed: Any) -> None:
    assert installed("libblosc2.a") == (None, [])


def test_no_package_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert native.library.__wrapped__() is None
    monkeypatch.setattr(native, "library", lambda: None)
    scratch = Scratch()
    assert native.decoder("blosc", scratch) is None
    assert native.decoder("zstd", scratch) is None
    assert scratch.state == {}  # one that is installed later is found


def test_a_library_that_hides_zstandard_decodes_blosc_only(monkeypatch: pytest.MonkeyPatch) -> None:
    freed: list[int] = []
    hiding = SimpleNamespace(
        blosc2_create_dctx=lambda parameters: 7, blosc2_decompress_ctx=lambda *arguments: arguments[0], blosc2_free_ctx=freed.append
    )
    monkeypatch.setattr(native, "library", lambda: hiding)
    scratch = Scratch()
    assert native.decoder("zstd", scratch) is None
    decode = native.decoder("blosc", scratch)
    assert decode is not None
    assert decode(np.zeros(1, np.uint8), np.zeros(1, np.uint8)) == 7
    assert freed == []
    del decode, scratch
    gc.collect()
    assert freed == [7]


def test_a_context_is_freed_with_its_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    freed: list[int] = []
    real = native.library()
    assert real is not None

    def free(pointer: int) -> int:
        freed.append(pointer)
        return real.ZSTD_freeDCtx(pointer)

    watched = SimpleNamespace(ZSTD_createDCtx=real.ZSTD_createDCtx, ZSTD_freeDCtx=free, ZSTD_decompressDCtx=real.ZSTD_decompressDCtx)
    monkeypatch.setattr(native, "library", lambda: watched)
    scratch = Scratch()
    native.decoder("zstd", scratch)
    scratch.state.clear()
    gc.collect()
    assert len(freed) == 1


def test_the_parameters_are_laid_out_as_in_blosc2_h() -> None:
    offsets = {name: getattr(native.Parameters, name).offset for name in ("nthreads", "schunk", "postfilter", "postparams", "typesize")}
    pointer = ctypes.sizeof(ctypes.c_void_p)
    assert offsets == {"nthreads": 0, "schunk": pointer, "postfilter": 2 * pointer, "postparams": 3 * pointer, "typesize": 4 * pointer}


def test_the_python_code_of_blosc2_is_never_loaded() -> None:
    code = "import sys; from azarr.codecs import native; assert native.library(); assert 'blosc2' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
