"""Makes `small.nc` and `small.json`, the references to it, where Kerchunk is: `.venv-peers/bin/python tests/data/make_references.py`."""

import json
from pathlib import Path

import netCDF4
import numpy as np
from kerchunk.hdf import SingleHdf5ToZarr

FOLDER = Path(__file__).parent


def make_file(path: Path) -> None:
    """Temperatures of 12 times on a grid of 20 x 30, packed, in 16 chunks, shuffled and compressed by zlib; and the axes."""
    with netCDF4.Dataset(path, "w") as dataset:
        for name, length in (("time", 12), ("y", 20), ("x", 30)):
            dataset.createDimension(name, length)
            dataset.createVariable(name, "f8", (name,))[:] = np.arange(length) / 2
        options = {"zlib": True, "shuffle": True, "chunksizes": (3, 10, 15), "fill_value": -1}
        temperature = dataset.createVariable("temperature", "i2", ("time", "y", "x"), **options)
        index = np.indices((12, 20, 30))
        temperature[...] = 1000 * index[0] + 30 * index[1] + index[2]


def make_references(path: Path) -> None:
    """Relative ones, so that they hold wherever both files lie in one folder."""
    document = SingleHdf5ToZarr(str(path), inline_threshold=0).translate()
    text = json.dumps(document, indent=1, sort_keys=True)
    path.with_suffix(".json").write_text(text.replace(json.dumps(str(path)), json.dumps(path.name)) + "\n")


if __name__ == "__main__":
    make_file(FOLDER / "small.nc")
    make_references(FOLDER / "small.nc")
