"""The documents are run: each Python block, from top to bottom, and what `# ->` says it gives is what it gives.

The blocks of one file share their names, a folder of their own, and a web server of that folder, which stands for `https://host`. In the
folder there is `data.zarr`. In blocks of `console`, the lines that begin with `$ azarr ` are run as well.
"""

from __future__ import annotations

import ast
import asyncio
import codeop
import inspect
import io
import itertools
import re
import shlex
import textwrap
import threading
import tokenize
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import azarr
from azarr.cli.commands import app
from azarr.cli.server import serve
from prose import FILES, ROOT, Block, blocks, name

HOST = "https://host"
RUNS = [(path, form) for path in FILES for form in ((2, 3) if "data.zarr" in path.read_text(encoding="utf-8") else (3,))]
"""Files, and the Zarr format of the `data.zarr` that they read."""
RESULT = re.compile(r"# -> ?(.*)")


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The URL of a web server of `folder`. It runs on a loop and in a thread of its own, so that blocks may block."""
    ready, address = threading.Event(), list[str]()
    loop, end = asyncio.new_event_loop(), asyncio.Event()

    async def run() -> None:
        async with serve(folder) as server:
            address.append(server.url)
            ready.set()
            await end.wait()

    def main() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(run())

    thread = threading.Thread(target=main)
    thread.start()
    try:
        assert ready.wait(10), "the server did not start"
        yield address[0]
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()


async def write_data(zarr_format: int) -> None:
    """`data.zarr`: a group with the array `var`, 20 times a map of 30 x 40, where `var[i, j, k]` is 10000 i + 100 j + k."""
    await azarr.create_group("data.zarr", zarr_format=zarr_format, attributes={"title": "An example"})
    var = await azarr.create_array(
        "data.zarr",
        "var",
        shape=(20, 30, 40),
        dtype="float32",
        chunks=(5, 15, 40),
        dimension_names=("time", "y", "x"),
        attributes={"units": "K"},
        zarr_format=zarr_format,
    )
    index = np.indices((20, 30, 40))
    await var[...].write(10000 * index[0] + 100 * index[1] + index[2])


class Session:
    """Runs the blocks of one file, and keeps what differs from what the file says."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.runner = runner
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.compared = 0
        self.differences: list[str] = []

    def run(self, block: Block) -> None:
        if block.language == "python":
            for statement, expected in steps(block.code):
                self.compare(block, block.line + statement.lineno - 1, expected, self.statement(block, statement, expected))
        elif block.language == "console":
            for line, command, expected in commands(block.code):
                self.compare(block, block.line + line, expected, self.command(command))

    def statement(self, block: Block, statement: ast.stmt, expected: str | None) -> str:
        """What the statement prints, and gives; or the error that it raises, if one is expected."""
        single = isinstance(statement, ast.Expr)
        tree = ast.Expression(statement.value) if single else ast.Module([statement], [])
        ast.increment_lineno(tree, block.line - 1)
        code = compile(tree, str(block.path), "eval" if single else "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        with redirect_stdout(io.StringIO()) as printed:
            try:
                value = eval(code, self.names)
                if code.co_flags & inspect.CO_COROUTINE:
                    value = self.runner.run(value)
            except Exception as error:
                if expected is None:
                    raise
                print(f"{type(error).__name__}: {error}")
                value = None
            if single and value is not None:
                print(repr(value))
        return printed.getvalue()

    def command(self, command: str) -> str:
        return CliRunner().invoke(app, shlex.split(command), env={"COLUMNS": "100"}, catch_exceptions=False).output

    def compare(self, block: Block, line: int, expected: str | None, got: str) -> None:
        if expected is None:
            return
        self.compared += 1
        got = "\n".join(part.rstrip() for part in got.rstrip().splitlines())
        if got != expected:
            shown = f"expected\n{textwrap.indent(expected, '    ')}\ngot\n{textwrap.indent(got, '    ')}"
            self.differences.append(f"{name(block.path)}:{line}: {shown}")


def steps(code: str) -> list[tuple[ast.stmt, str | None]]:
    """The statements of a block, each with what the comments `# ->` in it or after it say that it gives."""
    body = ast.parse(code).body
    expected: dict[int, list[str]] = {}
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.COMMENT and (found := RESULT.match(token.string)):
            place = max(place for place, statement in enumerate(body) if statement.lineno <= token.start[0])
            expected.setdefault(place, []).append(found[1].rstrip())
    return [(statement, "\n".join(expected[place]) if place in expected else None) for place, statement in enumerate(body)]


def typed(code: str) -> None:
    """Take in `code` as `python -m asyncio` does, line by line: what is indented ends with an empty line."""
    compiler, waiting = codeop.CommandCompiler(), list[str]()
    compiler.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    for line in [*code.splitlines(), ""]:
        waiting.append(line)
        if compiler("\n".join(waiting)) is not None:
            waiting = []
    assert not "".join(waiting), waiting


def commands(code: str) -> Iterator[tuple[int, str, str]]:
    """The lines `$ azarr ...` of a block, each with its number and the lines that follow it."""
    lines = code.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    for start, stop in itertools.pairwise([*starts, len(lines)]):
        if lines[start].startswith("$ azarr "):
            yield start, lines[start].removeprefix("$ azarr "), "\n".join(lines[start + 1 : stop]).strip("\n")


def run_file(path: Path, text: str, folder: Path, zarr_format: int) -> Session:
    with served(folder) as url, asyncio.Runner() as runner:
        runner.run(write_data(zarr_format))
        session = Session(runner)
        for block in blocks(path, text.replace(HOST, url)):
            session.run(block)
        return session


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that blocks run in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("path", "zarr_format"), RUNS, ids=lambda value: name(value) if isinstance(value, Path) else f"v{value}")
def test_each_python_block_runs_and_gives_what_it_says(path: Path, zarr_format: int, folder: Path) -> None:
    text = path.read_text(encoding="utf-8")
    session = run_file(path, text, folder, zarr_format)
    assert not session.differences, "\n\n".join(session.differences)
    assert bool(session.compared) == ("```python" in text), "a file with code says what some of it gives"


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "docs" / "tutorial.md"], ids=name)
def test_blocks_that_are_said_to_run_in_a_console_are_such_as_it_takes(path: Path) -> None:
    for block in blocks(path, path.read_text(encoding="utf-8")):
        if block.language == "python":
            typed(block.code)


def test_the_tutorial_has_a_row_for_each_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    table = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8").partition("## ")[0]
    rows = re.findall(r"^\| ([^|]*) \|", table, re.MULTILINE)
    assert {extra for row in rows for extra in re.findall(r"`([^`]+)`", row)} == set(extras)


def test_a_result_that_is_not_as_the_document_says_is_found(folder: Path) -> None:
    text = "```python\nx = 1\nx + 1  # -> 3\nprint('a\\nb')\n# -> a\n# -> c\n1 / 0  # -> ZeroDivisionError: division by zero\n```\n"
    session = run_file(ROOT / "README.md", text, folder, 3)
    assert session.compared == 3
    assert session.differences == [
        "README.md:3: expected\n    3\ngot\n    2",
        "README.md:4: expected\n    a\n    c\ngot\n    a\n    b",
    ]
