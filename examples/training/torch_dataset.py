"""The batches of batches.py as an `IterableDataset` of PyTorch. Each worker process of a `DataLoader` reads runs of its own.

    dataset = ZarrBatches("https://host/data.zarr", ["x", "y"], size=64)
    for batch in DataLoader(dataset, batch_size=None, num_workers=2):    # batches are made already
        ...
    dataset.epoch += 1                                                   # another order

Run as a program, it goes through an epoch of the array `air_temperature` of a Zarr folder or URL.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

import torch
from batches import Batch, batches
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

import azarr


class ZarrBatches(IterableDataset[dict[str, torch.Tensor]]):
    """Arrays `names` below `url`, opened in the process that reads them. `options` are those of `batches`; `seed` comes from `epoch`."""

    def __init__(self, url: str, names: list[str], **options: Any) -> None:
        self.url, self.names, self.options, self.epoch = url, names, options, 0

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        """Batches as tensors that share the memory of NumPy's arrays. Between them the loop stands still: workers go on meanwhile."""
        worker = get_worker_info()
        part = (worker.id, worker.num_workers) if worker else (0, 1)
        with asyncio.Runner() as runner:
            arrays = runner.run(self._open())
            found = batches(arrays, seed=self.epoch, part=part, **self.options)
            try:
                while batch := runner.run(_next(found)):
                    yield {name: torch.from_dlpack(values) for name, values in batch.items()}
            finally:
                runner.run(found.aclose())

    async def _open(self) -> dict[str, azarr.Array]:
        group = azarr.open_group(self.url)
        return {name: await group[name] for name in self.names}


async def _next(found: Any) -> Batch:
    return await anext(found, {})


if __name__ == "__main__":
    dataset = ZarrBatches(sys.argv[1], ["air_temperature"], size=16, memory="64 MiB")
    for workers in (0, 2):
        shapes = [tuple(batch["air_temperature"].shape) for batch in DataLoader(dataset, batch_size=None, num_workers=workers)]
        print(f"{workers} workers: {len(shapes)} batches, {sum(shape[0] for shape in shapes)} samples, the first of shape {shapes[0]}")
