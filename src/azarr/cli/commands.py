"""The commands that check and change: what each does. The others are in `reading`, `serving` and `checkup`."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import MofNCompleteColumn, TimeRemainingColumn, TransferSpeedColumn

import azarr
from azarr.cli import checkup, reading, serving
from azarr.cli.console import CHANGING, URL, AsJSON, app, bar, parted, place, run, say
from azarr.cli.description import facts
from azarr.cli.references import make_references, target_of
from azarr.errors import AzarrError

__all__ = ["app", "checkup", "reading", "serving"]
Scheduler = Annotated[str | None, typer.Option(metavar="ADDRESS", help="A scheduler of dask, whose workers do it: tcp://host:8786.")]


def by(verb: str, scheduler: str | None) -> Callable[..., Any]:
    """A verb of azarr: as it is, or by the workers of a cluster."""
    if scheduler is None:
        return getattr(azarr, verb)
    return partial(getattr(import_module("azarr.integrations.cluster"), verb), client=scheduler)


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


@app.command(rich_help_panel=CHANGING)
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
    as_json: AsJSON = False,
) -> None:
    """Copy an array, or a group and all below it; run again after it was ended, it does what is missing."""
    options: dict[str, Any] = {"chunks": sizes(chunks), "shards": sizes(shards), "zarr_format": zarr_format}
    options["compressors"] = ... if compressor is None else None if compressor == "none" else compressor
    run(run_copy(place(azarr.open, source), target, path, scheduler, as_json, overwrite=overwrite, memory=memory, **options))


async def run_copy(source: azarr.Ref[Any], target: str, path: str, scheduler: str | None, as_json: bool, **options: Any) -> None:
    """Copy, with a bar on a terminal."""
    with bar(TransferSpeedColumn(), TimeRemainingColumn()) as tell:
        try:
            made = await by("copy", scheduler)(source, target, path, progress=tell, **options)
        except AzarrError:
            raise
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    say(as_json, facts(made.path, made), repr(made))


@app.command(rich_help_panel=CHANGING)
def rechunk(
    source: Annotated[str, typer.Argument(metavar="SRC", help="A URL or a path: of a hierarchy, or of a node inside it.")],
    target: Annotated[str, typer.Argument(metavar="DST", help="A URL or a path that can be written to; another than SRC.")],
    chunks: Annotated[str, typer.Option(help='"64,64" or "auto".')],
    shards: Annotated[str, typer.Option(help='"512,512" or "none".')] = "none",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Delete what stands there.")] = False,
    memory: Annotated[str, typer.Option(help="Bytes that may be in flight, in each worker.")] = "256 MiB",
    scheduler: Scheduler = None,
    as_json: AsJSON = False,
) -> None:
    """Copy an array, or all arrays of a group, into other chunks and shards. All else stays as it is."""
    options: dict[str, Any] = {"chunks": sizes(chunks), "shards": sizes(shards)}
    run(run_copy(place(azarr.open, source), target, "", scheduler, as_json, overwrite=overwrite, memory=memory, **options))


@app.command(rich_help_panel=CHANGING)
def consolidate(url: URL, as_json: AsJSON = False) -> None:
    """Copy the metadata of all that is below a group into its own document, so that one request opens all."""
    run(run_consolidate(url, as_json))


async def run_consolidate(url: str, as_json: bool) -> None:
    """Consolidate, and count."""
    try:
        group = await azarr.consolidate(url)
    except AzarrError:
        raise
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="URL") from error
    paths = [path async for path, _ in group.walk()]
    say(as_json, {"path": azarr.errors.redact(url), "nodes": paths}, f"{azarr.errors.redact(url)}: the metadata of {len(paths):,} nodes")


@app.command(rich_help_panel=CHANGING)
def verify(url: URL, scheduler: Scheduler = None, as_json: AsJSON = False) -> None:
    """Read and check every document, chunk, shard index and checksum. Exit status 1 if anything is damaged."""
    run(print_report(url, scheduler, as_json))


async def print_report(url: str, scheduler: str | None, as_json: bool) -> None:
    """What was found, a line for each key that is damaged, unknown or odd."""
    with bar(MofNCompleteColumn(), TimeRemainingColumn()) as tell:
        try:
            report = await by("verify", scheduler)(*parted(url), progress=tell)
        except AzarrError:
            raise
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="URL") from error
    found = {each.name: getattr(report, each.name) for each in fields(report)}
    found |= {"ok": report.ok, "damaged": {key: str(error) for key, error in report.damaged.items()}}
    say(as_json, found, str(report))
    if not report.ok:
        raise typer.Exit(1)


@app.command(rich_help_panel=CHANGING)
def reference(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="HDF5 or NetCDF4 files: paths or URLs.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="JSON, or a folder of Parquet (.parq); FILE with .json if not given.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what stands there.")] = False,
    as_json: AsJSON = False,
) -> None:
    """Make references (of Kerchunk) to NetCDF4 files, by which they are read as Zarr. Several files are a group each."""
    if out is None:
        out = Path(Path(files[0]).name if "://" in files[0] else files[0]).with_suffix(".json")
    if out.exists() and not overwrite:
        raise typer.BadParameter(f"{str(out)!r} is there already; --overwrite replaces it", param_hint="OUT")
    run(write_references(files, out, as_json))


async def write_references(files: list[str], out: Path, as_json: bool) -> None:
    """Write them, and say how to open what is not where `azarr.open` would read it."""
    try:
        count = await asyncio.to_thread(make_references, files, out)
    except AzarrError:
        raise
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    text = f"{out}: {count:,} chunks of {len(files):,} file{'s' if len(files) > 1 else ''}"
    say(as_json, {"out": str(out), "chunks": count, "files": files}, text)
    if any(os.path.isabs(target := target_of(file, out)) or "://" in target for file in files):
        typer.echo("azarr: some files do not lie below it: open it by azarr.stores.ReferenceStore(place, targets=[...])", err=True)
