"""Makes `climate.zarr`, which the examples read: surface temperature of North America, every twelfth year of 1860 to 2099.

From the package `iris-sample-data`: output of a climate model of the Met Office, scenario A1B, yearly means in kelvin, 3.75 degrees.

    pip install "azarr[demo]" && python examples/make_data.py
"""

import asyncio
from pathlib import Path

import azarr
from azarr.cli.climate import read_climate

STORE = Path(__file__).parent / "climate.zarr"
EVERY = 12
"""Years from one map to the next."""


async def main() -> None:
    """Write it beside this file, and show what is in it."""
    await azarr.open_group(STORE, mode="w", attributes={"title": "Surface temperature of North America, scenario A1B"})
    for name, variable in read_climate().items():
        if "/" not in name:
            values = variable.values[::EVERY] if "time" in variable.dimensions else variable.values
            chunks = (1, *values.shape[1:]) if values.ndim == 3 else values.shape
            options = {"dimension_names": variable.dimensions, "attributes": variable.attributes, "compressors": "zstd"}
            await azarr.save(STORE, name, values, chunks=chunks, shards=values.shape if values.ndim == 3 else None, **options)
    print(await (await azarr.consolidate(STORE)).tree())


asyncio.run(main())
