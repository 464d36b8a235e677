"""What a cache keeps in the browser: it is there after a reload, in bounded size, as it was answered, and of one version."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hosting import Site
from places import InPage, Raised
from playwright.sync_api import Browser

IMPORTS = """\
import asyncio
import numpy as np
import azarr
from azarr import Cached
from azarr.stores import HTTPStore, MemoryStore, Value
from azarr.testing import CountingStore
from pyodide.code import run_js

records = run_js('''async (name, store, change) => {
  const database = await new Promise((done) => { const asked = indexedDB.open("azarr " + name); asked.onsuccess = () => done(asked.result); });
  const objects = database.transaction([store], "readwrite").objectStore(store);
  const values = await new Promise((done) => { const asked = objects.getAll(); asked.onsuccess = () => done(asked.result); });
  const keys = await new Promise((done) => { const asked = objects.getAllKeys(); asked.onsuccess = () => done(asked.result); });
  if (change) await new Promise((done) => {
    const bytes = new Uint8Array(values[0]);
    bytes[bytes.length + change] ^= 1;
    objects.put(bytes.buffer, keys[0]).onsuccess = done;
  });
  database.close();
  return values;
}''')

async def sizes(name):
    "Bytes of all that is kept, as they are and as they are counted."
    kept = [data.byteLength for data in await records(name, "data", 0)]
    return sum(kept), sum(use.size for use in await records(name, "uses", 0)), (list(await records(name, "total", 0)) or [0])[0]

def one_by_one(objects, size):
    "A cache around objects in memory that keeps nothing there, and what is asked for."
    asked = CountingStore(Waiting(objects))
    return Cached(asked, memory=0, disk="indexeddb://" + name, disk_size=size, recheck=False), asked.requests

class Waiting:
    "A store like one on the network, whose versions are its contents."
    def __init__(self, objects):
        self.objects = objects
    def __repr__(self):
        return "Waiting()"
    async def get(self, key, byte_range=None):
        data = self.objects.get(key)
        if data is None:
            return None
        start, stop = byte_range or (0, None)
        return Value(data[start:stop], str(hash(data)), len(data))
"""


@pytest.fixture(scope="module")
def there(browser: Browser, site: Site) -> Iterator[InPage]:
    context = browser.new_context()
    place = InPage(context.new_page(), site)
    place(IMPORTS)
    yield place
    context.close()


@pytest.fixture
def name(request: pytest.FixtureRequest, there: InPage) -> str:
    name: str = request.node.name
    there("None", name=name)
    return name


def again(place: InPage, **names: Any) -> None:
    """Reload the page."""
    place.page.reload()
    place.page.wait_for_function("window.ready === true")
    place(IMPORTS, **names)


def test_what_was_read_is_there_after_a_reload_without_a_request(there: InPage, site: Site, name: str):
    made = """
objects = {}
values = np.random.default_rng(3).integers(0, 200, (40, 60), "u2")
await azarr.save(objects, "x", values, chunks=(10, 20), shards=(20, 60))
await azarr.save(objects, "y", values, chunks=(20, 20))
{key: list(data) for key, data in objects.items()}
"""
    url = site.add({key: bytes(data) for key, data in there(made).items()})
    read = """
values = np.random.default_rng(3).integers(0, 200, (40, 60), "u2")
store = Cached(HTTPStore(url), disk="indexeddb://" + name, recheck=False)
group = await azarr.open_group(store)
x, y = await group.x, await group.y
[np.array_equal(await x[5:, 3:50], values[5:, 3:50]), np.array_equal(await y[...], values)]
"""
    assert there(read, url=url) == [True, True]
    assert {asked.key.partition("/")[2] for asked in site.below(url)} >= {"x/zarr.json", "x/c/0/0", "y/c/1/2"}
    site.reset()
    again(there, name=name)
    assert there(read, url=url) == [True, True]
    asked = [asked.key.partition("/")[2] for asked in site.below(url)]  # what is absent is not kept
    assert [key for key in asked if "/c/" in key or key.endswith("zarr.json")] == []


def test_it_is_bounded_in_bytes_and_the_longest_unused_go_first_also_after_a_reload(there: InPage, name: str):
    code = """
store, requests = one_by_one({f"k{k}": bytes([k]) * 1000 for k in range(40)}, 10_000)
for key in keys:
    assert (await store.get(key)).data == bytes([int(key[1:])]) * 1000
asked = [key for key, _ in requests]
[asked, max(await sizes(name)) <= 10_000, len(set(await sizes(name)))]
"""
    assert there(code, keys=["k0", "k1", "k2", "k3", "k4", "k5", "k6"]) == [["k0", "k1", "k2", "k3", "k4", "k5", "k6"], True, 1]
    assert there(code, keys=["k0", "k2"]) == [[], True, 1]
    again(there, name=name)
    assert there(code, keys=["k3"]) == [[], True, 1]
    assert there(code, keys=["k7", "k8", "k9"]) == [["k7", "k8", "k9"], True, 1]
    assert there(code, keys=["k0", "k2", "k3", "k9"]) == [[], True, 1]  # k1 and k4 went
    assert there(code, keys=["k1"])[0] == ["k1"]
    assert there("await (one_by_one({'large': bytes(20_000)}, 10_000)[0]).get('large')\n'large' in str(await sizes(name))") is False


@pytest.mark.parametrize("at", [-1, -500, -1010, -1030], ids=str)
def test_bytes_that_were_damaged_are_not_believed(there: InPage, name: str, at: int):
    code = """
store, requests = one_by_one({"key": bytes(1000)}, 10_000)
first = await store.get("key")
await records(name, "data", at)
second, third = await store.get("key"), await store.get("key")
[each.data == bytes(1000) for each in (first, second, third)], len(requests)
"""
    assert there(code, at=at) == [[True, True, True], 2]


def test_an_object_that_is_replaced_takes_all_its_parts_along(there: InPage, name: str):
    code = """
objects = {"key": b"a" * 1000, "keys": b"c" * 1000}
cached, requests = one_by_one(objects, 10_000)
for key in objects:
    for byte_range in ((0, 10), (10, 20), None):
        await cached.get(key, byte_range)
objects["key"] = b"b" * 1000
always = Cached(cached.inner, memory=0, disk="indexeddb://" + name, recheck=True)
found = [(await always.get("key", (0, 10))).data == b"b" * 10]
requests.clear()
found += [(await cached.get("key", part)).data for part in ((0, 10), (10, 20))] + [(await cached.get("keys", (0, 10))).data]
[found[0], [each.decode() for each in found[1:]], requests]
"""
    assert there(code) == [True, ["b" * 10, "b" * 10, "c" * 10], [["key", [10, 20]]]]


def test_tabs_share_what_is_kept_and_its_bound(there: InPage, site: Site, name: str):
    other = InPage(there.page.context.new_page(), site, worker=True)
    other(IMPORTS, name=name)
    code = """
store, requests = one_by_one({f"k{k}": bytes([k]) * 1000 for k in range(40)}, 15_000)
await asyncio.gather(*(store.get(f"k{k}") for k in range(first, first + 10)))
[len(requests), max(await sizes(name)) <= 15_000, len(set(await sizes(name)))]
"""
    assert there(code, first=0) == [10, True, 1]
    assert other(code, first=0) == [0, True, 1]
    assert other(code, first=10) == [10, True, 1]
    assert there(code, first=10) == [0, True, 1]
    other.page.close()


def test_a_read_that_is_cancelled_leaves_no_half_answer(there: InPage, name: str):
    code = """
for turns in range(0, 80, 4):
    store, _ = one_by_one({"key": bytes([turns]) * 100_000}, "1 MiB")
    reading = asyncio.ensure_future(store.get("key"))
    for _ in range(turns):
        await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    kept = await one_by_one({"key": bytes(100_000)}, "1 MiB")[0].get("key")
    assert kept.data in (bytes([turns]) * 100_000, bytes(100_000))
    assert len(set(await sizes(name))) == 1
    await store._disk.forget("key")
await sizes(name)
"""
    assert there(code) == [0, 0, 0]


def test_a_site_that_is_full_reads_on(browser: Browser, site: Site):
    context = browser.new_context()
    place = InPage(context.new_page(), site)
    place(IMPORTS, name="full")
    place("await (one_by_one({'key': b'x'}, '1 GiB')[0]).get('key')\nNone")
    session = context.new_cdp_session(place.page)
    session.send("Storage.overrideQuotaForOrigin", {"origin": site.url, "quotaSize": 2_000_000})
    code = """
store, requests = one_by_one({f"k{k}": bytes([k]) * 1_000_000 for k in range(8)}, "1 GiB")
[[(await store.get(f"k{k}")).data == bytes([k]) * 1_000_000 for k in range(8)], len(requests)]
"""
    assert place(code) == [[True] * 8, 8]
    context.close()


def test_outside_of_browsers_a_folder_is_asked_for(here: Any):
    with pytest.raises(Raised, match="disk= takes a folder"):
        here("import azarr\nazarr.Cached(azarr.stores.MemoryStore(), disk='indexeddb://name')")
