"""`azarr doctor`: what is installed here, and what a server can do. Knows package metadata and headers of HTTP; changes nothing."""

import os
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Annotated, Any, NamedTuple

import typer
from rich import box
from rich.table import Table
from rich.text import Text

import azarr
from azarr.cli.console import CHANGING, AsJSON, app, place, run, say
from azarr.errors import AzarrError, StoreError, redact
from azarr.grid import RESERVED
from azarr.stores.http import HTTPStore
from azarr.tools.folder_pages import listed

NEEDED = ("numpy", "numcodecs", "aiohttp", "google-crc32c")
GIVES = {
    "fast": "small Blosc and Zstandard chunks are decoded in half the time", "snappy": "the codec snappy",
    "cli": "this command line", "plot": "pictures as PNG: azarr plot --out", "cloud": "S3, Google and Azure with credentials",
    "fsspec": "URLs that only fsspec knows", "icechunk": "sessions of Icechunk", "references": "references in Parquet",
    "reference-making": "references to NetCDF4 and HDF5: azarr reference", "otel": "spans for OpenTelemetry", "demo": "azarr demo",
    "dask": "dask arrays; copies and checks on a cluster", "xarray": "xarray's engine azarr",
    "zarr": "azarr as the codec pipeline of zarr-python",
}  # fmt: skip
"""What the extras are for."""
ORIGIN = "https://example.org"
"""A page of another site, as which the server is asked."""


class Check(NamedTuple):
    """Something that was looked at. `ok`: None where it is neither good nor bad."""

    name: str
    ok: bool | None
    text: str


@app.command(rich_help_panel=CHANGING)
def doctor(
    url: Annotated[str, typer.Argument(metavar="[URL]", help="A URL or a path of data: whether and how well they can be read.")] = "",
    as_json: AsJSON = False,
) -> None:
    """Tell what is installed and what it gives; of a URL, what its server can do. Exit status 1 if it cannot be read."""
    run(print_checks(url, as_json))


async def print_checks(url: str, as_json: bool) -> None:
    """A line for each check."""
    checks = await checks_of(url) if url else [*machine(), *packages()]
    lines = Table(box=box.SIMPLE, show_header=False)
    for check in checks:
        mark = {True: Text("yes", "green"), False: Text("no", "red"), None: Text("-")}[check.ok]
        lines.add_row(Text(check.name, "bold"), mark, Text(check.text, overflow="fold"))
    say(as_json, [check._asdict() for check in checks], lines)
    if url and not checks[0].ok:
        raise typer.Exit(1)


def machine() -> list[Check]:
    """What azarr runs on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    free = not getattr(sys, "_is_gil_enabled", lambda: True)()
    return [
        Check("azarr", None, azarr.__version__),
        Check("Python", None, f"{platform.python_version()} ({platform.python_implementation()}{', free-threaded' if free else ''})"),
        Check("platform", None, platform.platform()),
        Check("threads", None, f"as many as cores: {cores}"),
    ]


def packages() -> list[Check]:
    """The packages that azarr needs, and those of its extras."""
    found = [Check(name, (held := installed(name)) is not None, f"{held or 'not installed'}; needed") for name in NEEDED]
    try:
        lines = requires("azarr") or []
    except PackageNotFoundError:  # run from its source
        lines = []
    for line in sorted(lines, key=lambda line: "demo" in line):  # whose packages have uses of their own
        parts = re.match(r"""([\w.-]+).*\bextra == ['"]([\w-]+)['"]""", line)
        if parts is None or parts[1] == "azarr":
            continue
        name, extra = parts[1], parts[2]
        text = f"""{installed(name) or f"pip install 'azarr[{extra}]'"}; {GIVES.get(extra, extra)}"""
        if not any(check.name == name for check in found):
            found.append(Check(name, installed(name) is not None, text))
    return found


def installed(name: str) -> str | None:
    """The version of a package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


async def checks_of(url: str) -> list[Check]:
    """What there is at a URL: the node first, then what its server does."""
    try:
        node = await place(azarr.open, url)
    except AzarrError as error:
        checks = [Check("opens", False, " ".join(str(error).split()))]
    else:
        checks = [Check("opens", True, f"Zarr v{node.zarr_format} {'group' if isinstance(node, azarr.Group) else 'array'}")]
        if isinstance(node, azarr.Group):
            consolidated = node.metadata.consolidated is not None
            text = "all is known from one document" if consolidated else "each node is asked for by itself: azarr consolidate"
            checks.append(Check("consolidated", consolidated, text))
    async with azarr.Context() as context:
        if url.startswith(("http://", "https://")):
            checks += await server(HTTPStore(url, context=context))
    return checks


async def server(store: Any) -> list[Check]:
    """What the server answers to who reads a document of the node as a page of another site would."""
    statuses: dict[str, int] = {}
    for name in RESERVED:
        try:
            answer = await asked(store, name)
        except StoreError as error:
            return [Check("reachable", False, redact(str(error)))]
        statuses[name] = answer.status
        if answer.status == 200:
            break
    else:
        return [Check("reachable", True, ", ".join(f"{name}: {status}" for name, status in statuses.items()))]
    headers, first, last = answer.headers, await asked(store, name, "bytes=0-0"), await asked(store, name, "bytes=-1")
    tag, origin = headers.get("etag"), headers.get("access-control-allow-origin")
    exposed = {each.strip().lower() for each in headers.get("access-control-expose-headers", "").split(",")}
    hidden = [] if "*" in exposed else [each for each in ("ETag", "Content-Range") if each.lower() not in exposed]
    allowed = "no page of another site may read it (Access-Control-Allow-Origin)"
    if origin in ("*", ORIGIN):
        allowed = f"pages may read it, but do not see {' and '.join(hidden)}" if hidden else "pages of other sites may read it"
    versions = f"ETag {tag}" if tag else "none: what is replaced while it is read is not noticed"
    if not tag and "last-modified" in headers:
        versions = "by Last-Modified, to the second"
    try:
        folder = f"{len([name async for name in listed(store, '')]):,} names in the folder"
    except StoreError:
        folder = "it does not show what is in a folder; consolidated metadata tell members"
    return [
        Check("reachable", True, f"{name}: {answer.status}, {len(answer.body):,} bytes"),
        Check("ranges", first.status == 206, f"bytes=0-0 was answered {first.status}"),
        Check("last bytes", last.status == 206, f"bytes=-1 was answered {last.status}"),
        Check("versions", tag is not None, versions),
        Check("browsers", origin in ("*", ORIGIN), allowed),
        Check("folders", folder[0].isdigit(), folder),
    ]


async def asked(store: Any, name: str, byte_range: str = "") -> Any:
    """An answer of the server."""
    headers = {"Origin": ORIGIN} | ({"Range": byte_range} if byte_range else {})
    return await store.send(f"{store._base}/{name}{store._query}", headers, 1 << 28)
