"""The commands: what each reads and prints. Knows typer; an error of azarr is one line on stderr and exit status 1."""

import asyncio
import tempfile
import warnings
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.filesize import decimal

import azarr
from azarr.cli.description import describe, table
from azarr.cli.selection_text import parse_selection
from azarr.errors import AzarrError, LimitExceeded, MissingPackage

CAT_LIMIT = 1_000_000_000  # Bytes that `azarr cat` reads at most; the values are for reading by eye.
DEMO_PACKAGES = ("aiohttp", "iris_sample_data", "matplotlib", "netCDF4")

app = typer.Typer(
    name="azarr",
    help="Look at Zarr data: in a folder or behind a URL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

URL = Annotated[str, typer.Argument(metavar="URL", help="A URL or a path: of a hierarchy, or of a node inside it.")]


def place(open_node: Callable[[str], azarr.Ref], url: str) -> azarr.Ref:
    """What is to be opened; nothing is asked for yet. A URL that no store is for is an error of use."""
    try:
        return open_node(url)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="URL") from error


def run(command: Coroutine[Any, Any, None]) -> None:
    """Run a command; an error that says what is wrong is shown as one line."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning
            asyncio.run(command)
    except (AzarrError, OSError) as error:
        typer.echo(f"azarr: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(1) from error


def show_warning(message: Warning | str, *_: Any) -> None:
    """Show a warning without the place in the code where it arose."""
    typer.echo(f"azarr: warning: {message}", err=True)


@app.command()
def tree(url: URL) -> None:
    """Print the groups and arrays of a hierarchy as a tree."""
    run(print_tree(place(azarr.open_group, url)))


async def print_tree(group: azarr.Ref) -> None:
    """The tree, as text."""
    typer.echo(str(await (await group).tree()))


@app.command()
def info(url: URL) -> None:
    """Print what is known of an array or group without reading its chunks."""
    run(print_info(url, place(azarr.open, url)))


async def print_info(url: str, node: azarr.Ref) -> None:
    """The table of what is known."""
    Console().print(table(describe(url, await node)))


@app.command(context_settings={"ignore_unknown_options": True})  # Else a selection such as -1 would be an option.
def cat(
    url: URL,
    selection: Annotated[
        str, typer.Argument(metavar="SELECTION", help='As between brackets in Python: "5:,0,::2".')
    ] = "...",
) -> None:
    """Print the values of an array, or of a part of it."""
    try:
        key = parse_selection(selection)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="SELECTION") from error
    run(print_values(place(azarr.open_array, url), key))


async def print_values(array: azarr.Ref, key: Any) -> None:
    """The values as NumPy prints them; of more than a thousand, those at the edges."""
    part = (await array)[key]
    if part.nbytes > CAT_LIMIT:
        raise LimitExceeded(
            f"the selection has {decimal(part.nbytes)}, more than the {decimal(CAT_LIMIT)} that cat reads: select less"
        )
    typer.echo(np.array2string(np.asarray(await part), threshold=1000))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where to write the picture.")] = Path("demo.png"),
    keep: Annotated[Path | None, typer.Option(help="A folder to write climate.zarr into, and keep.")] = None,
) -> None:
    """Write real climate data as Zarr, serve it on this machine, read it over HTTP, and draw how it warms."""
    run(start_demo(out, keep))


async def start_demo(out: Path, keep: Path | None) -> None:
    """The demo in a folder to keep, or in one that is deleted afterwards; its packages are an extra of their own."""
    try:
        from azarr.cli.demo import run_demo
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in DEMO_PACKAGES:
            raise
        raise MissingPackage("azarr demo", package, "pip install 'azarr[cli,demo]'") from error
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() if keep is None else nullcontext(keep) as folder:
        await run_demo(Path(folder), out, Console())
