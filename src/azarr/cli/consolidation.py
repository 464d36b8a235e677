"""Consolidated metadata of a Zarr v3 hierarchy in a folder. Knows JSON and files; never chunks."""

import json
from pathlib import Path


def consolidate(store: Path) -> None:
    """Copy the documents of all members into that of the root: over HTTP, which cannot list, one request then finds all."""
    members = {
        file.parent.relative_to(store).as_posix(): json.loads(file.read_bytes())
        for file in sorted(store.rglob("zarr.json"))
        if file.parent != store
    }
    root = json.loads((store / "zarr.json").read_bytes())
    root["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": members}
    (store / "zarr.json").write_text(json.dumps(root))
