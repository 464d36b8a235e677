"""The demo: climate data are written as Zarr, served on loopback, read over HTTP, and drawn. Made to be copied from."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn

import azarr
from azarr.cli import story
from azarr.cli.climate import calendar_years, read_climate, warming_curve, warming_map
from azarr.cli.consolidation import consolidate
from azarr.cli.picture import Coast, Warming, draw_picture
from azarr.cli.server import Server, serve


async def run_demo(folder: Path, picture: Path, console: Console) -> Warming:
    """Write `climate.zarr` into a folder, read it back over HTTP, tell the story on a console, and draw a picture; what was found."""
    store = folder / "climate.zarr"
    await write_climate(store)
    story.tell_written(console, store)

    async with serve(store) as server:
        warming = await read_over_http(server, console)

    draw_picture(warming, picture)
    story.tell_warming(console, warming, picture)
    return warming


async def write_climate(store: Path) -> None:
    """A root and two groups; each variable is an array that has dimension names, and attributes as CF has them."""
    about = {"title": "Two futures of North America", "Conventions": "CF-1.5"}
    await azarr.create_group(store, attributes=about, overwrite=True)
    await azarr.create_group(store, "E1", attributes={"title": "Scenario E1"})
    await azarr.create_group(store, "coast", attributes={"title": "Where there is land"})
    for path, variable in read_climate().items():
        by_year = path.endswith("air_temperature")
        array = await azarr.create_array(
            store,
            path,
            shape=variable.values.shape,
            dtype=variable.values.dtype,
            chunks=(10, 37, 49) if by_year else "auto",  # What is read and decoded at once: a decade ...
            shards=(60, 37, 49) if by_year else None,  # ... and what is one file: six decades.
            dimension_names=variable.dimensions,
            attributes=variable.attributes,
        )
        await array[...].write(variable.values)
    consolidate(store)


async def read_over_http(server: Server, console: Console) -> Warming:
    """Open what the server has, read all of it, and compute the warming."""
    bill = story.Bill(server)

    # Nothing is asked of the server by the first line; the second opens the array and reads all years but five.
    g = azarr.open_group(server.url)
    part = await g.air_temperature[5:]
    bill.add("part = await g.air_temperature[5:]", part.nbytes)
    story.tell_two_lines(console, server.url, part)

    # Consolidated metadata came with the group, so it knows all that is below it.
    group = await g
    tree = await group.tree()
    bill.add("tree = await group.tree()", 0)
    story.tell_tree(console, str(tree))

    # Both scenarios at once, block by block as they arrive, with a progress bar each.
    a1b, e1 = await group["air_temperature"], await group["E1/air_temperature"]
    story.tell_streaming(console)
    columns = TextColumn("{task.description:>4}"), BarColumn(), TaskProgressColumn(), DownloadColumn()
    with Progress(*columns, console=console) as progress:
        temperatures = await asyncio.gather(stream(a1b[:], progress, "A1B"), stream(e1[:], progress, "E1"))
    bill.add("async for block in array[:].blocks()", a1b.nbytes + e1.nbytes)

    # A decade is one chunk of one shard: the server sends that part of the file, not the file.
    decade = await a1b[-10:]
    bill.add("decade = await array[-10:]", decade.nbytes)

    # Small arrays, all at the same time.
    names = "time", "latitude", "longitude", "coast/land", "coast/latitude", "coast/longitude"
    small = await asyncio.gather(*[group[name][...].read() for name in names])
    bill.add(f"{len(names)} small arrays with asyncio.gather", sum(array.nbytes for array in small))
    story.tell_bill(console, bill)

    time, latitude, longitude, *coast = small
    curves = {"A1B": warming_curve(temperatures[0], latitude), "E1": warming_curve(temperatures[1], latitude)}
    return Warming(
        map=warming_map(temperatures[0]),
        latitude=latitude,
        longitude=longitude,
        coast=Coast(*coast),
        curves=curves,
        years=calendar_years(time),
    )


async def stream(selection: azarr.Selection, progress: Progress, name: str) -> NDArray[Any]:
    """Read a selection block by block, in the order in which the blocks arrive."""
    bar = progress.add_task(name, total=selection.nbytes)
    values = np.empty(selection.shape, selection.dtype)
    async for block in selection.blocks():
        values[block.region] = block.data
        progress.advance(bar, block.data.nbytes)
    return values
