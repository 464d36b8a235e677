"""Buckets: where their objects are asked for, what a listing must say to be believed, and what is missing in them. The rest is the contract's."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape

import numpy as np
import pytest

import azarr
from azarr import Context, Retries
from azarr.errors import InvalidKey, StoreError, TransportError
from azarr.stores import BucketStore, HTTPStore, Listing, WritableStore, store_from
from azarr.transport.response import Response
from buckets import bucket_of


class Asked:
    """A client that notes what it is asked for, and gives answers in turn; the last one goes on."""

    def __init__(self, *answers: Response) -> None:
        self.answers, self.urls = list(answers), list[str]()

    async def __call__(self, url: str, headers: Any) -> Response:
        self.urls.append(url)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def queries(self) -> list[dict[str, str]]:
        return [dict(parse_qsl(urlsplit(url).query, keep_blank_values=True)) for url in self.urls]


def answer(body: str, status: int = 200, **headers: str) -> Response:
    data = body.encode()
    return Response(status, {"content-length": str(len(data)), **{name.replace("_", "-"): value for name, value in headers.items()}}, data)


def page(*keys: str, prefix: str = "", prefixes: tuple[str, ...] = (), more: str = "", name: str = "measures", said: str = "") -> Response:
    """A page of a listing, as S3 sends it."""
    inside = f"<Name>{name}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(keys)}</KeyCount>{said}"
    inside += f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>" + (
        f"<NextContinuationToken>{more}</NextContinuationToken>" if more else ""
    )
    inside += "".join(f"<Contents><Key>{escape(key)}</Key><Size>1</Size></Contents>" for key in keys)
    inside += "".join(f"<CommonPrefixes><Prefix>{escape(each)}</Prefix></CommonPrefixes>" for each in prefixes)
    return answer(f'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inside}</ListBucketResult>')


def store(client: Asked, url: str = "s3://measures", **options: Any) -> BucketStore:
    return BucketStore(url, fetch=client, context=Context(retries=Retries(attempts=3, first=0)), **options)


async def listed(store: BucketStore, prefix: str = "", *, deep: bool = True) -> list[str]:
    return [name async for name in (store.list(prefix) if deep else store.list_dir(prefix))]


@pytest.mark.parametrize(
    ("url", "endpoint", "expected"),
    [
        ("s3://measures/a/b.zarr", None, "https://measures.s3.amazonaws.com/a/b.zarr/x/0"),
        ("s3://measures", None, "https://measures.s3.amazonaws.com/x/0"),
        ("s3://measures.of.all/a/", None, "https://s3.amazonaws.com/measures.of.all/a/x/0"),
        ("gs://measures_2/a", None, "https://storage.googleapis.com/measures_2/a/x/0"),
        ("s3://measures/a b%+?", None, "https://measures.s3.amazonaws.com/a%20b%25%2B%3F/x/0"),
        ("s3://measures/a", "https://s3.eu-west-1.amazonaws.com", "https://s3.eu-west-1.amazonaws.com/measures/a/x/0"),
        ("s3://measures/a", "http://host:9000/", "http://host:9000/measures/a/x/0"),
    ],
)
async def test_an_object_is_asked_for_where_it_is(url: str, endpoint: str | None, expected: str):
    client = Asked(answer("here"))
    value = await store(client, url, endpoint=endpoint).get("x/0")
    assert value is not None
    assert value.data == b"here"
    assert client.urls == [expected]


@pytest.mark.parametrize("url", ["s3://", "s3:///a", "s3://user:secret@bucket/a", "s3://b?x=1", "s3://b", "https://host/a", "s3:/bucket/a"])
def test_what_names_no_bucket_is_refused(url: str):
    with pytest.raises(ValueError, match="not a bucket") as caught:
        BucketStore(url)
    assert "secret" not in str(caught.value)


def test_a_prefix_is_a_key_and_an_endpoint_has_no_secrets():
    with pytest.raises(InvalidKey):
        BucketStore("s3://bucket/a/../b")
    with pytest.raises(ValueError, match="without secrets") as caught:
        BucketStore("s3://bucket", endpoint="https://me:hidden@host")
    assert "hidden" not in str(caught.value)


def test_urls_of_buckets_are_opened_and_the_store_reads_and_lists_and_does_not_write():
    context = Context()
    for url in ("s3://bucket/a", "gs://bucket/a"):
        opened = store_from(url, context)
        assert isinstance(opened, BucketStore)
        assert opened.context is context
        assert isinstance(opened, Listing)
        assert not isinstance(opened, WritableStore)
        assert repr(opened) == f"BucketStore({url!r})"


def test_it_is_pickled_and_equal_where_it_is_the_same():
    made = BucketStore("s3://bucket/a", endpoint="https://host", missing=(404, 403))
    again = pickle.loads(pickle.dumps(made))
    assert (again.place, again.endpoint, again.missing, repr(again)) == (made.place, made.endpoint, made.missing, repr(made))
    assert BucketStore("s3://bucket/a") == BucketStore("s3://bucket/a/") != BucketStore("s3://bucket/b")


# Listing


async def test_a_listing_goes_on_until_it_says_that_it_ends():
    client = Asked(page("p/a", "p/b", prefix="p/", more="first"), page("p/c", prefix="p/", more="se+cond"), page("p/d", prefix="p/"))
    assert await listed(store(client, "s3://measures/p")) == ["a", "b", "c", "d"]
    first = {"list-type": "2", "encoding-type": "url", "prefix": "p/"}
    assert client.queries() == [first, {**first, "continuation-token": "first"}, {**first, "continuation-token": "se+cond"}]
    assert client.urls[0].startswith("https://measures.s3.amazonaws.com/?list-type=2&")


async def test_names_right_below_are_asked_for_with_a_delimiter():
    client = Asked(page("p/q/zarr.json", "p/q/", prefix="p/q/", prefixes=("p/q/r/", "p/q/s/", "p/q//")))
    assert await listed(store(client, "gs://measures/p"), "q", deep=False) == ["zarr.json", "r/", "s/"]
    assert client.queries()[0]["delimiter"] == "/"
    assert client.urls[0].startswith("https://storage.googleapis.com/measures?")


async def test_names_that_are_no_keys_are_left_out_as_nobody_could_read_them():
    assert await listed(store(Asked(page("a", "a/", "b//c", "/d", "e/../f")))) == ["a"]


@pytest.mark.parametrize(
    ("said", "sent"),
    [("", "a b+c%20"), ("<EncodingType>url</EncodingType>", "a+b%2Bc%2520"), ("<EncodingType>url</EncodingType>", "a%20b%2Bc%2520")],
)
async def test_keys_are_decoded_where_the_server_says_that_it_encoded_them(said: str, sent: str):
    assert await listed(store(Asked(page(sent, said=said)))) == ["a b+c%20"]


async def test_an_encoded_prefix_is_the_one_that_was_asked_for():
    client = Asked(page("a+%C3%BC/x", prefix="a+%C3%BC/", said="<EncodingType>url</EncodingType>"))
    assert await listed(store(client), "a ü") == ["a ü/x"]


WRONG: dict[str, Response] = {
    "no XML": answer("<html><p>Welcome</html>"),
    "other XML": answer("<html/>"),
    "cut": answer("<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>p/a</Ke"),
    "empty": answer(""),
    "of another bucket": page("p/a", prefix="p/", name="other"),
    "of another prefix": page("q/a", prefix="q/"),
    "of no prefix": page("p/a"),
    "with keys of another prefix": page("p/a", "q", prefix="p/"),
    "with prefixes that were not asked for": page(prefix="p/", prefixes=("p/q/",)),
    "truncated, and not how it goes on": answer("<ListBucketResult><Prefix>p/</Prefix><IsTruncated>true</IsTruncated></ListBucketResult>"),
    "that does not say whether it ends": answer("<ListBucketResult><Prefix>p/</Prefix></ListBucketResult>"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_a_listing_that_is_not_what_was_asked_for_is_an_error(wrong: Response):
    with pytest.raises(StoreError, match="not the listing that was asked for") as caught:
        await listed(store(Asked(wrong)), "p")
    assert (caught.value.store, caught.value.key) == ("BucketStore('s3://measures')", "p")


async def test_a_listing_that_ignores_the_delimiter_is_an_error():
    with pytest.raises(StoreError, match=r"it has 'p/q/zarr\.json'"):
        await listed(store(Asked(page("p/a", "p/q/zarr.json", prefix="p/"))), "p", deep=False)


async def test_a_listing_without_an_end_is_an_error():
    with pytest.raises(StoreError, match="does not end"):
        await listed(store(Asked(page("a", more="again"))))


async def test_a_listing_is_sent_again_where_that_may_help():
    client = Asked(answer("", 503), page("a"))
    assert await listed(store(client)) == ["a"]
    assert len(client.urls) == 2


async def test_an_invalid_prefix_is_refused_before_anything_is_asked():
    client = Asked(page())
    for deep in (True, False):
        with pytest.raises(InvalidKey):
            await listed(store(client), "../a", deep=deep)
    assert client.urls == []


async def test_more_keys_than_fit_on_a_page_are_listed_from_a_real_server():
    keys = {f"many/{k:04}": b"x" for k in range(1100)}
    bucket, endpoint = await bucket_of(keys)
    found = BucketStore(f"s3://{bucket}", endpoint=endpoint)
    assert await listed(found) == sorted(keys)
    assert await listed(found, "many", deep=False) == [key.removeprefix("many/") for key in sorted(keys)]


# Missing


NO_KEY, NO_BUCKET = (f"<Error><Code>NoSuch{what}</Code></Error>" for what in ("Key", "Bucket"))


async def test_what_is_not_in_the_bucket_is_missing_and_a_bucket_that_is_not_there_is_an_error():
    assert await store(Asked(answer(NO_KEY, 404))).get("x") is None
    with pytest.raises(TransportError, match="there is no bucket 'measures'"):
        await store(Asked(answer(NO_BUCKET, 404))).get("x")
    with pytest.raises(TransportError, match="there is no bucket 'measures'"):
        await listed(store(Asked(answer(NO_BUCKET, 404))))


async def test_403_is_an_error_that_says_so_unless_it_is_taken_for_missing():
    refused = answer("<Error><Code>AccessDenied</Code></Error>", 403)
    with pytest.raises(TransportError, match=r"missing=\(404, 403\)") as caught:
        await store(Asked(refused)).get("x")
    assert caught.value.status == 403
    assert await store(Asked(refused), missing=(404, 403)).get("x") is None
    assert await store(Asked(refused), missing=(404, 403)).get("x", (0, 2)) is None
    for missing in ((404,), (404, 403)):
        with pytest.raises(TransportError, match="may not be listed by everybody"):
            await listed(store(Asked(refused), missing=missing))


async def test_a_real_server_refuses_what_is_not_public():
    bucket, endpoint = await bucket_of({"secret": b"x"}, public=False)
    with pytest.raises(TransportError, match="the server answered 403"):
        await BucketStore(f"s3://{bucket}", endpoint=endpoint).get("secret")


async def test_a_bucket_that_is_elsewhere_says_where():
    with pytest.raises(TransportError, match=r'endpoint="https://s3\.eu-west-1\.amazonaws\.com"'):
        await store(Asked(answer("", 301, x_amz_bucket_region="eu-west-1"))).get("x")


@pytest.mark.parametrize("change", [lambda data: data.replace(b"<ActualObjectSize>10", b""), lambda data: b""], ids=["no size", "no body"])
async def test_a_range_that_lies_outside_an_object_is_empty_only_if_the_server_tells_its_size(change: Callable[[bytes], bytes]):
    body = b"<Error><Code>InvalidRange</Code><ActualObjectSize>10</ActualObjectSize></Error>"
    value = await store(Asked(Response(416, {}, body))).get("x", (10, 20))
    assert value is not None
    assert (bytes(value.data), value.size) == (b"", 10)
    with pytest.raises(TransportError, match="416"):
        await store(Asked(Response(416, {}, change(body)))).get("x", (10, 20))


# All of it


@pytest.mark.parametrize("shards", [None, (10, 20)])
async def test_a_tree_in_a_bucket_is_opened_listed_and_read(shards: tuple[int, int] | None):
    objects: dict[str, bytes] = {}
    values = np.arange(600, dtype="i4").reshape(20, 30)
    await azarr.save(objects, "g/a", values, chunks=(5, 10), shards=shards)
    bucket, endpoint = await bucket_of({f"data.zarr/{key}": data for key, data in objects.items()})
    found = BucketStore(f"s3://{bucket}/data.zarr", endpoint=endpoint)
    async with Context() as context:
        group = await azarr.open_group(found, context=context)
        assert await group.keys() == ["g"]
        assert np.array_equal(await group["g/a"][3:, ::-2], values[3:, ::-2])
        assert (await azarr.verify(found, context=context)).ok


async def test_it_is_what_http_is_otherwise():
    assert issubclass(BucketStore, HTTPStore)
    bucket, endpoint = await bucket_of({"a": b"one"})
    found = BucketStore(f"s3://{bucket}", endpoint=endpoint)
    value = await found.get("a")
    assert value is not None
    again = await found.get_if("a", unless=value.version)
    assert again is azarr.stores.base.UNCHANGED
