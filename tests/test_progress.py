"""What `progress=` is told of reads, writes, streams and copies: on the event loop, forward, and to the end. And how it is drawn."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import azarr
from azarr import Context
from azarr.errors import MissingPackage, StoreError
from azarr.stores import LocalStore, MemoryStore
from azarr.testing import CountingStore
from azarr.tools import progress as progress_module
from azarr.tools.progress import bar_html
from fakes import Conditional, Waiting

VALUES = np.arange(1, 601, dtype="i4").reshape(20, 30)


class Told(list[tuple[int, int]]):
    """What was told. Each call was on the loop that this was made on."""

    def __init__(self) -> None:
        super().__init__()
        self.loop, self.thread = asyncio.get_running_loop(), threading.get_ident()

    def __call__(self, done: int, total: int) -> None:
        assert asyncio.get_running_loop() is self.loop
        assert threading.get_ident() == self.thread
        self.append((done, total))

    def ended_at(self, total: int) -> bool:
        """Whether it went forward all the time, and ended at `total` of `total`."""
        counts = [done for done, _ in self]
        return counts == sorted(set(counts)) and counts[-1:] == [total] and {each for _, each in self} == {total}


def memory(documents: Any, folder: Path) -> Any:
    return MemoryStore(documents)


def local(documents: Any, folder: Path) -> Any:
    for key, data in documents.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(data)
    return LocalStore(folder)


def waiting(documents: Any, folder: Path) -> Any:
    return CountingStore(MemoryStore(documents))


ways = pytest.mark.parametrize("way", [memory, local, waiting], ids=lambda way: way.__name__)
FLAT, SHARDS = {"chunks": (7, 8)}, {"chunks": (2, 5), "shards": (10, 10)}
layouts = pytest.mark.parametrize("layout", [FLAT, SHARDS], ids=["chunks", "shards"])


async def stored(**options: Any) -> dict[str, bytes]:
    store: dict[str, bytes] = {}
    await azarr.save(store, "", VALUES, **options)
    return store


# Reading


@ways
@pytest.mark.parametrize(
    ("layout", "select", "total"),
    [
        (FLAT, lambda array: array[...], 12),
        (FLAT, lambda array: array[7:14, 0], 1),
        (FLAT, lambda array: array[::-7, 8:], 9),
        (FLAT, lambda array: array.oindex[[0, 19, 1], [29, 0]], 4),
        (FLAT, lambda array: array.vindex[[19, 0, 19, 1], [29, 0, 28, 0]], 2),
        (SHARDS, lambda array: array[...], 60),
        (SHARDS, lambda array: array[9:11, 4:6], 4),
        (SHARDS, lambda array: array.vindex[[19, 0, 1, 10], [29, 0, 4, 0]], 3),
    ],
    ids=["all", "one", "backwards", "orthogonal", "points", "all of shards", "parts of shards", "points of shards"],
)
async def test_a_read_is_told_in_chunks(way: Callable[..., Any], layout: Any, select: Any, total: int, tmp_path: Path):
    array = await azarr.open_array(way(await stored(**layout), tmp_path))
    told = Told()
    found = await select(array).read(progress=told)
    assert told.ended_at(total)
    np.testing.assert_array_equal(found, await select(array))


@ways
async def test_absent_chunks_and_those_from_a_cache_are_told_too(way: Callable[..., Any], tmp_path: Path):
    documents = await stored(**FLAT, fill_value=-1)
    del documents["c/0/0"]
    array = await azarr.open_array(way(documents, tmp_path), context=Context(cache="1 MiB"))
    for _ in range(2):
        told = Told()
        await array[...].read(progress=told)
        assert told.ended_at(12)


@ways
async def test_a_read_of_nothing_tells_nothing(way: Callable[..., Any], tmp_path: Path):
    array = await azarr.open_array(way(await stored(**FLAT), tmp_path))
    told = Told()
    await array[3:3].read(progress=told)
    assert told == []


async def test_a_read_by_several_threads_is_told_on_the_loop():
    store: dict[str, bytes] = {}
    values = np.arange(1 << 22, dtype="i4")
    array = await azarr.save(store, "", values, chunks=(1 << 18,), context=Context(workers=4))
    told = Told()
    await array[...].read(progress=told)
    assert told.ended_at(16)


@ways
async def test_a_read_that_fails_is_not_told_to_the_end(way: Callable[..., Any], tmp_path: Path):
    documents = await stored(**FLAT)
    documents["c/1/1"] = b"damaged"
    array = await azarr.open_array(way(documents, tmp_path))
    told = Told()
    with pytest.raises(StoreError, match="c/1/1"):
        await array[...].read(progress=told)
    assert (12, 12) not in told


@ways
@layouts
@pytest.mark.parametrize("ordered", [False, True])
async def test_a_stream_is_told_in_blocks(way: Callable[..., Any], layout: Any, ordered: bool, tmp_path: Path):
    array = await azarr.open_array(way(await stored(**layout), tmp_path))
    told = Told()
    blocks = [block async for block in array[:, 3:].blocks(ordered=ordered, progress=told)]
    assert told.ended_at(len(blocks))
    assert sum(block.data.sum() for block in blocks) == VALUES[:, 3:].sum()


# Writing


def to_memory(folder: Path) -> Any:
    return MemoryStore()


def to_local(folder: Path) -> Any:
    return LocalStore(folder)


def to_unversioned(folder: Path) -> Any:
    return Waiting()


def to_conditional(folder: Path) -> Any:
    return Conditional()


targets = pytest.mark.parametrize("made", [to_memory, to_local, to_unversioned, to_conditional], ids=lambda made: made.__name__[3:])


@targets
@pytest.mark.parametrize(
    ("layout", "select", "total"),
    [
        (FLAT, lambda array: array[...], 12),
        (FLAT, lambda array: array[6:8, 3], 2),
        (FLAT, lambda array: array[::14], 8),
        (FLAT, lambda array: array.oindex[[0, 19], [29, 0]], 4),
        (FLAT, lambda array: array.vindex[[19, 0], [29, 0]], 2),
        (SHARDS, lambda array: array[...], 6),
        (SHARDS, lambda array: array[9:11, 4:6], 2),
        (SHARDS, lambda array: array.vindex[[19, 0], [29, 0]], 2),
    ],
    ids=["all", "parts", "steps", "orthogonal", "points", "all of shards", "parts of shards", "points of shards"],
)
async def test_a_write_is_told_in_chunks_or_shards(made: Callable[[Path], Any], layout: Any, select: Any, total: int, tmp_path: Path):
    array = await azarr.save(made(tmp_path), "", VALUES, **layout)
    told = Told()
    await select(array).write(7, progress=told)
    assert told.ended_at(total)
    assert (await select(array) == 7).all()


# Copying


@targets
@pytest.mark.parametrize("changes", [{}, {"chunks": (5, 30)}, {"chunks": (5, 5), "shards": (10, 15)}], ids=["as it is", "chunks", "shards"])
async def test_a_copy_is_told_in_bytes_of_all_its_arrays(made: Callable[[Path], Any], changes: Any, tmp_path: Path):
    source: dict[str, bytes] = {}
    await azarr.create_group(source)
    await azarr.save(source, "one", VALUES, **FLAT)
    await azarr.create_array(source, "a/sparse", shape=(20, 30), dtype="u1", chunks=(7, 8))
    told = Told()
    await azarr.copy(source, made(tmp_path), progress=told, **changes)
    assert told.ended_at(2400 + 600)


async def test_a_copy_that_goes_on_is_told_of_all_of_it():
    source: dict[str, bytes] = {}
    array = await azarr.save(source, "", VALUES, **FLAT)
    target = Waiting(fails_at=6)
    target.armed = True
    with pytest.raises(StoreError, match="the connection was lost"):
        await azarr.copy(array, target)
    told = Told()
    await azarr.copy(array, target, progress=told)
    assert told.ended_at(2400)


# Drawing


async def reading(tell: Callable[[int, int], None]) -> None:
    array = await azarr.open_array(await stored(**FLAT))
    np.testing.assert_array_equal(await array[...].read(progress=tell), VALUES)


async def test_in_a_terminal_it_is_drawn_by_rich(capsys: pytest.CaptureFixture[str]):
    with azarr.progress("reading") as tell:
        await reading(tell)
    drawn = capsys.readouterr().out
    assert "reading" in drawn
    assert "12/12" in drawn


async def test_an_error_ends_the_drawing_and_is_raised(capsys: pytest.CaptureFixture[str]):
    def fail() -> None:
        with azarr.progress("reading") as tell:
            tell(1, 4)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert "1/4" in capsys.readouterr().out
    with azarr.progress():
        pass


async def test_without_rich_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(progress_module, "import_module", missing)
    said = r"a progress bar needs the package 'rich', which is not installed: pip install 'azarr\[cli\]'"
    with pytest.raises(MissingPackage, match=said), azarr.progress("reading"):
        raise AssertionError


class Notebook:
    """IPython with a kernel, as far as drawing needs it; `shown` is what was drawn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, kernel: bool = True) -> None:
        self.shown: list[str] = []
        shell = SimpleNamespace(kernel=None) if kernel else SimpleNamespace()
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
        drawing = SimpleNamespace(HTML=str, display=self.display)
        monkeypatch.setitem(sys.modules, "IPython.display", drawing)

    def display(self, drawn: str, *, display_id: bool) -> Any:
        assert display_id
        self.shown.append(drawn)
        return SimpleNamespace(update=self.shown.append)


async def test_in_a_notebook_it_is_html_that_is_drawn_anew(monkeypatch: pytest.MonkeyPatch):
    notebook = Notebook(monkeypatch)
    with azarr.progress("reading") as tell:
        await reading(tell)
    assert notebook.shown[0] == 'reading <progress value="0" max="1"></progress> 0 of 1'
    assert notebook.shown[-1] == 'reading <progress value="12" max="12"></progress> 12 of 12'


async def test_in_a_notebook_it_is_drawn_at_most_200_times(monkeypatch: pytest.MonkeyPatch):
    notebook = Notebook(monkeypatch)
    with azarr.progress() as tell:
        for done in range(1, 100_001):
            tell(done, 100_000)
    assert len(notebook.shown) == 201
    assert notebook.shown[-1].endswith("100,000 of 100,000")


async def test_ipython_in_a_terminal_is_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    notebook = Notebook(monkeypatch, kernel=False)
    with azarr.progress("reading") as tell:
        tell(1, 2)
    assert notebook.shown == []
    assert "1/2" in capsys.readouterr().out


IN_IPYTHON = """\
import sys
from io import StringIO
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.kernel = None
shell.display_pub = CapturingDisplayPublisher()
import azarr
with azarr.progress("reading") as tell:
    tell(1, 2)
    tell(2, 2)
for each in shell.display_pub.outputs:
    print(each["data"]["text/html"], each["update"])
"""


async def test_ipython_itself_shows_one_bar_and_updates_it(tmp_path: Path):
    environment = {"IPYTHONDIR": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    pipes: Any = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE, "env": environment}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", IN_IPYTHON, **pipes)
    printed, errors = await asyncio.wait_for(process.communicate(), 60)
    assert errors == b""
    assert printed.decode().splitlines() == [
        'reading <progress value="0" max="1"></progress> 0 of 1 False',
        'reading <progress value="1" max="2"></progress> 1 of 2 True',
        'reading <progress value="2" max="2"></progress> 2 of 2 True',
    ]


def test_a_title_is_text_and_not_html():
    assert bar_html("<b>", 0, 0) == '&lt;b&gt; <progress value="0" max="1"></progress> 0 of 0'


async def test_whatever_takes_two_numbers_may_be_told(tmp_path: Path):
    """The protocol is a function of two integers, so the tools of others fit."""
    seen: dict[str, int] = {}

    def tell(done: int, total: int) -> None:
        seen.update(n=done, total=total)

    work: Awaitable[Any] = azarr.open_array(await stored(**FLAT))[...].read(progress=tell)
    await work
    assert seen == {"n": 12, "total": 12}
