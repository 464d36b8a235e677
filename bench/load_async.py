"""`ds.load_async()` of 50 variables of one chunk each (8 or 80 kB of zstd), behind 20 ms: xarray on azarr, and on zarr-python with obstore.

.venv-peers/bin/python -m bench.load_async
"""

import asyncio
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import obstore.store
import xarray
import zarr

from azarr.integrations.xarray import open_dataset, write
from bench.server import SLOW, URL, missing, serving

MANY, ROUNDS = 50, 25
SIZES = (1000, 10000)
"""Numbers of float64 in a variable."""
LIBRARIES = ("azarr", "zarr-python")


async def load(ds: xarray.Dataset) -> float:
    """Milliseconds that it takes."""
    began = time.perf_counter()
    await ds.load_async()
    return 1000 * (time.perf_counter() - began)


def by_zarr(url: str) -> xarray.Dataset:
    store = zarr.storage.ObjectStore(obstore.store.HTTPStore.from_url(url, client_options={"allow_http": True}), read_only=True)
    return xarray.open_zarr(store, chunks=None, consolidated=True)


async def measure(url: str) -> dict[str, list[float]]:
    ways: dict[str, list[float]] = {f"{many}, {library}": [] for library in LIBRARIES for many in ("one variable", f"{MANY} variables")}
    for _ in range(ROUNDS):
        for name, times in ways.items():
            ds = await open_dataset(url) if "azarr" in name else by_zarr(url)
            await ds["first"].load_async()  # the connection is there
            times.append(await load(ds[["v0"]] if name.startswith("one") else ds.drop_vars("first")))
    return ways


async def main() -> None:
    for size in SIZES:
        values = {name: ("x", np.arange(float(size))) for name in ("first", *(f"v{number}" for number in range(MANY)))}
        with tempfile.TemporaryDirectory() as folder:
            await write(xarray.Dataset(values), Path(folder) / "many.zarr")
            with serving(Path(folder)) as environment:
                found = await measure(f"{environment[URL]}/{SLOW}/many.zarr")
        for library in LIBRARIES:
            one, many = found[f"one variable, {library}"], found[f"{MANY} variables, {library}"]
            ratio = statistics.median(many) / statistics.median(one)
            texts = [f"{statistics.median(times):.1f} ms (least {min(times):.1f})" for times in (one, many)]
            print(f"{8 * size:,} bytes each, {library}: one variable {texts[0]}, {MANY} variables {texts[1]}, ratio {ratio:.2f}")


if __name__ == "__main__":
    if reason := missing():
        raise SystemExit(reason)
    warnings.simplefilter("ignore")
    asyncio.run(main())
