"""Buckets from a page: another origin, whose server lets pages see its answers."""

from __future__ import annotations

import pytest
from hosting import Site
from places import InPage, Raised

from buckets import bucket_of

READ = """
import azarr
import numpy as np

store = azarr.stores.BucketStore(f"s3://{bucket}/data.zarr", endpoint=endpoint)
group = await azarr.open_group(store)
values = np.arange(600).reshape(20, 30)
plain, sharded = await group["g/plain"], await group["g/sharded"]
"""


def test_a_tree_in_a_bucket_is_listed_and_read_from_a_page(python: InPage, site: Site):
    made = """
import azarr
import numpy as np

objects = {}
for name, shards in (("plain", None), ("sharded", (10, 20))):
    await azarr.save(objects, f"g/{name}", np.arange(600, dtype="i4").reshape(20, 30), chunks=(5, 10), shards=shards)
{f"data.zarr/{key}": list(data) for key, data in objects.items()}
"""
    objects = {key: bytes(data) for key, data in python(made).items()}
    bucket, endpoint = site.run(bucket_of(objects))
    found = """
[await group.keys(), sorted([key async for key in store.list("")]), [np.array_equal(await each[3:, ::-2], values[3:, ::-2]) for each in (plain, sharded)]]
"""
    keys = sorted(key.removeprefix("data.zarr/") for key in objects)
    assert python(READ + found, bucket=bucket, endpoint=endpoint) == [["g"], keys, [True, True]]


def test_a_bucket_that_is_not_there_is_an_error_in_a_page_too(python: InPage, site: Site):
    _, endpoint = site.run(bucket_of({}))
    with pytest.raises(Raised, match="there is no bucket 'nowhere'") as raised:
        python(READ, bucket="nowhere", endpoint=endpoint)
    assert raised.value.name == "TransportError"
