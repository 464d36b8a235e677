"""The commands: what each reads and prints. Knows typer; an error of azarr is one line on stderr and exit status 1."""

import asyncio
import os
import tempfile
import warnings
import webbrowser
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

import azarr
from azarr.cli.description import describe, table
from azarr.cli.references import make_references, target_of
from azarr.cli.selection_text import parse_selection
from azarr.errors import AzarrError, LimitExceeded, MissingPackage

CAT_LIMIT = 1_000_000_000  # Bytes that `azarr cat` reads at most; the values are for reading by eye.
DEMO_PACKAGES = ("aiohttp", "iris_sample_data", "matplotlib", "netCDF4")

app = typer.Typer(
    name="azarr",
    help="Look at Zarr data, check and copy them: in a folder or behind a URL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Scheduler = Annotated[str | None, typer.Option(metavar="ADDRESS", help="A scheduler of dask, whose workers do it: tcp://host:8786.")]
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


def sizes(text: str | None) -> Any:
    """What `chunks` and `shards` take, as text: "64,64", "auto", "none"; what was not given is kept."""
    if text is None:
        return ...
    if text in ("auto", "none"):
        return None if text == "none" else text
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a list of lengths such as 64,64") from error


@app.command()
def copy(
    source: Annotated[str, typer.Argument(metavar="SRC", help="A URL or a path: of a hierarchy, or of a node inside it.")],
    target: Annotated[str, typer.Argument(metavar="DST", help="A URL or a path that can be written to.")],
    path: Annotated[str, typer.Option(help="Where in DST the copy stands.")] = "",
    chunks: Annotated[str | None, typer.Option(help='"64,64" or "auto"; as they are if not given.')] = None,
    shards: Annotated[str | None, typer.Option(help='"512,512" or "none"; as they are if not given.')] = None,
    compressor: Annotated[str | None, typer.Option(help='"zstd", "blosc", "gzip" or "none"; as it is if not given.')] = None,
    zarr_format: Annotated[int | None, typer.Option(help="2 or 3; as it is if not given.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Delete what stands there.")] = False,
    memory: Annotated[str, typer.Option(help="Bytes that may be in flight, in each worker.")] = "256 MiB",
    scheduler: Scheduler = None,
) -> None:
    """Copy an array, or a group and all below it; run again after it was ended, it does what is missing."""
    options: dict[str, Any] = {"chunks": sizes(chunks), "shards": sizes(shards), "zarr_format": zarr_format}
    options["compressors"] = ... if compressor is None else None if compressor == "none" else compressor
    run(run_copy(place(azarr.open, source), target, path, scheduler, overwrite=overwrite, memory=memory, **options))


def by(verb: str, scheduler: str | None) -> Callable[..., Any]:
    """A verb of azarr: as it is, or by the workers of a cluster."""
    if scheduler is None:
        return getattr(azarr, verb)
    return partial(getattr(import_module("azarr.integrations.cluster"), verb), client=scheduler)


async def run_copy(source: azarr.Ref, target: str, path: str, scheduler: str | None, **options: Any) -> None:
    """Copy, with a bar on a terminal."""
    with bar(TransferSpeedColumn(), TimeRemainingColumn()) as tell:
        try:
            made = await by("copy", scheduler)(source, target, path, progress=tell, **options)
        except ValueError as error:
            raise error if isinstance(error, AzarrError) else typer.BadParameter(str(error)) from error
    typer.echo(repr(made))


@contextmanager
def bar(*columns: ProgressColumn) -> Generator[Callable[[int, int], None]]:
    """A bar on stderr where that is a terminal; what is given is to be told how much is done, and of how much."""
    console = Console(stderr=True)
    columns = (BarColumn(None), TaskProgressColumn(), *columns)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as shown:
        task = shown.add_task("", total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


@app.command()
def verify(url: URL, scheduler: Scheduler = None) -> None:
    """Read and check every document, chunk, shard index and checksum. Exit status 1 if anything is damaged."""
    run(print_report(url, scheduler))


async def print_report(url: str, scheduler: str | None) -> None:
    """What was found, a line for each key that is damaged, unknown or odd."""
    with bar(MofNCompleteColumn(), TimeRemainingColumn()) as tell:
        try:
            report = await by("verify", scheduler)(url, progress=tell)
        except ValueError as error:
            raise error if isinstance(error, AzarrError) else typer.BadParameter(str(error), param_hint="URL") from error
    typer.echo(str(report))
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def reference(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="HDF5 or NetCDF4 files: paths or URLs.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="JSON, or a folder of Parquet (.parq); FILE with .json if not given.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what stands there.")] = False,
) -> None:
    """Make references (of Kerchunk) to NetCDF4 files, by which they are read as Zarr. Several files are a group each."""
    if out is None:
        out = Path(Path(files[0]).name if "://" in files[0] else files[0]).with_suffix(".json")
    if out.exists() and not overwrite:
        raise typer.BadParameter(f"{str(out)!r} is there already; --overwrite replaces it", param_hint="OUT")
    run(write_references(files, out))


async def write_references(files: list[str], out: Path) -> None:
    """Write them, and say how to open what is not where `azarr.open` would read it."""
    try:
        count = await asyncio.to_thread(make_references, files, out)
    except ValueError as error:
        raise error if isinstance(error, AzarrError) else typer.BadParameter(str(error)) from error
    typer.echo(f"{out}: {count:,} chunks of {len(files):,} file{'s' if len(files) > 1 else ''}")
    if any(os.path.isabs(target := target_of(file, out)) or "://" in target for file in files):
        typer.echo("azarr: some files do not lie below it: open it by azarr.stores.ReferenceStore(place, targets=[...])", err=True)


@app.command()
def view(
    url: URL,
    port: Annotated[int, typer.Option(help="Where to listen; the system chooses if it is not given.")] = 0,
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
    pyodide: Annotated[
        str | None, typer.Option(envvar="AZARR_PYODIDE", help="A URL or a folder of Pyodide; its public one if not given.")
    ] = None,
    relay: Annotated[bool, typer.Option("--relay", help="Read a URL through this machine: for servers that refuse pages (CORS).")] = False,
    cors: Annotated[bool, typer.Option("--cors", help="Allow the pages of other sites to read the data, too.")] = False,
) -> None:
    """Show a hierarchy in the browser: its tree, metadata, pictures and profiles. Until it is interrupted."""
    with suppress(KeyboardInterrupt):
        run(show(url, place(azarr.open, url), port=port, browser=browser, pyodide=pyodide, relay=relay, cors=cors))


async def show(url: str, root: azarr.Ref, *, port: int, browser: bool, pyodide: str | None, relay: bool, cors: bool) -> None:
    """Serve the viewer. What is on this machine is opened before, so that an error is one of the command."""
    from azarr.cli.view import serve_viewer

    remote = url.startswith(("http://", "https://")) and not relay
    store = None if remote else (await root).store
    name = azarr.errors.redact(url).partition("?")[0].rstrip("/").rpartition("/")[2] or "data"
    distribution = Path(pyodide) if pyodide is not None and "://" not in pyodide else pyodide
    async with serve_viewer(store, name, url=url, port=port, pyodide=distribution, cors=cors) as page:
        typer.echo(f"{azarr.errors.redact(url)} is shown at {page} until you press Ctrl-C")
        if browser:
            await asyncio.to_thread(webbrowser.open, page)
        await asyncio.Event().wait()


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
