"""References of Kerchunk to HDF5 and NetCDF4 files, made by kerchunk. Knows what `azarr.stores.ReferenceStore` reads; never a terminal.

Targets are relative to the document where the file lies beside or below it, so that both can be moved, and served, together.
"""

import json
import os
import re
from importlib import import_module
from pathlib import Path
from typing import Any

from azarr.errors import AzarrError, MissingPackage

INSTALL_LINE = "pip install 'azarr[reference-making]'"
TABLES = (".parq", ".parquet")
GROUP = json.dumps({"zarr_format": 2})


def make_references(files: list[str], out: Path) -> int:
    """Write references to `files`, paths or URLs, into `out`: JSON, or a folder of Parquet where it ends so. How many chunks they name.

    One file is the root; of several, each is a group that has the name of its file, without the suffix. What cannot be referred to (a
    filter that Zarr does not have) is an error. Errors: `MissingPackage`, `AzarrError`, `ValueError`, `OSError`.
    """
    groups = [re.split(r"[/\\]", file)[-1].rpartition(".")[0] or file for file in files]
    if len(set(groups)) < len(groups):
        raise ValueError("several files have the same name, and so would their groups")
    refs: dict[str, Any] = {} if len(files) == 1 else {".zgroup": GROUP}
    for file, group in zip(files, groups, strict=True):
        target = target_of(file, out)
        for key, entry in references_to(file).items():
            refs[key if len(files) == 1 else f"{group}/{key}"] = [target, *entry[1:]] if isinstance(entry, list) else entry
    if out.suffix in TABLES:
        write_tables(refs, out)
    else:
        out.write_text(json.dumps({"version": 1, "refs": refs}), encoding="utf-8")
    return sum(isinstance(entry, list) for entry in refs.values())


def references_to(file: str) -> dict[str, Any]:
    """The references to one file, as kerchunk makes them."""
    try:
        kerchunk: Any = import_module("kerchunk.hdf")
    except ImportError as error:
        raise MissingPackage("making references", error.name or "kerchunk", INSTALL_LINE) from error
    try:
        made = kerchunk.SingleHdf5ToZarr(file, error="raise")
        try:
            return made.translate()["refs"]
        finally:
            made.close()
    except Exception as error:  # what h5py, fsspec and numcodecs raise
        raise AzarrError(f"no references to {file}: {error}") from error


def target_of(file: str, out: Path) -> str:
    """How the document at `out` names a file: relative where it lies below, else absolute; a URL as it is."""
    if "://" in file:
        if re.search("[?#@]", file):
            raise ValueError("a URL with a query or a user name would stand in the references, with its secrets")
        return file
    path = os.path.abspath(file)
    relative = os.path.relpath(path, out.absolute().parent).replace(os.sep, "/")
    if relative.startswith("../"):
        return path
    if re.search(r"[\x00-\x1f\x7f\\?#%]", relative):
        raise ValueError(f"{relative!r} has characters that would mean something else in a URL; give the file another name")
    return f"./{relative}" if ":" in relative.partition("/")[0] else relative


def write_tables(refs: dict[str, Any], out: Path) -> None:
    """The same as a folder of Parquet, which has no groups."""
    if any(key.count("/") > 1 for key in refs):
        raise ValueError("tables have no groups: write JSON for files that have some, and for several files")
    try:
        tables: Any = import_module("kerchunk.df")
        import_module("fastparquet")
    except ImportError as error:
        raise MissingPackage("writing tables", error.name or "fastparquet", "pip install fastparquet") from error
    tables.refs_to_dataframe(refs, str(out))
