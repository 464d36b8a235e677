"""What all commands share: the app, its options, and how results, errors and progress are shown. Knows typer and rich; no command.

Results go to stdout, all else to stderr. Exit status: 0 done; 1 it could not be done, or what was checked is damaged; 2 an error of use.
"""

import asyncio
import os
import re
import warnings
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn
from typer.core import TyperGroup

import azarr
from azarr.cli.json_text import json_text
from azarr.errors import AzarrError

FIRST = """\
azarr: look at Zarr data, check, copy and serve them, in a folder or behind a URL.

What to do first:
  azarr demo --keep .                           write real climate data (needs pip install 'azarr[demo]')
  azarr tree climate.zarr                       see what is in them; a URL will do as well
  azarr plot climate.zarr/air_temperature -1    draw the last year in this terminal

azarr --help names all commands, azarr COMMAND --help explains one, azarr doctor tells what is installed."""

# fmt: off
ORDER = ["info", "tree", "ls", "cat", "stats", "plot", "copy", "rechunk", "consolidate", "verify", "reference", "doctor", "serve", "view",
         "demo"]
# fmt: on
"""Commands as the help names them."""


def place_of(command: str) -> int:
    """Where a command stands."""
    return ORDER.index(command)


class Ordered(TyperGroup):
    """The commands in that order."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names."""
        return sorted(super().list_commands(ctx), key=place_of)


app = typer.Typer(
    name="azarr",
    cls=Ordered,
    help="Look at Zarr data, check, copy and serve them: in a folder or behind a URL.",
    pretty_exceptions_enable=False,
)

URL = Annotated[str, typer.Argument(metavar="URL", help="A URL or a path: of a hierarchy, or of a node inside it.")]
AsJSON = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
INSIDE = re.compile(r"\.(zip|json|parq|parquet)/", re.IGNORECASE)
"""The end of what is a store by itself, where more follows."""
LOOKING, CHANGING, SERVING = "Look", "Check and change", "Serve"
"""Panels of the help."""


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version of azarr, and exit.")] = False
) -> None:
    """Say what to do first, where no command is given."""
    if version or context.invoked_subcommand is None:
        typer.echo(azarr.__version__ if version else FIRST)
        raise typer.Exit


def parted(url: str) -> tuple[str, str]:
    """The store and the path in it. What stands behind a zip file or references is inside of them; on this machine, if they are such."""
    place, mark, query = url.partition("?") if "://" in url else (url, "", "")
    local = "://" not in url or url.startswith("file://")
    host = re.match(r"[^/]*://[^/]*", place)
    for found in INSIDE.finditer(place, host.end() if host else 0):
        store, path = place[: found.end() - 1], place[found.end() :].strip("/")
        folder = store.removeprefix("file://")
        if path and "::" not in place and (not local or os.path.isfile(folder) or os.path.isfile(f"{folder}/.zmetadata")):
            return f"{store}{mark}{query}", path
    return url, ""


def place(open_node: Callable[[str, str], azarr.Ref[Any]], url: str) -> azarr.Ref[Any]:
    """What is to be opened; nothing is asked for yet. A URL that no store is for is an error of use."""
    try:
        return open_node(*parted(url))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="URL") from error
    except AzarrError as error:  # a package that is missing
        fail(error)


def run(command: Coroutine[Any, Any, None]) -> None:
    """Run a command; an error that says what is wrong is shown as one line."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning
            asyncio.run(command)
    except BrokenPipeError:  # who reads has seen enough
        raise
    except (AzarrError, OSError) as error:
        fail(error)


def fail(error: Exception) -> NoReturn:
    """End with an error as one line."""
    typer.echo(f"azarr: {' '.join(str(error).split())}", err=True)
    raise typer.Exit(1) from error


def show_warning(message: Warning | str, *_: Any) -> None:
    """Show a warning without the place in the code where it arose."""
    typer.echo(f"azarr: warning: {message}", err=True)


def say(as_json: bool, facts: Any, text: Any) -> None:
    """Print a result: `facts` as JSON, or `text`, which may be anything that rich shows."""
    if as_json or isinstance(text, str):
        typer.echo(json_text(facts) if as_json else text)
    else:
        Console().print(text)


@contextmanager
def bar(*columns: ProgressColumn) -> Generator[Callable[[int, int], None]]:
    """A bar on stderr where that is a terminal; what is given is to be told how much is done, and of how much."""
    console = Console(stderr=True)
    columns = (BarColumn(None), TaskProgressColumn(), *columns)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as shown:
        task = shown.add_task("", total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
