"""References: what they may reach, what they are refused, and how many requests the rest is."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from aiohttp import web

import azarr
from azarr.errors import AzarrError, CorruptData, LimitExceeded, MetadataError, MissingPackage, ObjectChanged, StoreError, TransportError
from azarr.stores import HTTPStore, MemoryStore, ReferenceStore, Value
from azarr.stores.local import FolderReader
from azarr.stores.reference_targets import TargetRefused
from azarr.testing import CountingStore
from documents import v2_array, v2_store
from oracles import BROWSER
from servers import serving, status

DATA = bytes(range(100))
FEW = 75 if BROWSER else 1
"""Of 300. Where all run in one thread, they begin in slices of milliseconds, between which the page has its turn: on a slow machine, in many."""

OUTSIDE = [
    "{url}/secret/b", "{url}/okay/b", "{url}/OK/a", "{url}", "{url}/ok/../secret/b", "{url}/ok/%2e%2e/secret/b", "{url}/ok/%2E%2e/secret/b",
    "{url}/ok/.%2e/secret/b", "{url}/ok/%252e%252e/secret/b", "{url}/ok/%25252e./secret/b", "{url}/ok/..%2fsecret/b", "{url}/ok%2f..%2fsecret/b",
    "{url}/ok/..%5csecret/b", "{url}/ok/..;/secret/b", "{url}/ok/;x/..;y/secret/b", "{url}/ok//../secret/b", "{url}/ok//a", "{url}/./ok/a",
    "{url}/ok/..", "{url}/ok\\..\\secret\\b", "{url}/ok/a\n", "{url}/o\tk/a", "{url}/ok/a\0", "{url}/ok/%00", "{url}/ok/%ff", "{url}/ok/a#b", " {url}/ok/a",
    "../secret/b", "a/../../secret/b", "..%2fsecret/b", "%2e%2e/secret/b", "./../secret/b", "..", ".", "..\\secret\\b", "a?b", "a:b",
    "//localhost:{port}/data/ok/a", "/etc/hostname", "{folder}/secret", "file://{folder}/secret", "file:{folder}/secret", "FILE://{folder}/secret",
    "file://localhost{folder}/secret", "file://other{folder}/secret", "file:////{folder}/secret",
    "http://localhost:{port}/data/ok/a", "http://user@127.0.0.1:{port}/data/ok/a", "http://127.0.0.1:{port}@localhost:{port}/data/ok/a",
    "http://127.0.0.1:{port}%40localhost:{port}/data/ok/a", "http://127.0.0.1:{port}.evil.example/data/ok/a", "http://127.0.0.1.evil.example/data/ok/a",
    "http://127.0.0.1.:{port}/data/ok/a", "http://2130706433:{port}/data/ok/a", "http://0x7f000001:{port}/data/ok/a", "http://127.1:{port}/data/ok/a",
    "http://[::ffff:127.0.0.1]:{port}/data/ok/a", "http://[::1]:{port}/data/ok/a", "http://0.0.0.0:{port}/data/ok/a", "http://127.0.0.1:1/data/ok/a",
    "http://127.0.0.1/data/ok/a", "http://127.0.0.1:{port}1/data/ok/a", "https://127.0.0.1:{port}/data/ok/a", "http://169.254.169.254/latest/meta-data",
    "http:///data/ok/a", "http://", "http:/127.0.0.1:{port}/data/ok/a", "http:127.0.0.1:{port}/data/ok/a", "http://127。0。0。1:{port}/data/secret/b",
    "http://xn--/data/ok/a", "http://127.0.0.1:{port}\\@localhost/data/ok/a", "http://[/data/ok/a",
    "ftp://127.0.0.1/ok/a", "s3://bucket/key", "gs://bucket/key", "s3://user@bucket/key", "memory://ok/a", "data:text/plain,a", "javascript:alert(1)",
    "simplecache::{url}/ok/a", "zip://a::{url}/ok/a", "reference://a", "gopher://127.0.0.1:{port}/_GET", "unix:///run/socket", "://{url}",
]  # fmt: skip
ENTRIES: list[Any] = [
    5, None, True, [], ["a", 1], ["a", 1, 2, 3], ["a", -1, 2], ["a", 0, -2], ["a", 1.0, 2], ["a", True, 2], ["a", "0", "2"], ["a", 1e3, 2],
    ["a", 1 << 63, 1], [5, 0, 1], [None], [["a"], 0, 1], [""], ["", 0, 1], [{"url": "a"}, 0, 1], "base64:*", "base64:YQ",
]  # fmt: skip
GEN = {"key": "k{{i}}", "url": "a", "dimensions": {"i": {"stop": 2}}}
DOCUMENTS: list[Any] = [
    {"version": 2, "refs": {}}, {"version": "1", "refs": {}}, {"version": True, "refs": {}}, {"version": 1}, {"version": 1, "refs": []},
    [], 5, '{"k": "a", "k": "b"}', "", "{", "\ufeff{}", "[" * 100_000, '{"k": ' * 100_000, '{"k": "\\ud800"}',
    *({"version": 1, "templates": templates, "refs": {"k": [target]}} for templates, target in (
        ({"u": "{{v}}", "v": "a"}, "{{u}}"), ({"u": 5}, "{{u}}"), (["a"], "{{u}}"), ({}, "{{u}}"), ({"u": "a"}, "{{v}}"), ({"u": "a"}, "{{u.__class__}}"),
        ({"u": "a"}, "{{u|upper}}"), ({"f": "a{{c}}"}, "{{f(c='b')}}"), ({"u": "a"}, "{{ 7 * 7 }}"), ({"u": "a"}, "{% include '/etc/hostname' %}"),
        ({"u": "a"}, "{{cycler.__init__.__globals__.os.popen('id').read()}}"), ({"u": "a"}, "{{"), ({"u": "a"}, "{# a #}"), ({"u": "{"}, "{{u}}{{{u}}"),
        ({"u": "../secret/b"}, "{{u}}"), ({"u": "."}, "{{u}}{{u}}/secret/b"), ({"u": "http://localhost"}, "{{u}}/a"),
    )),
    *({"version": 1, "refs": {}, "gen": gen} for gen in (
        5, [5], [{}], [{**GEN, "dimensions": {}}], [{**GEN, "dimensions": {"i": {}}}], [{**GEN, "dimensions": {"i": {"stop": 5, "step": 0}}}],
        [{**GEN, "dimensions": {"i": {"stop": 1 << 31}}}], [{**GEN, "dimensions": {"i": {"stop": 1 << 62}}}], [{**GEN, "url": 5}],
        [{**GEN, "dimensions": {name: {"stop": 1000} for name in "ijk"}}], [{**GEN, "dimensions": {"i": ["a"]}}], [{**GEN, "key": "{{(i + 1)}}"}],
        [{**GEN, "offset": "{{i * 10}}", "length": 10}], [{**GEN, "offset": "-1", "length": 10}], [GEN | {"url": "{{range(10 ** 9)}}"}],
        [{**GEN, "dimensions": {"i": {"stop": 600_000}}}] * 2,
    )),
]  # fmt: skip


@pytest.mark.parametrize("target", OUTSIDE)
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "part"])
async def test_a_target_that_is_not_allowed_is_not_asked_for(target: str, whole: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with serving({"ok/a": DATA}) as server:
        target = target.format(url=server.url, port=urlsplit(server.url).port, folder=tmp_path)
        server.objects.update(
            {"ok/refs.json": json.dumps({"k": [target] if whole else [target, 0, 5]}).encode(), "secret/b": DATA, "okay/b": DATA}
        )
        (tmp_path / "secret").write_bytes(DATA)
        read: list[str] = []
        for name in ("whole", "part"):
            monkeypatch.setattr(FolderReader, name, lambda self, key, *_: read.append(key))
        store = ReferenceStore(f"{server.url}/ok/refs.json", targets=f"{server.url}/ok")
        for byte_range in (None, (1, 3)):
            with pytest.raises(TargetRefused, match=r"the target .* is refused: .* targets=\[prefix"):
                await store.get("k", byte_range)
        assert server.requests == [("ok/refs.json", None)]
        assert read == []


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
async def test_what_is_no_entry_is_refused(entry: Any):
    async with serving({"ok/a": DATA, "ok/refs.json": json.dumps({"k": entry}).encode()}) as server:
        with pytest.raises(MetadataError, match=r"refs\.json: k: "):
            await ReferenceStore(f"{server.url}/ok/refs.json").get("k")
        assert server.requests == [("ok/refs.json", None)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document)[:60])
async def test_what_are_no_references_is_refused(document: Any):
    text = document if isinstance(document, str) else json.dumps(document)
    async with serving({"ok/a": DATA, "secret/b": DATA, "ok/refs.json": text.encode()}) as server:
        with pytest.raises((MetadataError, TargetRefused)):
            await ReferenceStore(f"{server.url}/ok/refs.json").get("k")
        assert server.requests == [("ok/refs.json", None)]


def test_there_are_sixty_and_more():
    assert len(OUTSIDE) >= 60
    assert len(ENTRIES) + len(DOCUMENTS) >= 60


async def test_a_document_above_the_limit_is_refused():
    context = azarr.Context(limits=azarr.Limits(metadata=100))
    with pytest.raises(LimitExceeded, match=r"Limits.metadata"):
        await ReferenceStore((MemoryStore({"refs.json": b'{"k": "' + b"a" * 100 + b'"}'}), "refs.json"), context=context).get("k")


@pytest.mark.parametrize("target", ["{url}/ok/a", "http://127.0.0.1:{port}/data/%6fk/%61", "a", "./a", "HTTP://127.0.0.1:{port}/data/ok/a"])
async def test_a_target_below_an_allowed_prefix_is_read(target: str):
    async with serving({"ok/a": DATA}) as server:
        target = target.format(url=server.url, port=urlsplit(server.url).port)
        server.objects["ok/refs.json"] = json.dumps({"part": [target, 10, 20], "all": [target]}).encode()
        for targets in (None, server.url, [f"{server.url}/ok/"], ["https://elsewhere.example", f"{server.url}/ok/a"]):
            store = ReferenceStore(f"{server.url}/ok/refs.json", targets=targets)
            part, whole = await store.get("part"), await store.get("all")
            assert part is not None
            assert whole is not None
            assert (bytes(part.data), part.size, bytes(whole.data)) == (DATA[10:30], 20, DATA)
        assert {key for key, _ in server.requests} == {"ok/refs.json", "ok/a"}


async def test_references_on_disk_read_their_folder_and_what_is_below(tmp_path: Path):
    (tmp_path / "in/below").mkdir(parents=True)
    for name in ("in/a", "in/below/a", "a"):
        (tmp_path / name).write_bytes(DATA)
    refs = {"a": ["a", 1, 2], "b": ["below/a", 1, 2], "c": [f"{tmp_path}/in/a", 1, 2], "d": [f"file://{tmp_path}/in/a", 1, 2]}
    (tmp_path / "in/refs.json").write_text(json.dumps(refs | {"out": [f"{tmp_path}/a", 1, 2], "beside": [f"{tmp_path}/in2/a"]}))
    for source in (tmp_path / "in/refs.json", f"file://{tmp_path}/in/refs.json"):
        store = ReferenceStore(source)
        for key in refs:
            value = await store.get(key)
            assert value is not None
            assert bytes(value.data) == DATA[1:3]
        for key in ("out", "beside"):
            with pytest.raises(TargetRefused):
                await store.get(key)
    value = await ReferenceStore(tmp_path / "in/refs.json", targets=tmp_path).get("out")
    assert value is not None


async def test_references_in_memory_read_nothing_that_was_not_allowed(tmp_path: Path):
    (tmp_path / "a").write_bytes(DATA)
    refs = {"a": [str(tmp_path / "a")], "b": ["a"], "inline": "text"}
    for key, why in (("a", "not allowed"), ("b", "relative")):
        with pytest.raises(TargetRefused, match=why):
            await ReferenceStore(refs).get(key)
    assert await ReferenceStore(refs, targets=tmp_path).get("a") is not None
    assert await ReferenceStore(refs).get("inline") == (b"text", None, 4)


async def test_a_redirect_leads_nowhere_that_is_not_allowed():
    async def away(request: web.Request, data: bytes) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": f"{server.url}/{'secret/b' if 'far' in request.path else 'ok/a'}"})

    async with serving({"ok/a": DATA, "secret/b": DATA}) as server:
        server.misbehave = {"ok/far": away, "ok/near": away}
        store = ReferenceStore(
            {"far": ["far"], "near": [f"{server.url}/ok/near"], "f": [f"{server.url}/ok/far", 0, 5]}, targets=f"{server.url}/ok"
        )
        assert await store.get("near") is not None
        with pytest.raises(TargetRefused, match="secret/b"):
            await store.get("f")
        assert "secret/b" not in {key for key, _ in server.requests}


async def test_credentials_of_the_references_are_not_sent_to_targets_and_those_of_stores_are():
    async with serving({"ok/a": DATA}) as server:
        server.objects["ok/refs.json"] = json.dumps({"k": ["a", 0, 5]}).encode()
        source = server.url.replace("http://", "http://user:password@") + "/ok/refs.json?token=secret"
        await ReferenceStore(source).get("k")
        assert server.requests == [("ok/refs.json?token=secret", None), ("ok/a", "bytes=0-4")]
        assert ["authorization" in headers for headers in server.headers] == [True, False]
        given = {f"{server.url}/ok": HTTPStore(f"{server.url}/ok", headers={"Authorization": "Bearer mine"})}
        await ReferenceStore(f"{server.url}/ok/refs.json", targets=(), stores=given).get("k")
        assert server.headers[-1]["authorization"] == "Bearer mine"
        assert server.requests[-1] == ("ok/a", "bytes=0-4")


async def test_the_store_of_the_longest_prefix_has_the_target():
    stores = {"s3://bucket": MemoryStore({"a/b": b"1"}), "s3://bucket/a": MemoryStore({"b": b"2"}), "abfs://c/x": {"b": b"3"}}
    store = ReferenceStore({"1": ["s3://bucket/a/b"], "2": ["abfs://c/x/b"], "3": ["s3://bucket2/a/b"]}, stores=stores)
    assert [bytes((await store.get(key) or Value(b"")).data) for key in "12"] == [b"2", b"3"]
    with pytest.raises(TargetRefused):
        await store.get("3")


@pytest.mark.parametrize(
    "prefix", ["https://user:secret@host", "https://host?token=secret", "https://host/a/../b", "http://", "nowhere://"]
)
def test_a_prefix_that_is_none_is_refused_at_once(prefix: str):
    with pytest.raises(ValueError, match="prefix of targets") as caught:
        ReferenceStore({}, targets=prefix)
    assert "secret" not in str(caught.value)


async def test_errors_and_repr_tell_no_secret():
    store = ReferenceStore("http://user:secret@127.0.0.1:1/refs.json?token=secret")
    assert "secret" not in repr(store)
    for target in ("http://user:secret@host/a?token=secret", "//user:secret@host/a", "s3://user:secret@bucket/a"):
        with pytest.raises(TargetRefused) as caught:
            await ReferenceStore({"k": [target]}).get("k")
        assert "secret" not in str(caught.value)


async def test_a_target_that_is_not_there_or_too_short_is_an_error_and_never_missing():
    async with serving({"ok/a": DATA}) as server:
        refs = {"gone": ["gone", 0, 5], "all": ["gone"], "short": ["a", 90, 20], "behind": ["a", 200, 20], "bad": ["bad", 0, 5]}
        server.objects["ok/refs.json"] = json.dumps(refs).encode()
        server.misbehave["ok/bad"] = status(503)
        store = ReferenceStore(f"{server.url}/ok/refs.json")
        for key in ("gone", "all"):
            with pytest.raises(StoreError, match=r"gone.* of HTTPStore.*is not there"):
                await store.get(key)
        for key in ("short", "behind"):
            with pytest.raises(CorruptData, match="not all there"):
                await store.get(key)
        with pytest.raises(TransportError) as caught:
            await store.get("bad")
        assert caught.value.transient
        assert await store.get("nowhere") is None
        with pytest.raises(StoreError, match="no references here"):
            await ReferenceStore(f"{server.url}/ok/none.json").get("k")


async def test_a_target_that_is_replaced_is_noticed():
    async with serving({"ok/a": DATA}) as server:
        store = ReferenceStore(
            {"a": ["a", 0, 5], "b": [f"{server.url}/ok/a", 5, 5], "c": [f"{server.url}/ok/a", 50, 5]}, targets=server.url
        )
        await store.get("b")
        server.objects["ok/a"] = DATA[::-1]
        with pytest.raises(ObjectChanged, match="open them again"):
            await store.get("c")


async def test_templates_and_ranges_are_put_in():
    document = {
        "version": 1,
        "templates": {"u": "memory://here/a", "v": "a"},
        "gen": [
            {
                "key": "g/{{i}}.{{ j }}",
                "url": "{{u}}{{i}}",
                "offset": "{{j}}",
                "length": 2,
                "dimensions": {"i": [1, 2], "j": {"stop": 6, "step": 3}},
            }
        ],
        "refs": {"a": ["{{u}}1", 0, 1], "b": ["memory://here/{{v}}2"], "c": {"zarr_format": 2}, "d": "{{u}}", "g/2.3": "x"},
    }
    store = ReferenceStore(document, stores={"memory://here": {"a1": b"0123456", "a2": b"abcdefg"}})
    found = {key: bytes((await store.get(key) or Value(b"none")).data) async for key in store.list("")}
    assert found == {
        "a": b"0",
        "b": b"abcdefg",
        "c": b'{"zarr_format": 2}',
        "d": b"{{u}}",
        "g/1.0": b"01",
        "g/1.3": b"34",
        "g/2.0": b"ab",
        "g/2.3": b"x",
    }


async def test_the_chunk_of_an_array_without_axes_may_have_an_empty_name():
    refs = {"a/.zarray": json.dumps(v2_array(shape=[], chunks=[], fill_value=9)), "a/": "base64:Bw=="}
    assert await (await azarr.open_array(ReferenceStore(refs), "a"))[()] == 7
    assert [key async for key in ReferenceStore(refs).list("a")] == ["a/.zarray", "a/0"]


async def test_listing_asks_for_the_references_once_and_for_nothing_else():
    keys = ["a-b/c", "a/b/c", "a/b.c", "a0", "/", "a//b", "x//y", "../z"]
    async with serving({"refs.json": json.dumps({key: ["t"] for key in keys}).encode()}) as server:
        store = ReferenceStore(f"{server.url}/refs.json")
        listed = await asyncio.gather(*[_names(store, prefix) for prefix in ("", "a", "a/b")])
        assert listed == [["a-b/", "a/", "a0"], ["b.c", "b/"], ["c"]]
        assert [key async for key in store.list("")] == ["a-b/c", "a/b.c", "a/b/c", "a0"]
        assert server.requests == [("refs.json", None)]


async def _names(store: ReferenceStore, prefix: str) -> list[str]:
    return [name async for name in store.list_dir(prefix)]


def array_in_one_file(chunks: int, gap: int) -> tuple[dict[str, Any], bytes]:
    """References to an array of so many chunks of 1,000 bytes in the target `t.bin`, with so many bytes between two."""
    documents = v2_store(v2_array(shape=[1000 * chunks], chunks=[1000], fill_value=0), {})
    refs: dict[str, Any] = {key: data.decode() for key, data in documents.items()}
    refs |= {f"{k}": ["memory://here/t.bin", 7 + k * (1000 + gap), 1000] for k in range(chunks)}
    return refs, b"header." + b"".join(bytes([k % 251]) * 1000 + b"\xff" * gap for k in range(chunks))


@pytest.mark.parametrize(("gap", "most"), [(0, FEW), (30, FEW), (32, 300)], ids=["touching", "near", "far"])
async def test_chunks_that_lie_side_by_side_are_one_request(gap: int, most: int):
    refs, target = array_in_one_file(300, gap)
    counting = CountingStore(MemoryStore({"t.bin": target}))
    array = await azarr.open_array(ReferenceStore(refs, stores={"memory://here": counting}), context=azarr.Context(requests=512))
    values = await array[...]
    assert np.array_equal(values, np.repeat(np.arange(300) % 251, 1000))
    assert len(counting.requests) <= most
    assert counting.nbytes <= 1.05 * 300_000


async def test_what_is_read_at_most_sixteen_at_a_time_gathers_meanwhile():
    refs, target = array_in_one_file(600, 0)
    counting = CountingStore(MemoryStore({"t.bin": target}))
    array = await azarr.open_array(ReferenceStore(refs, stores={"memory://here": counting}))
    assert np.array_equal(await array[...], np.repeat(np.arange(600) % 251, 1000))
    assert counting.nbytes == 600_000
    assert len(counting.requests) < 200


class Gate:
    """A store whose answers wait for `open`."""

    def __init__(self, data: bytes) -> None:
        self.data, self.open, self.asked = data, asyncio.Event(), asyncio.Event()
        self.requests: list[Any] = []

    async def get(self, key: str, byte_range: Any = None) -> Value:
        self.requests.append(byte_range)
        self.asked.set()
        await self.open.wait()
        start, stop = byte_range
        return Value(self.data[start:stop], None, len(self.data))


async def test_who_waits_for_a_run_that_is_cancelled_asks_again():
    gate = Gate(DATA)
    store = ReferenceStore({f"{k}": ["memory://here/t", 10 * k, 10] for k in range(10)}, stores={"memory://here": gate})
    tasks = [asyncio.create_task(store.get(f"{k}")) for k in range(10)]
    await gate.asked.wait()
    tasks[0].cancel()
    tasks[5].cancel()
    gate.open.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(answer, asyncio.CancelledError) for answer in answers] == [k in (0, 5) for k in range(10)]
    assert all(bytes(answer.data) == DATA[10 * k : 10 * k + 10] for k, answer in enumerate(answers) if isinstance(answer, Value))
    assert gate.requests == [(0, 100), (10, 50), (60, 100)]


async def test_all_who_wait_for_a_run_that_fails_have_the_error_and_the_next_is_asked_anew():
    target = {"t": DATA[:50]}
    store = ReferenceStore({f"{k}": ["memory://here/t", 10 * k, 10] for k in range(10)}, stores={"memory://here": target})
    for _ in range(40):  # more often than there are requests at a time
        answers = await asyncio.gather(*(store.get(f"{k}") for k in range(10)), return_exceptions=True)
        assert all(isinstance(answer, CorruptData) for answer in answers)
    value = await store.get("4")
    assert value is not None
    assert bytes(value.data) == DATA[40:50]


async def test_consolidated_metadata_in_the_references_costs_nothing():
    array = v2_array(shape=[4], chunks=[2], fill_value=0)
    consolidated = {"zarr_consolidated_format": 1, "metadata": {".zgroup": {"zarr_format": 2}, "a/.zarray": array}}
    refs = {".zmetadata": json.dumps(consolidated), ".zgroup": '{"zarr_format": 2}', "a/0": "base64:AQI=", "a/1": ["t", 1, 2]}
    async with serving({"refs.json": json.dumps(refs).encode(), "t": DATA}) as server:
        group = await azarr.open_group(f"{server.url}/refs.json")
        assert await group.keys() == ["a"]
        assert (await (await group["a"])[...]).tolist() == [1, 2, 1, 2]
        assert server.requests == [("refs.json", None), ("t", "bytes=1-2")]


async def test_open_takes_the_path_of_references_and_refuses_to_write_there(tmp_path: Path):
    refs, target = array_in_one_file(3, 0)
    refs = {key: ["t.bin", *value[1:]] if isinstance(value, list) else value for key, value in refs.items()}
    (tmp_path / "refs.json").write_text(json.dumps(refs))
    (tmp_path / "t.bin").write_bytes(target)
    for source in (tmp_path / "refs.json", str(tmp_path / "refs.json"), f"file://{tmp_path}/refs.json"):
        array = await azarr.open_array(source)
        assert (await array[::1000]).tolist() == [0, 1, 2]
    with pytest.raises(AzarrError):
        await (await azarr.open_array(tmp_path / "refs.json", mode="r+"))[:1000].write(1)


def test_the_form_of_fsspec_names_the_way_of_azarr():
    with pytest.raises(ValueError, match=r"azarr\.open\('https://host/refs\.json'\)"):
        azarr.open("reference://")


async def test_tables_that_are_not_there_are_said_so(tmp_path: Path):
    (tmp_path / "refs.parq").mkdir()
    with pytest.raises(StoreError, match="no references here"):
        await azarr.open(tmp_path / "refs.parq")


async def test_tables_need_a_package_that_is_named_when_it_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    metadata = {"record_size": 10, "metadata": {".zgroup": {"zarr_format": 2}, "a/.zarray": v2_array(shape=[4], chunks=[2])}}
    store = ReferenceStore(
        (MemoryStore({"refs.parq/.zmetadata": json.dumps(metadata).encode(), "refs.parq/a/refs.0.parq": b"PAR1"}), "refs.parq")
    )
    assert await (await azarr.open_group(store)).keys() == ["a"]
    with pytest.raises(MissingPackage, match=r"pip install 'azarr\[references\]'"):
        await store.get("a/0")
    assert [await store.get(key) for key in ("a/2", "a/00", "a/0.0", "b/0", "a/x")] == [None] * 5
