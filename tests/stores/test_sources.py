"""What `open` and `create` make of URLs with `storage_options`, of URLs that fsspec chains, and of archives that are not there."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web

import azarr
from azarr.errors import ReadOnly, StoreError
from azarr.stores import BucketStore, FsspecStore, HTTPStore, ObjectStore, store_from
from servers import ranged, serving

KEYS = {"access_key_id": "me", "secret_access_key": "topsecret"}


async def test_options_of_http_are_those_of_its_store():
    objects: dict[str, bytes] = {}
    await azarr.save(objects, "a", np.arange(4), attributes={"units": "m"})
    async with serving(objects) as server:

        async def guarded(request: Any, data: bytes) -> Any:
            return ranged(request, data) if request.headers.get("X-Key") == "topsecret" else web.Response(status=403)

        server.misbehave.update(dict.fromkeys(objects, guarded))
        options = {"headers": {"X-Key": "topsecret"}}
        for opened in (
            azarr.open(server.url, "a", storage_options=options),
            azarr.open_array(server.url, "a", storage_options=options),
            azarr.open_group(server.url, storage_options=options)["a"],
        ):
            assert (await (await opened)[...]).tolist() == [0, 1, 2, 3]
            assert "topsecret" not in repr(opened)
        with pytest.raises(StoreError, match="403"):
            await azarr.open_array(server.url, "a", storage_options={"headers": {"X-Key": "other"}})
        await azarr.consolidate(objects)
        server.misbehave.update(dict.fromkeys(objects, guarded))
        assert await (await azarr.open_consolidated(server.url, storage_options=options)).keys() == ["a"]


async def test_options_of_other_urls_are_those_of_fsspec(tmp_path: Path):
    url, options = f"local://{tmp_path}/data.zarr", {"auto_mkdir": True}
    store = store_from(url, None, options)
    assert isinstance(store, FsspecStore)
    assert store.storage_options == options
    await azarr.create_group(url, storage_options=options)
    made = await azarr.create_array(url, "a", shape=4, dtype="u1", storage_options=options)
    await made[...].write([1, 2, 3, 4])
    again = await azarr.open_array(url, "b", mode="w", shape=1, dtype="u1", storage_options=options)
    assert again.store.storage_options == options
    await azarr.open_group(url, "g", mode="a", storage_options=options)
    assert sorted(path.name for path in (tmp_path / "data.zarr").iterdir()) == ["a", "b", "g", "zarr.json"]
    assert (await azarr.open_array(tmp_path / "data.zarr", "a")[...]).tolist() == [1, 2, 3, 4]


def test_options_of_buckets_make_a_store_with_credentials_unless_they_are_for_all():
    store = store_from("s3://bucket/a.zarr", None, {"region": "eu-west-1", **KEYS})
    assert isinstance(store, ObjectStore)
    assert store.options == {"region": "eu-west-1", **KEYS}
    assert "topsecret" not in repr(store)
    assert isinstance(store_from("az://box/a", None, {"account_name": "a", "skip_signature": True}), ObjectStore)
    public = store_from("s3://bucket/a.zarr", None, {"anon": True, "endpoint": "https://host"})
    assert isinstance(public, BucketStore)
    assert public.url == "https://host/bucket/a.zarr"
    assert isinstance(store_from("s3://bucket/a.zarr", None, {}), BucketStore)
    assert isinstance(store_from("https://host/a.zarr", None, {"missing": (404, 403)}), HTTPStore)


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("data.zarr", {"anon": True}, "for URLs of other machines, not for 'data.zarr'"),
        ("file:///data.zarr", {"anon": True}, "for URLs of other machines"),
        (Path("data.zarr"), {"anon": True}, "for URLs of other machines, not for PosixPath"),
        ({}, {"anon": True}, "not for dict"),
        ("s3://bucket/a.zip", KEYS, "for the store that has 's3://bucket/a.zip': ZipStore takes such a store, and a key"),
        ("https://host/refs.json?token=topsecret", {"headers": {}}, "ReferenceStore takes such a store"),
        ("https://host/a", {"client_kwargs": KEYS}, "'client_kwargs'; FsspecStore.* takes those of fsspec"),
    ],
)
def test_options_that_a_store_does_not_take_are_an_error_that_says_what_does(source: Any, options: Any, message: str):
    with pytest.raises(TypeError, match=message) as caught:
        azarr.open(source, storage_options=options)
    assert "topsecret" not in str(caught.value)
    with pytest.raises(ValueError, match=r"'key' is not valid.*FsspecStore.* takes those of fsspec") as invalid:
        azarr.open("s3://bucket/a", storage_options={"key": "topsecret"})
    assert "topsecret" not in str(invalid.value)


@pytest.mark.parametrize(
    ("url", "way"),
    [
        ("simplecache::https://host/a", r"azarr.Cached\('https://host/a', disk=...\)"),
        ("filecache::s3://bucket/a", r"azarr.Cached\('s3://bucket/a', disk=...\)"),
        ("blockcache::zip://a::https://host/b.zip", r"azarr.Cached\('zip://a::https://host/b.zip', disk=...\)"),
        ("zip://a/b::https://host/c.zip", r"azarr.open\(azarr.stores.ZipStore\('https://host/c.zip'\), 'a/b'\)"),
        ("zip://c.zip", r"azarr.open\('c.zip'\)"),
        ("zip::https://host/c.zip", r"azarr.stores.ZipStore\('https://host/c.zip'\)"),
        ("reference::https://host/refs.json", r"azarr.stores.ReferenceStore\('https://host/refs.json'\)"),
        ("reference::refs.json", r"azarr.stores.ReferenceStore\('refs.json'\)"),
        ("zip::c.zip", r"azarr.stores.ZipStore\('c.zip'\)"),
        ("simplecache::data.zarr", r"azarr.Cached\('data.zarr', disk=...\)"),
        ("filecache::/srv/data.zarr", r"azarr.Cached\('/srv/data.zarr', disk=...\)"),
        ("reference://", "ReferenceStore"),
        ("zip::https://me:topsecret@host/c.zip", r"ZipStore\('https://\*\*\*@host/c.zip'\)"),
    ],
)
def test_of_what_fsspec_chains_azarrs_way_is_named(url: str, way: str):
    with pytest.raises(ValueError, match=way) as caught:
        azarr.open(url)
    assert "topsecret" not in str(caught.value)


async def test_a_folder_may_be_called_as_a_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("zip::c", "simplecache::a", "a::b"):
        await azarr.save(Path(name), "a", np.arange(4))
        for place in (Path(name), f"./{name}", *([name] if name == "a::b" else [])):
            assert (await azarr.open_array(place, "a")[...]).tolist() == [0, 1, 2, 3]


async def test_a_cache_takes_a_url_as_these_errors_say(tmp_path: Path):
    objects: dict[str, bytes] = {}
    await azarr.save(objects, "a", np.arange(4))
    async with serving(objects) as server:
        store = azarr.Cached(server.url, disk=tmp_path / "cache")
        assert isinstance(store.inner, HTTPStore)
        assert (await azarr.open_array(store, "a")[...]).tolist() == [0, 1, 2, 3]


async def test_chains_that_azarr_has_no_way_for_are_read_by_fsspec(tmp_path: Path):
    await azarr.save(tmp_path / "a.zarr", "a", np.arange(4))
    with tarfile.open(tmp_path / "a.tar", "w") as packed:
        packed.add(tmp_path / "a.zarr", "a.zarr")
    store = store_from(f"tar://a.zarr::file://{tmp_path}/a.tar")
    assert isinstance(store, FsspecStore)
    assert (await azarr.open_array(store, "a")[...]).tolist() == [0, 1, 2, 3]


async def test_an_archive_that_is_not_there_is_made_by_what_the_error_names(tmp_path: Path):
    place = tmp_path / "new.zip"
    for made in (azarr.create_group(place), azarr.create_array(place, shape=1, dtype="u1"), azarr.open_group(place, mode="w").open()):
        with pytest.raises(ReadOnly, match=r"azarr\.stores\.ZipStore\.create\(path\) makes an archive"):
            await made
    with pytest.raises(StoreError, match=r"no such archive; azarr\.stores\.ZipStore\.create\(path\)"):
        await azarr.open_group(place, mode="a")
    assert not place.exists()
