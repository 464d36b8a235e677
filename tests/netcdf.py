"""A NetCDF4 file of real data, with chunks that are shuffled and compressed by zlib. Where the peers are,
`.venv-peers/bin/python tests/netcdf.py FOLDER` writes it there as `a.nc`, with `refs.json` by Kerchunk and `truth.npz`, which is what xarray reads of it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import iris_sample_data
import numpy as np
import xarray
from kerchunk.hdf import SingleHdf5ToZarr

SAMPLES = Path(iris_sample_data.path)
RAW: dict[str, Any] = {"mask_and_scale": False, "decode_times": False}


def make_file(path: Path) -> None:
    """Air of North America in the scenario A1B, as it is and rounded; and the surface of the sea, where land is NaN."""
    with xarray.open_dataset(SAMPLES / "A1B_north_america.nc", **RAW) as air, xarray.open_dataset(SAMPLES / "ostia_monthly.nc") as sea:
        dataset = air[["air_temperature"]].drop_encoding()
        dataset["rounded"] = dataset.air_temperature.round().astype("i2")
        dataset["sea"] = (("month", "y", "x"), sea.surface_temperature.values, {"units": "K"})
        assert dataset.sea.isnull().any()
        chunked = {"zlib": True, "shuffle": True, "complevel": 4}
        encoding: dict[str, Any] = {
            "air_temperature": {**chunked, "chunksizes": (24, 19, 25)},
            "rounded": {**chunked, "chunksizes": (60, 37, 49), "_FillValue": -1},
            "sea": {**chunked, "chunksizes": (10, 18, 100)},
            "time": {"chunksizes": (100,), "_FillValue": None},
        }
        dataset.to_netcdf(path, engine="netcdf4", format="NETCDF4", encoding=encoding)


def references(path: Path, inline: int = 0) -> dict[str, Any]:
    """Those that Kerchunk makes, to `path` as it is; chunks of less than `inline` bytes stand in the document."""
    return json.loads(json.dumps(SingleHdf5ToZarr(str(path), inline_threshold=inline).translate()))


def make_all(folder: Path) -> None:
    """The references are relative: they hold wherever both files lie in one folder."""
    path = folder / "a.nc"
    make_file(path)
    (folder / "refs.json").write_text(json.dumps(references(path)).replace(json.dumps(str(path)), json.dumps(path.name)))
    with xarray.open_dataset(path, **RAW) as dataset:
        np.savez(folder / "truth.npz", **{str(name): variable.values for name, variable in dataset.variables.items()})


if __name__ == "__main__":
    make_all(Path(sys.argv[1]))
