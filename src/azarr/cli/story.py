"""The words of the demo. Knows rich; what it tells is given to it."""

from dataclasses import dataclass, field
from pathlib import Path
from textwrap import indent
from typing import Any

from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from azarr.cli.picture import Warming
from azarr.cli.server import Server, Traffic

TWO_LINES = """\
g = azarr.open_group("{url}")
part = await g.air_temperature[5:]
"""


@dataclass(slots=True)
class Bill:
    """What each step of the demo made the server do: requests and bytes sent, against the bytes got in memory."""

    server: Server
    rows: list[tuple[str, Traffic, int]] = field(default_factory=list[tuple[str, Traffic, int]])
    before: Traffic = field(default=Traffic(0, 0))

    def add(self, step: str, nbytes: int) -> None:
        """Close a step: all traffic since the last one is its."""
        self.rows.append((step, self.server.traffic - self.before, nbytes))
        self.before = self.server.traffic


def tell_written(console: Console, store: Path) -> None:
    """What was written, and how large it is on disk."""
    title(console, 1, "Write", "two runs of a climate model, 1860 to 2099, as Zarr v3 with shards")
    sizes = [file.stat().st_size for file in store.rglob("*") if file.is_file()]
    say(console, f"{store.name}: {decimal(sum(sizes))} in {len(sizes)} files")


def tell_two_lines(console: Console, url: str, part: NDArray[Any]) -> None:
    """The two lines as code, with the URL that was read, and what they gave."""
    title(console, 2, "Read", "over HTTP, from a server on this machine, in two lines")
    code = indent(TWO_LINES.format(url=url), "   ")
    console.print(Syntax(code, "python", theme="ansi_dark").highlight(code), end="", soft_wrap=True)
    say(console, f"part: {part.shape} {part.dtype}, {decimal(part.nbytes)}, {part.min():.1f} to {part.max():.1f} K")


def tell_tree(console: Console, tree: str) -> None:
    """The tree of the group."""
    title(console, 3, "Look around", "tree = await group.tree()")
    say(console, indent(tree, "   ").lstrip())


def tell_streaming(console: Console) -> None:
    """The title above the progress bars."""
    title(console, 4, "Stream", "both scenarios at the same time, block by block as they arrive")


def tell_bill(console: Console, bill: Bill) -> None:
    """The steps with their requests and bytes, and their sums."""
    title(console, 5, "What it took", "as the server counted it")
    table = Table(box=box.SIMPLE_HEAD, header_style="bold")
    table.add_column("step", overflow="fold")
    for header in ("requests", "sent", "in memory"):
        table.add_column(header, justify="right", no_wrap=True)
    for step, traffic, nbytes in bill.rows:
        table.add_row(Text(step), str(traffic.requests), decimal(traffic.nbytes), decimal(nbytes) if nbytes else "")
    total, in_memory = bill.server.traffic, sum(nbytes for _, _, nbytes in bill.rows)
    table.add_section()
    table.add_row("all", str(total.requests), decimal(total.nbytes), decimal(in_memory), style="bold")
    console.print(table)
    say(console, "A format that is not given is found by asking for the documents of Zarr v3 and v2 at once,")
    say(console, "so answers that a document is not there are among the requests.")


def tell_warming(console: Console, warming: Warming, picture: Path) -> None:
    """The result in one number for each scenario, and where the picture is."""
    title(console, 6, "Understand", "how much warmer 2070 to 2099 is than 1860 to 1889")
    for name, curve in warming.curves.items():
        say(console, f"{name:>3}  {curve[-30:].mean():+.2f} K")
    say(console, f"picture: {picture}")


def title(console: Console, number: int, verb: str, rest: str) -> None:
    """Open a chapter."""
    console.print(f"\n[bold cyan]{number}  {verb}:[/] [dim]{rest}[/]", highlight=False)


def say(console: Console, text: str) -> None:
    """A line of a chapter, shown as it is."""
    console.print(f"   {text}", markup=False, highlight=False, soft_wrap=True)
