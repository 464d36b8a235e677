"""The commands that serve: data to others, the viewer to the browser, and the demo to itself. All but that until they are interrupted."""

import asyncio
import tempfile
import webbrowser
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

import azarr
from azarr.cli.console import SERVING, URL, AsJSON, app, place, run, say
from azarr.errors import AzarrError, MissingPackage
from azarr.stores import LocalStore, store_from

DEMO_PACKAGES = ("aiohttp", "iris_sample_data", "matplotlib", "netCDF4")


@app.command(rich_help_panel=SERVING)
def serve(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="A folder, or a URL or zip file: all below it is served.")] = ".",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0 lets the system choose.")] = 8000,
    host: Annotated[str, typer.Option(help="For whom: this machine alone, or 0.0.0.0 for all who reach it.")] = "127.0.0.1",
    cors: Annotated[bool, typer.Option("--cors/--no-cors", help="Allow pages of other sites to read.")] = True,
    as_json: AsJSON = False,
) -> None:
    """Serve files over HTTP, with ranges, ETags, CORS and lists of folders: by them whole hierarchies are found. Nothing is written."""
    with suppress(KeyboardInterrupt):
        run(run_server(folder, port=port, host=host, cors=cors, as_json=as_json))


async def run_server(folder: str, *, port: int, host: str, cors: bool, as_json: bool) -> None:
    """Serve what the store has."""
    from azarr.cli.object_server import serve_objects

    try:
        store = store_from(folder)
    except AzarrError:
        raise
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="FOLDER") from error
    shown = azarr.errors.redact(folder)
    if isinstance(store, LocalStore) and not store.root.is_dir():
        raise typer.BadParameter(f"{shown!r} is no folder", param_hint="FOLDER")
    async with serve_objects(store, host=host, port=port, cors=cors) as url:
        say(as_json, {"path": shown, "url": url}, f"{shown} is served at {url} until you press Ctrl-C")
        await asyncio.Event().wait()


@app.command(rich_help_panel=SERVING)
def view(
    url: URL,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; the system chooses if it is not given.")] = 0,
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
    pyodide: Annotated[
        str | None, typer.Option(envvar="AZARR_PYODIDE", help="A URL or a folder of Pyodide; its public one if not given.")
    ] = None,
    relay: Annotated[bool, typer.Option("--relay", help="Read a URL through this machine: for servers that refuse pages (CORS).")] = False,
    cors: Annotated[bool, typer.Option("--cors", help="Allow the pages of other sites to read the data, too.")] = False,
    as_json: AsJSON = False,
) -> None:
    """Show a hierarchy in the browser: its tree, metadata, pictures and profiles. Until it is interrupted."""
    with suppress(KeyboardInterrupt):
        run(show(url, place(azarr.open, url), port=port, browser=browser, pyodide=pyodide, relay=relay, cors=cors, as_json=as_json))


async def show(
    url: str, root: azarr.Ref[Any], *, port: int, browser: bool, pyodide: str | None, relay: bool, cors: bool, as_json: bool
) -> None:  # fmt: skip
    """Serve the viewer. What is on this machine is opened before, so that an error is one of the command."""
    from azarr.cli.view import serve_viewer

    remote = url.startswith(("http://", "https://")) and not relay
    store = None if remote else (await root).store
    name = azarr.errors.redact(url).partition("?")[0].rstrip("/").rpartition("/")[2] or "data"
    distribution = Path(pyodide) if pyodide is not None and "://" not in pyodide else pyodide
    if isinstance(distribution, Path) and not distribution.is_dir():
        raise typer.BadParameter(f"{pyodide!r} is no folder", param_hint="--pyodide")
    async with serve_viewer(store, name, url=url, port=port, pyodide=distribution, cors=cors) as page:
        shown = azarr.errors.redact(url)
        say(as_json, {"path": shown, "url": page}, f"{shown} is shown at {page} until you press Ctrl-C")
        if browser:
            await asyncio.to_thread(webbrowser.open, page)
        await asyncio.Event().wait()


@app.command(rich_help_panel=SERVING)
def demo(
    out: Annotated[Path, typer.Option(help="Where to write the picture.")] = Path("demo.png"),
    keep: Annotated[Path | None, typer.Option(help="A folder to write climate.zarr into, and keep.")] = None,
    as_json: AsJSON = False,
) -> None:
    """Write real climate data as Zarr, serve it on this machine, read it over HTTP, and draw how it warms."""
    run(start_demo(out, keep, as_json))


async def start_demo(out: Path, keep: Path | None, as_json: bool) -> None:
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
        warming = await run_demo(Path(folder), out, Console(stderr=as_json))
    if as_json:
        say(True, {"picture": str(out), "kelvin": {name: curve[-30:].mean() for name, curve in warming.curves.items()}}, "")
