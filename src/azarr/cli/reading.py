"""The commands that look: what each reads and prints. Knows azarr's handles; pictures and statistics have modules of their own."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.filesize import decimal
from rich.progress import MofNCompleteColumn, TimeRemainingColumn

import azarr
from azarr.cli.console import LOOKING, URL, AsJSON, app, bar, place, run, say
from azarr.cli.description import describe, facts, table
from azarr.cli.plotting import COLOURS, draw_png, draw_text, read_slice
from azarr.cli.selection_text import Axis, parse_selection
from azarr.cli.statistics import statistics_of
from azarr.errors import AzarrError, LimitExceeded

CAT_LIMIT = 1_000_000_000  # Bytes that `azarr cat` and `plot` read at most; the values are for the eye.
Selected = Annotated[str, typer.Argument(metavar="SELECTION", help='As between brackets in Python: "5:,0,::2".')]
UNKNOWN = {"ignore_unknown_options": True}  # Else a selection such as -1 would be an option.


def parsed(selection: str) -> tuple[Axis, ...]:
    """The selection that was given; a bad one is an error of use."""
    try:
        return parse_selection(selection)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="SELECTION") from error


@app.command(rich_help_panel=LOOKING)
def info(url: URL, as_json: AsJSON = False) -> None:
    """Print what is known of an array or group without reading its chunks."""
    run(print_info(url, place(azarr.open, url), as_json))


async def print_info(url: str, node: azarr.Ref[Any], as_json: bool) -> None:
    """The table of what is known."""
    found = await node
    say(as_json, facts(azarr.errors.redact(url), found), table(describe(url, found)))


@app.command(rich_help_panel=LOOKING)
def tree(url: URL, as_json: AsJSON = False) -> None:
    """Print the groups and arrays of a hierarchy as a tree."""
    run(print_tree(place(azarr.open_group, url), as_json))


async def print_tree(group: azarr.Ref[Any], as_json: bool) -> None:
    """The tree, as text; as JSON a list of all nodes."""
    root = await group
    if as_json:
        say(True, [facts(path, node) async for path, node in root.walk()], "")
    else:
        typer.echo(str(await root.tree()))


@app.command(rich_help_panel=LOOKING)
def ls(url: URL, as_json: AsJSON = False) -> None:
    """List what is right below a group: a line for each member."""
    run(print_members(url, place(azarr.open, url), as_json))


async def print_members(url: str, place: azarr.Ref[Any], as_json: bool) -> None:
    """Groups with "/" at the end; of arrays shape, data type and size. An array is a list of itself."""
    node = await place
    members = await node.members() if isinstance(node, azarr.Group) else {azarr.errors.redact(url): node}
    if as_json:
        say(True, [facts(name, each) for name, each in sorted(members.items())], "")
        return
    rows = [
        (f"{name}/", "", "", "") if isinstance(each, azarr.Group) else (name, str(each.shape), str(each.dtype), decimal(each.nbytes))
        for name, each in sorted(members.items())
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


@app.command(context_settings=UNKNOWN, rich_help_panel=LOOKING)
def cat(url: URL, selection: Selected = "...", as_json: AsJSON = False) -> None:
    """Print the values of an array, or of a part of it."""
    key = parsed(selection)
    run(print_values(place(azarr.open_array, url), key, as_json))


async def print_values(array: azarr.Ref[Any], key: Any, as_json: bool) -> None:
    """The values as NumPy prints them, of more than a thousand those at the edges; as JSON, all of them."""
    part = within_limit((await array)[key])
    values = np.asarray(await part)
    say(as_json, values, "" if as_json else np.array2string(values, threshold=1000))


def within_limit(part: azarr.Selection) -> azarr.Selection:
    """What is not too much to be seen."""
    if part.nbytes > CAT_LIMIT:
        raise LimitExceeded(f"the selection has {decimal(part.nbytes)}, more than the {decimal(CAT_LIMIT)} that is shown: select less")
    return part


@app.command(context_settings=UNKNOWN, rich_help_panel=LOOKING)
def stats(
    url: URL,
    selection: Selected = "...",
    without_fill: Annotated[bool, typer.Option("--without-fill", help="Leave out the fill value: where nothing was written.")] = False,
    memory: Annotated[str, typer.Option(help="Bytes that may be in flight.")] = "256 MiB",
    as_json: AsJSON = False,
) -> None:
    """Print least, greatest, mean and standard deviation of an array of any size, and how many values are missing."""
    key = parsed(selection)
    run(print_statistics(url, place(azarr.open_array, url), key, without_fill, memory, as_json))


async def print_statistics(url: str, array: azarr.Ref[Any], key: Any, without_fill: bool, memory: str, as_json: bool) -> None:
    """Read block by block, with a bar on a terminal."""
    part = (await array)[key]
    with bar(MofNCompleteColumn(), TimeRemainingColumn()) as tell:
        try:
            found = (await statistics_of(part, without_fill=without_fill, memory=memory, progress=tell)).facts()
        except AzarrError:
            raise
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    rows = [(name, f"{value:,}" if isinstance(value, int) else "none" if value is None else str(value)) for name, value in found.items()]
    say(as_json, {"path": azarr.errors.redact(url), **found}, table(rows))


@app.command(context_settings=UNKNOWN, rich_help_panel=LOOKING)
def plot(
    url: URL,
    selection: Annotated[
        str, typer.Argument(metavar="SELECTION", help='One or two axes of it are drawn: "0,:,:". The last two, if it is not given.')
    ] = "",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A PNG file; the terminal, if it is not given.")] = None,
    colours: Annotated[str, typer.Option(help=f"{', '.join(COLOURS)}.")] = COLOURS[0],
    as_json: AsJSON = False,
) -> None:
    """Draw a slice of an array as a picture, or as a line, in the terminal or to a PNG file."""
    key = parsed(selection) if selection else None
    if colours not in COLOURS:
        raise typer.BadParameter(f"{colours!r} is none of {', '.join(COLOURS)}", param_hint="--colours")
    run(draw(url, place(azarr.open_array, url), key, out, colours, as_json))


async def draw(url: str, place: azarr.Ref[Any], key: tuple[Axis, ...] | None, out: Path | None, colours: str, as_json: bool) -> None:
    """Read the slice, and draw it."""
    array = await place
    if key is None:
        key = (*(0,) * (array.ndim - 2), ...)
    with bar(MofNCompleteColumn()) as tell:
        slice_ = await read_slice(url, array, key, within_limit, tell)
    if out is not None:
        draw_png(slice_, out, colours)
    if as_json or out is not None:
        say(as_json, slice_.facts() | {"out": None if out is None else str(out)}, str(out))
    else:
        draw_text(slice_, colours)
