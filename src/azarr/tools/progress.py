"""A progress bar: in a terminal by rich, in a notebook as HTML that is drawn anew."""

from __future__ import annotations

import html
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from azarr.errors import MissingPackage

BARS = 200
"""Times that a bar is drawn in a notebook, at most."""


@contextmanager
def progress(title: str = "") -> Generator[Callable[[int, int], None], None, None]:
    """What `progress=` takes, drawn for as long as the `with` block lasts.

        with azarr.progress("reading") as tell:
            values = await array[:].read(progress=tell)

    In a notebook it needs IPython, elsewhere rich. Errors: `MissingPackage`.
    """
    shell: Any = sys.modules.get("IPython")
    notebook = shell is not None and (found := shell.get_ipython()) is not None and hasattr(found, "kernel")
    with _in_notebook(title) if notebook else _in_terminal(title) as tell:
        yield tell


@contextmanager
def _in_terminal(title: str) -> Generator[Callable[[int, int], None], None, None]:
    try:
        rich: Any = import_module("rich.progress")
    except ImportError as error:
        raise MissingPackage("a progress bar", "rich", "pip install 'azarr[cli]'") from error
    columns = [rich.TextColumn("{task.description}"), rich.BarColumn(), rich.MofNCompleteColumn(), rich.TimeRemainingColumn()]
    with rich.Progress(*columns) as bars:
        bar = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


@contextmanager
def _in_notebook(title: str) -> Generator[Callable[[int, int], None], None, None]:
    display: Any = import_module("IPython.display")
    handle = display.display(display.HTML(bar_html(title, 0, 1)), display_id=True)
    drawn = 0

    def tell(done: int, total: int) -> None:
        nonlocal drawn
        now = BARS * done // max(total, 1)
        if now != drawn:
            drawn = now
            handle.update(display.HTML(bar_html(title, done, total)))

    yield tell


def bar_html(title: str, done: int, total: int) -> str:
    """The bar as HTML."""
    return f'{html.escape(title)} <progress value="{done}" max="{max(total, 1)}"></progress> {done:,} of {total:,}'
