"""The documents of this project, and the blocks of code in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; `line` is that of its first line of code."""

    path: Path
    line: int
    language: str
    code: str


def blocks(path: Path, text: str) -> list[Block]:
    return [Block(path, text.count("\n", 0, found.start()) + 2, found[1], found[2]) for found in FENCE.finditer(text)]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
