"""The data of the demo and its statistics. Knows netCDF files and NumPy; never Zarr, never a network.

The data come with the package `iris-sample-data`: yearly means of surface air temperature over North America, 1860 to
2099, from a climate model of the Met Office. The model was run for two scenarios of emissions, which share their past
and part in the year 2000: A1B (they peak in the middle of the century) and E1 (strong cuts). The coast is the land mask
of an ocean model of IPSL, there for the picture.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import iris_sample_data  # pyright: ignore[reportMissingTypeStubs]
import netCDF4
import numpy as np
from numpy.typing import NDArray

FILES = Path(iris_sample_data.path)
COAST_FILE = FILES / "NEMO" / "nemo_1m_20150101-20150201_grid-T.nc"
BASELINE_YEARS = 30
NOT_TAKEN = ("bounds", "coordinates", "grid_mapping")  # Attributes that name variables which the demo has not.
HOURS_PER_YEAR = 360 * 24  # The model's calendar: twelve months of thirty days.


@dataclass(frozen=True, slots=True)
class Variable:
    """Values with what CF needs to tell what they are."""

    values: NDArray[Any]
    dimensions: tuple[str, ...]
    attributes: dict[str, str]


def read_variable(dataset: netCDF4.Dataset, name: str) -> Variable:
    """One variable of an open file, with all its values."""
    variable = dataset[name]
    attributes = {key: str(variable.getncattr(key)) for key in variable.ncattrs() if key not in NOT_TAKEN}
    return Variable(np.ma.getdata(variable[...]), variable.dimensions, attributes)


def read_climate() -> dict[str, Variable]:
    """The variables of the demo by their path in the hierarchy; the root is the scenario A1B."""
    with netCDF4.Dataset(FILES / "A1B_north_america.nc") as a1b, netCDF4.Dataset(FILES / "E1_north_america.nc") as e1:
        return {
            "air_temperature": read_variable(a1b, "air_temperature"),
            "time": read_variable(a1b, "time"),
            "latitude": read_variable(a1b, "latitude"),
            "longitude": read_variable(a1b, "longitude"),
            "E1/air_temperature": read_variable(e1, "air_temperature"),
            **read_coast(),
        }


def read_coast() -> dict[str, Variable]:
    """Where there is land around North America, on the grid of the ocean model (about one degree)."""
    with netCDF4.Dataset(COAST_FILE) as ocean:
        land = np.ma.getmaskarray(ocean["tos"][0])  # The sea surface temperature is masked where there is no sea.
        latitude = np.ma.getdata(ocean["nav_lat"][...])
        longitude = np.ma.getdata(ocean["nav_lon"][...]) % 360
    near = (latitude > 12) & (latitude < 63) & (longitude > 220) & (longitude < 320)
    window = np.ix_(near.any(axis=1), near.any(axis=0))
    return {
        "coast/land": Variable(land[window], ("y", "x"), {"long_name": "land"}),
        "coast/latitude": Variable(latitude[window], ("y", "x"), {"units": "degrees_north"}),
        "coast/longitude": Variable(longitude[window], ("y", "x"), {"units": "degrees_east"}),
    }


def calendar_years(time: NDArray[Any]) -> NDArray[np.int64]:
    """The years of times in hours since 1970 of a calendar of 360 days."""
    return 1970 + np.floor_divide(time, HOURS_PER_YEAR).astype(np.int64)


def area_mean(temperature: NDArray[Any], latitude: NDArray[Any]) -> NDArray[np.float64]:
    """The mean over the area of (..., latitude, longitude): a cell's area goes as the cosine of its latitude."""
    weights = np.cos(np.deg2rad(latitude.astype(np.float64)))
    return temperature.mean(axis=-1, dtype=np.float64) @ weights / weights.sum()


def warming_map(temperature: NDArray[Any]) -> NDArray[np.float64]:
    """In each cell of (year, latitude, longitude), the mean of the last 30 years minus that of the first 30, in K."""
    first, last = temperature[:BASELINE_YEARS], temperature[-BASELINE_YEARS:]
    return last.mean(axis=0, dtype=np.float64) - first.mean(axis=0, dtype=np.float64)


def warming_curve(temperature: NDArray[Any], latitude: NDArray[Any]) -> NDArray[np.float64]:
    """By year, the area mean of (year, latitude, longitude) minus its mean over the first 30 years, in K."""
    means = area_mean(temperature, latitude)
    return means - means[:BASELINE_YEARS].mean()
