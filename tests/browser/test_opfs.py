"""The browser's own files: what was written is there after a reload, as a whole or not at all, and for all tabs and workers of the site."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hosting import Site
from places import InPage, Raised, value_of
from playwright.sync_api import Browser

IMPORTS = """\
import asyncio, json
import numpy as np
import js
import azarr
from azarr.stores import OPFSStore

async def staged(path):
    "Names of what is being written below a root."
    folder = await js.navigator.storage.getDirectory()
    try:
        for part in [*path.split("/"), ".azarr-staged"]:
            folder = await folder.getDirectoryHandle(part)
    except Exception:
        return []
    return [name async for name in folder.keys()]

async def locks():
    held = (await js.navigator.locks.query())
    return [each.name for each in [*held.held, *held.pending]]
"""


class Tabs:
    """A page and a worker of another page, of one site in one profile. They share what is stored."""

    def __init__(self, browser: Browser, site: Site) -> None:
        self.context, self.site = browser.new_context(), site
        self.page, self.worker = self.open(), self.open(worker=True)

    def open(self, **how: Any) -> InPage:
        place = InPage(self.context.new_page(), self.site, **how)
        place(IMPORTS)
        return place


@pytest.fixture(scope="module")
def tabs(browser: Browser, site: Site) -> Iterator[Tabs]:
    tabs = Tabs(browser, site)
    yield tabs
    tabs.context.close()


@pytest.fixture
def root(request: pytest.FixtureRequest) -> str:
    return f"tests/{request.node.name}"


def begin(place: InPage, code: str, **names: Any) -> None:
    """Run `code`, and go on."""
    place.page.evaluate("([code, names]) => { window.begun = window.run(code, names); }", [code, json.dumps(names)])


def end(place: InPage) -> Any:
    """What it gave."""
    return value_of(place.page.evaluate("window.begun"))


WRITE = """
values = np.random.default_rng(5).integers(0, 1 << 30, (200, 300), "i4")
group = await azarr.create_group(OPFSStore(root))
plain = await azarr.save(OPFSStore(root), "plain", values, chunks=(64, 128))
sharded = await azarr.save(OPFSStore(root), "sharded", values, chunks=(16, 64), shards=(64, 128))
for array in (plain, sharded):
    await array[10:70, 5:200].write(7)
    await array[199].write(np.arange(300))
"""
READ = """
values = np.random.default_rng(5).integers(0, 1 << 30, (200, 300), "i4")
values[10:70, 5:200] = 7
values[199] = np.arange(300)
group = await azarr.open_group(OPFSStore(root))
names = sorted(await group.keys())
equal = [np.array_equal(await (await group[name])[...], values) for name in names]
tail = [(await (await group[name])[199, -1:]).tolist() for name in names]
[names, equal, tail]
"""


def test_what_was_written_is_there_after_a_reload_bit_by_bit(fresh: InPage, root: str):
    fresh(IMPORTS + WRITE, root=root)
    fresh.page.reload()
    fresh.page.wait_for_function("window.ready === true")
    assert fresh(IMPORTS + READ, root=root) == [["plain", "sharded"], [True, True], [[299], [299]]]
    left = """
await azarr.delete(OPFSStore(root), "plain")
[name async for name in OPFSStore(root).list_dir("")], [key async for key in OPFSStore(root).list("plain")]
"""
    assert fresh(left, root=root) == [["sharded/", "zarr.json"], []]


def test_what_a_page_writes_a_worker_reads_and_the_other_way_round(tabs: Tabs, root: str):
    for writer, reader in ((tabs.page, tabs.worker), (tabs.worker, tabs.page)):
        writer(WRITE, root=f"{root}/{writer is tabs.page}")
        assert reader(READ, root=f"{root}/{writer is tabs.page}") == [["plain", "sharded"], [True, True], [[299], [299]]]


def test_100_megabytes_go_in_and_come_out(tabs: Tabs, root: str):
    code = """
data, store = np.random.default_rng(1).bytes(100_000_000), OPFSStore(root)
await store.set("large", data)
value, part = await store.get("large"), await store.get("large", (77_777_777, 77_777_787))
await store.delete("large")
[value.data == data, value.size, bytes(part.data) == data[77_777_777:77_777_787], part.size, await store.get("large")]
"""
    assert tabs.page(code, root=root) == [True, 100_000_000, True, 100_000_000, None]


def test_a_folder_goes_with_its_last_object_and_others_stay(tabs: Tabs, root: str):
    code = """
store, folder = OPFSStore(root), await js.navigator.storage.getDirectory()
for key in ("a/b/c", "a/d", "e"):
    await store.set(key, b"x")
for part in root.split("/"):
    folder = await folder.getDirectoryHandle(part)
seen = []
for key in ("a/b/c", "a/d", "e", "e", "no/such"):
    await store.delete(key)
    seen.append(sorted([name async for name in folder.keys() if not name.startswith(".")]))
seen
"""
    assert tabs.page(code, root=root) == [["a", "e"], ["e"], [], [], []]


def test_folders_go_when_all_of_their_objects_are_deleted_at_once(tabs: Tabs, root: str):
    code = """
store, left = OPFSStore(root), []
keys = [f"a/{i}/{j}/{k}" for i in range(3) for j in range(3) for k in range(3)]
for _ in range(20):
    await asyncio.gather(*(store.set(key, b"x") for key in keys))
    await asyncio.gather(*(store.delete(key) for key in keys))
    left += [name async for name in store.list_dir("")]
left
"""
    assert tabs.page(code, root=root) == []


def test_a_handle_means_the_same_objects_as_the_path(tabs: Tabs, root: str):
    code = """
folder = await js.navigator.storage.getDirectory()
for part in root.split("/"):
    folder = await folder.getDirectoryHandle(part, create=True)
by_path, by_handle = OPFSStore(root), OPFSStore(folder)
await by_path.set("a/b", b"one")
value = await by_handle.get("a/b")
done = [await store.replace("a/b", b"two", value.version) for store in (by_handle, by_path)]
async with by_path.hold("a/b"):
    other = asyncio.ensure_future(by_handle.hold("a/b").__aenter__())
    while len(await locks()) < 2:
        await asyncio.sleep(0)
    held = await locks()
await other
[repr(by_path), repr(by_handle), done, bytes((await by_path.get("a/b")).data).decode(), [key async for key in by_handle.list("")], held]
"""
    found = tabs.page(code, root=root)
    lock = f"azarr hold /{root}/a/b"
    assert found == [f"OPFSStore('{root}')", f"OPFSStore('{root.rpartition('/')[2]}')", [True, False], "two", ["a/b"], [lock, lock]]


# At the same time


def test_only_one_of_many_who_replace_the_same_version_does(tabs: Tabs, root: str):
    code = """
stores = [OPFSStore(root) for _ in range(8)]
versions = set()
for k in range(10):
    before = await stores[0].get("key")
    version = None if before is None else before.version
    done = await asyncio.gather(*(store.replace("key", bytes([k, n]), version) for n, store in enumerate(stores)))
    value = await stores[0].get("key")
    assert sum(done) == 1 and value.data == bytes([k, done.index(True)])
    versions.add(value.version)
len(versions)
"""
    assert tabs.page(code, root=root) == 10


def test_partial_writes_of_one_chunk_in_one_page_lose_nothing(tabs: Tabs, root: str):
    code = """
await azarr.create_array(OPFSStore(root), "x", shape=48, dtype="u1", chunks=24, shards=48)
arrays = [await azarr.open_array(OPFSStore(root), "x", mode="r+") for _ in range(4)]
await asyncio.gather(*(arrays[k % 4][k].write(k + 1) for k in range(48)))
await arrays[0][...]
"""
    assert tabs.page(code, root=root) == list(range(1, 49))


def test_partial_writes_in_two_tabs_lose_nothing_and_appended_rows_are_all_there(tabs: Tabs, root: str):
    tabs.page('await azarr.create_array(OPFSStore(root), "x", shape=(0, 40), dtype="u1", chunks=(4, 40))\nNone', root=root)
    code = """
array = await azarr.open_array(OPFSStore(root), "x", mode="r+")
for _ in range(4):
    array = await array.append(np.zeros((1, 40)))
await asyncio.gather(*(array[0, k].write(k + 1) for k in range(first, 40, 2)))
"""
    places = [tabs.page, tabs.worker]
    for first, place in enumerate(places):
        begin(place, code + "None", root=root, first=first)
    assert [end(place) for place in places] == [None, None]
    rows = tabs.page('await (await azarr.open_array(OPFSStore(root), "x"))[...]', root=root)
    assert rows == [list(range(1, 41)), *[[0] * 40] * 7]


def test_a_reader_in_another_tab_always_sees_an_object_that_is_whole(tabs: Tabs, root: str):
    tabs.page('await OPFSStore(root).set("key", bytes(50_000))', root=root)
    begin(tabs.worker, "for k in range(1, 61):\n    await OPFSStore(root).set('key', bytes([k]) * (50_000 + k))", root=root)
    code = """
seen, store = [0], OPFSStore(root)
while seen[-1] < 60:
    data = (await store.get("key")).data
    assert data == data[:1] * (50_000 + data[0])
    seen.append(data[0])
[seen == sorted(seen), len(seen) > 60]
"""
    assert tabs.page(code, root=root)[0] is True
    end(tabs.worker)


def test_a_store_at_the_root_takes_turns_with_one_below_it(tabs: Tabs, root: str):
    code = """
below, at_the_root = OPFSStore(root), OPFSStore()
await azarr.create_array(below, "x", shape=24, dtype="u1", chunks=24)
arrays = await azarr.open_array(below, "x", mode="r+"), await azarr.open_array(at_the_root, f"{root}/x", mode="r+")
await asyncio.gather(*(arrays[k % 2][k].write(k + 1) for k in range(24)))
await arrays[0][...]
"""
    assert tabs.page(code, root=root) == [*range(1, 25)]


def test_what_is_listed_cleaned_and_opened_beside_those_who_write_and_delete_is_no_error(tabs: Tabs, root: str):
    code = """
await azarr.create_group(OPFSStore(root))

async def change(store):
    for k in range(25):
        await store.set("c/i", bytes(10))
        await store.delete("c/i")
    return "done"

async def look(changing):
    while not changing.done():
        await azarr.open_group(OPFSStore(root), mode="r+")
        assert {key async for key in OPFSStore(root).list("")} <= {"zarr.json", "c/i"}

changing = asyncio.ensure_future(change(OPFSStore(root)))
await asyncio.gather(changing, look(changing), look(changing))
kept = OPFSStore(root)
await kept.set("f/x", b"0")
before = [key async for key in kept.list("f")]
await OPFSStore(root).delete("f/x")
[before, [key async for key in kept.list("f")], [key async for key in kept.list("f")], bytes((await kept.get("zarr.json", (0, 2**60))).data[:1])[0]]
"""
    assert tabs.page(code, root=root) == [["f/x"], [], [], ord("{")]


def test_where_all_was_deleted_by_others_it_is_written_again(tabs: Tabs, root: str):
    code = """
store = OPFSStore(root)
await store.set("a/k", b"1")
folder = await js.navigator.storage.getDirectory()
await (await folder.getDirectoryHandle("tests")).removeEntry(root.rpartition("/")[2], recursive=True)
await store.set("a/k", b"2")
bytes((await store.get("a/k")).data).decode()
"""
    assert tabs.page(code, root=root) == "2"


# What ends early


def test_a_cancelled_write_leaves_the_old_object_or_the_new_one_and_no_lock(tabs: Tabs, root: str):
    code = """
store, seen = OPFSStore(root), set()
old, new = b"old" * 100_000, b"new" * 100_000
for turns in [*range(0, 60, 3), *range(60, 400, 20), None]:
    await store.set("key", old)
    writing = asyncio.ensure_future(store.set("key", new))
    for _ in range(turns or 0):
        await asyncio.sleep(0)
    if turns is None:  # however long it takes
        await asyncio.wait([writing])
    writing.cancel()
    (outcome,) = await asyncio.gather(writing, return_exceptions=True)
    data = (await store.get("key")).data
    assert data in (old, new) and (data == new or outcome is not None), (turns, outcome)
    assert await staged(root) == [] and await locks() == [], turns
    seen.add((type(outcome).__name__, data == new))
sorted(seen)
"""
    seen = tabs.page(code, root=root)
    assert ["CancelledError", False] in seen
    assert ["NoneType", True] in seen


def test_who_waits_to_write_and_is_cancelled_does_not_write(tabs: Tabs, root: str):
    code = """
first, second = OPFSStore(root), OPFSStore(root)
async with first.hold("key"):
    waiting = asyncio.ensure_future(second.hold("key").__aenter__())
    while len(await locks()) < 2:
        await asyncio.sleep(0)
    waiting.cancel()
    (outcome,) = await asyncio.gather(waiting, return_exceptions=True)
    held = await locks()
while await locks():  # none is left
    await asyncio.sleep(0)
[type(outcome).__name__, held]
"""
    assert tabs.page(code, root=root) == ["CancelledError", [f"azarr hold /{root}/key"]]


def test_a_tab_that_is_closed_while_it_writes_leaves_the_old_object(tabs: Tabs, root: str):
    tabs.page('await OPFSStore(root).set("key", b"old")', root=root)
    closed = tabs.open()
    begin(closed, 'await OPFSStore(root).set("key", bytes(200_000_000))', root=root)
    tabs.page("while not await staged(root):\n    await asyncio.sleep(0)", root=root)
    closed.page.close()
    code = """
store = OPFSStore(root)
before = (await store.get("key")).data
keys = [key async for key in store.list("")]
await store.set("key", b"new")
[before == b"old", keys, (await store.get("key")).data == b"new"]
"""
    assert tabs.page(code, root=root) == [True, ["key"], True]


def test_what_was_staged_a_day_ago_is_deleted_when_a_node_is_opened_to_be_written_to(tabs: Tabs, root: str):
    code = """
from pyodide.code import run_js
store = OPFSStore(root)
await azarr.create_group(store)
folder = await js.navigator.storage.getDirectory()
for part in [*root.split("/"), ".azarr-staged"]:
    folder = await folder.getDirectoryHandle(part)
await folder.getFileHandle("of-the-dead", create=True)
await azarr.open_group(store, mode="r+")
soon = await staged(root)
run_js("globalThis.now = Date.now; Date.now = () => now() + 25 * 3600 * 1000")
try:
    await azarr.open_group(store, mode="r+")
finally:
    run_js("Date.now = now")
[soon, await staged(root), [key async for key in store.list("")]]
"""
    assert tabs.page(code, root=root) == [["of-the-dead"], [], ["zarr.json"]]


# Errors


@pytest.mark.parametrize("call", ["get('a')", "set('a/b/c', b'')", "set('a', b'')", "delete('a')", "replace('a/b/c', b'', None)"])
def test_an_object_and_a_folder_of_one_name_are_an_error(tabs: Tabs, root: str, call: str):
    tabs.page("await OPFSStore(root).set('a/b', b'x')", root="tests/names")
    with pytest.raises(Raised, match="TypeMismatchError: an object stands where a folder should be") as raised:
        tabs.page(f"await OPFSStore(root).{call}", root="tests/names")
    assert raised.value.name == "StoreError"
    assert raised.value.text.startswith("'a")
    assert "of OPFSStore('tests/names')" in raised.value.text


def test_where_there_is_no_more_space_that_is_said_and_the_old_object_stays(browser: Browser, site: Site, root: str):
    tab = Tabs.open(type("Own", (), {"context": browser.new_context(), "site": site})())
    tab('await OPFSStore(root).set("key", b"old")', root=root)
    session = tab.page.context.new_cdp_session(tab.page)
    session.send("Storage.overrideQuotaForOrigin", {"origin": site.url, "quotaSize": 5_000_000})
    with pytest.raises(Raised, match=r"(QuotaExceeded|Abort)Error: the browser .* this site no more space") as raised:
        tab('await OPFSStore(root).set("key", bytes(20_000_000))', root=root)
    assert raised.value.name == "StoreError"
    after = '[(await OPFSStore(root).get("key")).data.decode(), await staged(root), await locks()]'
    assert tab(after, root=root) == ["old", [], []]
    tab.page.context.close()


def test_a_root_that_is_no_path_is_refused(tabs: Tabs):
    with pytest.raises(Raised, match="is not a key") as raised:
        tabs.page("OPFSStore('../above')")
    assert raised.value.name == "InvalidKey"


def test_outside_of_browsers_it_says_what_to_use(here: Any, node: Any):
    with pytest.raises(Raised, match="LocalStore has those of an operating system"):
        here("import azarr\nazarr.stores.OPFSStore()")
    with pytest.raises(Raised, match="no files of its own") as raised:
        node("import azarr\nawait azarr.stores.OPFSStore().get('key')")
    assert raised.value.name == "StoreError"
