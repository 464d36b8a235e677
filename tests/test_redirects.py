"""Redirects, and who is told what: secrets go to the host that they were given for, and to no other, in requests, pickles or words."""

from __future__ import annotations

import pickle
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest

import azarr
from azarr import Context, Retries
from azarr.errors import RangeNotHonoured, TransportError, TruncatedBody
from azarr.stores import BucketStore, HTTPStore, store_from
from faults import Answer, Fault, Request, Schedule, Site, misbehaving

DATA = b"0123456789"
LOCATIONS: dict[str, tuple[int, str]] = {
    "301 to a path": (301, "/{here}/key"),
    "302 to a path": (302, "/{here}/key"),
    "303 to a path": (303, "/{here}/key"),
    "307 to a path": (307, "/{here}/key"),
    "308 to a path": (308, "/{here}/key"),
    "absolute": (302, "{url}/key"),
    "relative to the folder": (302, "key"),
    "upwards": (302, "../{here}/./key"),
    "without a scheme": (302, "//{host}/{here}/key"),
    "with a query": (302, "/{here}/key?X-Sig=a%2Fb%3D&x=a+b"),
    "with a fragment": (302, "/{here}/key#part"),
    "with a space": (302, "/{here}/other key"),
    "with letters that are not ASCII": (302, "/{here}/clé"),
    "to another port": (302, "{elsewhere}/key"),
    "to another port, by a path there": (302, "{elsewhere}/again"),
}
"""Where a redirect leads, and by which status. {here} is the site, {elsewhere} one of another origin."""


def leading(status: int, location: str) -> Fault:
    return Fault("redirect", lambda request, random: Answer(status, {"Location": location}), "")


def only(key: str, fault: Fault) -> Schedule:
    return lambda request: fault if request.key == key else None


def chain(hops: int) -> Schedule:
    """hop/N leads to hop/N-1, and hop/1 to the key."""

    def scheduled(request: Request) -> Fault | None:
        if not request.key.startswith("hop/"):
            return None
        left = int(request.key[4:]) - 1
        return leading(302, f"/{request.site.name}/{f'hop/{left}' if left else 'key'}")

    return scheduled


async def data_of(store: HTTPStore, key: str, byte_range: tuple[int, int | None] | None = None) -> bytes:
    value = await store.get(key, byte_range)
    assert value is not None
    return bytes(value.data)


# What is followed


@pytest.mark.parametrize("name", LOCATIONS)
async def test_a_redirect_is_followed_to_the_object(name: str):
    status, location = LOCATIONS[name]
    async with misbehaving() as server, misbehaving() as other, Context() as context:
        elsewhere = other.site({"key": DATA}, "there")
        elsewhere.schedule = only("again", leading(302, "key"))
        objects = {"key": DATA, "other%20key": DATA, "cl%C3%83%C2%A9": DATA, "cl%C3%A9": DATA}
        site = server.site(objects, "here", noted=True)
        place = location.format(here="here", url=site.url, host=server.url.removeprefix("http://"), elsewhere=elsewhere.url)
        site.schedule = only("old", leading(status, place))
        store = HTTPStore(site.url, context=context)
        assert await data_of(store, "old") == DATA
        assert await data_of(store, "old", (2, 5)) == b"234"
        assert await data_of(store, "old", (-3, None)) == b"789"
        assert all(headers["query"] in ("", location.partition("?")[2]) for headers in site.sent)


async def test_ten_redirects_are_followed_and_eleven_are_not():
    async with misbehaving() as server, Context() as context:
        site = server.site({"key": DATA}, schedule=chain(10))
        store = HTTPStore(site.url, context=context)
        assert await data_of(store, "hop/10") == DATA
        assert len(site.requests) == 11
        with pytest.raises(TransportError, match="the server redirects more than 10 times") as caught:
            await store.get("hop/11")
        assert not caught.value.transient
        assert len(site.requests) == 22


async def test_a_loop_ends():
    async with misbehaving() as server, Context() as context:
        site = server.site({}, schedule=lambda request: leading(302, "two" if request.key == "one" else "one"))
        with pytest.raises(TransportError, match="the server redirects more than 10 times"):
            await HTTPStore(site.url, context=context).get("one")
        assert len(site.requests) == 11


@pytest.mark.parametrize(
    "location",
    [
        "ftp://host/key",
        "file:///etc/passwd",
        "data:,x",
        "mailto:a@b",
        "javascript:1",
        "http://[::1",
        "http://host:port/",
        "//host:0/",
        "http://é..host/",
    ],
)
async def test_what_is_no_place_of_http_is_not_followed(location: str):
    async with misbehaving() as server, Context() as context:
        site = server.site({}, schedule=lambda request: leading(302, location))
        with pytest.raises(TransportError, match=r"the server redirects to .*, which is not followed") as caught:
            await HTTPStore(site.url, context=context).get("key")
        assert not caught.value.transient
        assert len(site.requests) == 1


@pytest.mark.parametrize("headers", [{}, {"Location": ""}])
async def test_a_redirect_to_nowhere_is_an_error_of_that_status(headers: dict[str, str]):
    async with misbehaving() as server, Context() as context:
        site = server.site({}, schedule=lambda request: Fault("", lambda request, random: Answer(302, headers), ""))
        with pytest.raises(TransportError, match="the server answered 302") as caught:
            await HTTPStore(site.url, context=context).get("key")
        assert caught.value.status == 302


@pytest.mark.parametrize("status", [300, 304, 305, 306])
async def test_other_statuses_are_no_redirects(status: int):
    async with misbehaving() as server, Context() as context:
        site = server.site({"key": DATA}, schedule=lambda request: leading(status, "key"))
        with pytest.raises(TransportError) as caught:
            await HTTPStore(site.url, context=context).get("old")
        assert caught.value.status == status


async def test_what_is_missing_behind_a_redirect_is_missing():
    async with misbehaving() as server, Context() as context:
        site = server.site({}, schedule=only("old", leading(302, "key")))
        assert await HTTPStore(site.url, context=context).get("old") is None


async def test_an_array_behind_redirects_is_read_with_its_shards_and_versions():
    async with misbehaving() as server, misbehaving() as other, Context(retries=Retries(first=0)) as context:
        store: dict[str, bytes] = {}
        await azarr.save(store, "var", [1, 2, 3, 4, 5, 6, 7, 8], dtype="u1", chunks=(2,), shards=(8,))
        elsewhere = other.site(store, noted=True)
        site = server.site({}, schedule=lambda request: leading(307, f"{elsewhere.url}/{request.key}"))
        array = await azarr.open_array(site.url, "var", zarr_format=3, context=context)
        assert (await array[3:5]).tolist() == [4, 5]
        assert "if-match" in elsewhere.sent[-1]


# Secrets


class Two(NamedTuple):
    """A site, and one of another origin."""

    site: Site
    elsewhere: Site


def secrets_of(site: Site) -> list[tuple[str | None, str | None]]:
    """What each request told of the header and of who is asking."""
    return [(headers.get("x-key"), headers.get("authorization")) for headers in site.sent]


def secret(site: Site, context: Context) -> HTTPStore:
    return HTTPStore(site.url, headers={"X-Key": "hunter2"}, auth=("someone", "hunter2"), context=context)


BOTH = ("hunter2", f"Basic {b64encode(b'someone:hunter2').decode()}")


async def test_headers_and_auth_stay_at_the_same_origin():
    async with misbehaving() as server, Context() as context:
        site = server.site({"key": DATA}, noted=True, schedule=only("old", leading(302, "key")))
        assert await data_of(secret(site, context), "old") == DATA
        assert secrets_of(site) == [BOTH, BOTH]


async def test_headers_and_auth_do_not_go_to_another_origin_and_do_not_come_back():
    async with misbehaving() as server, misbehaving() as other, Context() as context:
        site, elsewhere = server.site({"key": DATA}, noted=True), other.site({}, noted=True)
        site.schedule = only("old", leading(302, f"{elsewhere.url}/between"))
        elsewhere.schedule = lambda request: leading(302, f"{site.url}/key")
        assert await data_of(secret(site, context), "old") == DATA
        assert secrets_of(elsewhere) == [(None, None)]
        assert secrets_of(site) == [BOTH, (None, None)]
        assert await data_of(secret(site, context), "key") == DATA  # the next request has them again
        assert secrets_of(site)[-1] == BOTH


async def test_the_same_origin_may_be_written_in_other_ways():
    client = Client(
        {
            "http://host/key": Fetched(302, {"location": "HTTP://Host:80/other"}, b""),
            "http://host/other": Fetched(302, {"location": "http://host:/there"}, b""),
            "http://host/there": Fetched(200, {}, DATA),
        }
    )
    assert await data_of(HTTPStore("http://host", headers={"X-Key": "hunter2"}, fetch=client.fetch), "key") == DATA
    assert [headers for _, headers in client.asked] == [{"X-Key": "hunter2"}] * 3


async def test_another_host_at_the_same_port_is_another_origin():
    async with misbehaving() as server, Context() as context:
        site = server.site({"key": DATA}, noted=True)
        site.schedule = only("old", leading(302, f"{site.url.replace('127.0.0.1', 'localhost')}/key"))
        assert await data_of(secret(site, context), "old") == DATA
        assert secrets_of(site) == [BOTH, (None, None)]


async def test_a_password_that_a_redirect_names_is_not_sent():
    async with misbehaving() as server, Context() as context:
        site = server.site({"key": DATA}, noted=True)
        site.schedule = only("old", leading(302, f"{site.url.replace('://', '://other:evil@')}/key"))
        assert await data_of(HTTPStore(site.url, context=context), "old") == DATA
        assert secrets_of(site) == [(None, None), (None, None)]


async def test_the_query_of_a_url_does_not_go_where_a_redirect_leads():
    async with misbehaving() as server, Context() as context:
        site = server.site({"key": DATA}, noted=True, schedule=only("old", leading(302, "key")))
        assert await data_of(HTTPStore(f"{site.url}?token=hunter2", context=context), "old") == DATA
        assert [headers["query"] for headers in site.sent] == ["token=hunter2", ""]


async def test_errors_of_redirects_tell_no_secret():
    async with misbehaving() as server, Context() as context:
        site = server.site({}, schedule=lambda request: leading(302, "ftp://me:hunter2@host/key?token=hunter2"))
        with pytest.raises(TransportError, match=r"the server redirects to 'ftp://\*\*\*@host/key\?\*\*\*'") as caught:
            await HTTPStore(site.url, context=context).get("key")
        assert "hunter2" not in repr(vars(caught.value))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:hun ter2@h/x", "http://***@h/x"),
        ("http://user:hun'ter2@h/x?sig=abc'hunter2", "http://***@h/x?***"),
        ("http://user:hun@ter2@h/x@y", "http://***@h/x@y"),
        ("http://h//x@y/z?token=(hun) ter2\n#hunter2", "http://h//x@y/z?***"),
        ("http://h/x", "http://h/x"),
    ],
)
def test_of_a_url_only_the_host_and_the_path_are_shown(url: str, shown: str):
    assert repr(HTTPStore(url)) == f"HTTPStore({shown!r})"


@pytest.mark.parametrize("url", ["http://user:hun/ter2@host/x", "http://user:hun?ter2@host/x", "http://user:hun#ter2@h/", "gopher://u:hun ter2@h?hun"])
@pytest.mark.parametrize("make", [HTTPStore, lambda url: BucketStore(f"s3{url[4:]}"), lambda url: BucketStore("s3://bucket", endpoint=url)])
def test_of_what_is_no_url_nothing_is_shown_that_may_be_a_password(make: Callable[[str], Any], url: str):
    with pytest.raises(ValueError, match=r"\*\*\*") as caught:
        make(url)
    assert not {"hun", "ter2"} & set(re.findall(r"hun|ter2", str(caught.value)))


@pytest.mark.parametrize("place", ["ftp://me:hun ter2@host/key?token=a'hunter2", "ftp://me:hun/ter2@host/key", "//me:hun/ter2@host:0/"])
async def test_of_where_a_redirect_leads_no_secret_is_told(place: str):
    client = Client({"https://host/key": Fetched(302, {"location": place}, b"")})
    with pytest.raises(TransportError, match="which is not followed") as caught:
        await HTTPStore("https://host", fetch=client.fetch).get("key")
    assert "ter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("user", "password", "sent"),
    [("user", "pass", b"user:pass"), ("user", "", b"user:"), ("me@here", "a:b/c?", b"me@here:a:b/c?"), ("ü", "é", "ü:é".encode())],
)
async def test_basic_auth_is_that_of_the_argument(user: str, password: str, sent: bytes):
    async with misbehaving() as server, Context() as context:
        site = server.site({"key": DATA}, noted=True)
        await HTTPStore(site.url, auth=(user, password), context=context).get("key")
        assert secrets_of(site) == [(None, f"Basic {b64encode(sent).decode()}")]


@pytest.mark.parametrize(
    ("written", "sent"),
    [("user:pass@", b"user:pass"), ("user@", b"user:"), ("me%40here:a%3Ab%2Fc@", b"me@here:a:b/c"), (":pass@", b":pass")],
)
async def test_basic_auth_is_that_of_the_url(written: str, sent: bytes):
    async with misbehaving() as server, Context() as context:
        site = server.site({"key": DATA}, noted=True)
        await HTTPStore(site.url.replace("://", f"://{written}"), context=context).get("key")
        assert secrets_of(site) == [(None, f"Basic {b64encode(sent).decode()}")]
        assert site.sent[0]["host"] == server.url.removeprefix("http://")


async def test_the_argument_goes_before_the_url():
    async with misbehaving() as server, Context() as context:
        site = server.site({"key": DATA}, noted=True)
        await HTTPStore(site.url.replace("://", "://other:evil@"), auth=("someone", "hunter2"), context=context).get("key")
        assert secrets_of(site) == [(None, BOTH[1])]


# A client of the user's own


class Fetched(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """Answers from a table of URLs, and notes what it was asked for."""

    def __init__(self, answers: dict[str, Fetched]) -> None:
        self.answers, self.asked = answers, list[tuple[str, dict[str, str]]]()

    async def fetch(self, url: str, *, headers: Mapping[str, str]) -> Fetched:
        self.asked.append((url, dict(headers)))
        return self.answers.get(url, Fetched(404, {}, b""))


async def test_fetch_replaces_the_client():
    client = Client({"https://host/data/key?token=1": Fetched(200, {"etag": '"v"', "content-length": "10"}, DATA)})
    store = HTTPStore("https://host/data/?token=1", headers={"X-Key": "a"}, fetch=client.fetch)
    value = await store.get("key")
    assert value == (DATA, '"v"', 10)
    assert await store.get("nothing") is None
    assert client.asked[0] == ("https://host/data/key?token=1", {"X-Key": "a"})


async def test_what_fetch_gives_is_checked_as_ever():
    answers = {
        "https://host/short": Fetched(200, {"content-length": "11"}, DATA),
        "https://host/encoded": Fetched(200, {"content-encoding": "gzip"}, DATA),
        "https://host/range": Fetched(206, {"content-range": "bytes 0-9/10"}, DATA),
        "https://host/broken": Fetched(500, {}, b""),
    }
    store = HTTPStore("https://host", fetch=Client(answers).fetch)
    with pytest.raises(TruncatedBody, match="the body has 10 bytes where 11 were announced"):
        await store.get("short")
    with pytest.raises(TransportError, match="Content-Encoding gzip"):
        await store.get("encoded")
    with pytest.raises(RangeNotHonoured, match="bytes 0-9/10"):
        await store.get("range", (1, 3))
    with pytest.raises(TransportError, match="the server answered 500"):
        await store.get("broken")


async def test_names_of_hosts_in_any_script_are_asked_for_as_dns_has_them():
    urls = "https://xn--bcher-kva.test/cl%C3%A9", "https://xn--bcher-kva:8000/key"
    client = Client(dict.fromkeys(urls, Fetched(200, {}, DATA)))
    assert await data_of(HTTPStore("https://bücher.test", fetch=client.fetch), "clé") == DATA
    assert await data_of(HTTPStore("https://bücher:8000", fetch=client.fetch), "key") == DATA


async def test_a_place_without_a_path_is_asked_for_its_query():
    urls = {"https://host/key": Fetched(302, {"location": "https://other?file=x/y"}, b""), "https://other/?file=x/y": Fetched(200, {}, DATA)}
    assert await data_of(HTTPStore("https://host", fetch=Client(urls).fetch), "key") == DATA


async def test_odd_headers_are_errors_that_say_what_was_asked_for():
    long = "9" * 5000
    answers = {
        "https://host/range": Fetched(206, {"content-range": f"bytes 0-{long}/{long}"}, DATA),
        "https://host/empty": Fetched(416, {"content-range": f"bytes */{long}"}, DATA),
        "https://host/later": Fetched(503, {"retry-after": "Fri, 31 Dec 9999 23:59:59 -2359"}, DATA),
    }
    store = HTTPStore("https://host", fetch=Client(answers).fetch)
    with pytest.raises(RangeNotHonoured):
        await store.get("range", (0, 3))
    with pytest.raises(TransportError, match="the server answered 416"):
        await store.get("empty", (0, 3))
    with pytest.raises(TransportError, match="the server answered 503"):
        await store.get("later")


async def test_an_array_reads_through_fetch():
    store: dict[str, bytes] = {}
    await azarr.save(store, "var", [1, 2, 3, 4], dtype="u1", chunks=(2,))
    client = Client({f"https://host/data/{key}": Fetched(200, {}, data) for key, data in store.items()})
    assert (await azarr.open_array(HTTPStore("https://host/data", fetch=client.fetch), "var")[...]).tolist() == [1, 2, 3, 4]


async def test_errors_of_fetch_are_sent_again_if_they_are_those_of_a_connection():
    calls = 0

    async def fetch(url: str, *, headers: Mapping[str, str]) -> Fetched:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise ConnectionResetError("by peer")
        return Fetched(404, {}, b"")

    with pytest.raises(azarr.errors.NodeNotFound):
        await azarr.open_array(HTTPStore("https://host", fetch=fetch), zarr_format=3, context=Context(retries=Retries(first=0), requests=1))


async def test_from_https_to_http_nothing_is_followed():
    client = Client({"https://host/key": Fetched(302, {"location": "http://host/key"}, b""), "http://host/key": Fetched(200, {}, DATA)})
    with pytest.raises(TransportError, match="the server redirects to 'http://host/key', which is not followed"):
        await HTTPStore("https://host", fetch=client.fetch).get("key")
    assert [url for url, _ in client.asked] == ["https://host/key"]


async def test_from_http_to_https_is_followed_and_is_another_origin():
    client = Client({"http://host/key": Fetched(302, {"location": "https://host/key"}, b""), "https://host/key": Fetched(200, {}, DATA)})
    store = HTTPStore("http://host", headers={"X-Key": "hunter2"}, fetch=client.fetch)
    assert await data_of(store, "key") == DATA
    assert client.asked == [("http://host/key", {"X-Key": "hunter2"}), ("https://host/key", {})]


async def test_from_https_back_to_http_by_way_of_another_host_is_not_followed():
    client = Client(
        {
            "https://host/key": Fetched(302, {"location": "https://other/key"}, b""),
            "https://other/key": Fetched(302, {"location": "http://host/key"}, b""),
            "http://host/key": Fetched(200, {}, DATA),
        }
    )
    with pytest.raises(TransportError, match="which is not followed"):
        await HTTPStore("https://host", fetch=client.fetch).get("key")


# Stores as values


async def fetch(url: str, *, headers: Mapping[str, str]) -> Any:
    raise AssertionError


URL = "https://someone:hunter2@host:8000/data?token=hunter2"
CONTEXT = Context()
DIFFERENT: dict[str, Callable[[], HTTPStore]] = {
    "plain": lambda: HTTPStore("https://host/data"),
    "another path": lambda: HTTPStore("https://host/other"),
    "a query": lambda: HTTPStore("https://host/data?token=1"),
    "headers": lambda: HTTPStore("https://host/data", headers={"X-Key": "a"}),
    "auth": lambda: HTTPStore("https://host/data", auth=("user", "pass")),
    "missing": lambda: HTTPStore("https://host/data", missing=(403, 404)),
    "fetch": lambda: HTTPStore("https://host/data", fetch=fetch),
    "context": lambda: HTTPStore("https://host/data", context=CONTEXT),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_stores_are_equal_if_all_is_equal_that_they_were_made_with(name: str):
    made = DIFFERENT[name]
    assert made() == made()
    assert hash(made()) == hash(made())
    assert [other for other, make in DIFFERENT.items() if make() == made()] == [name]
    assert made() != "https://host/data"


def test_what_json_has_may_be_given():
    assert HTTPStore("HTTPS://host/data", auth=["user", "pass"]).auth == ("user", "pass")  # type: ignore[arg-type]
    assert isinstance(store_from("HTTP://host/data"), HTTPStore)
    assert hash(HTTPStore("https://host/data", auth=["user", "pass"])) == hash(DIFFERENT["auth"]())  # type: ignore[arg-type]


def test_a_bucket_is_another_store_than_the_url_that_it_is_read_by():
    bucket, plain = BucketStore("s3://bucket/a", endpoint="https://host"), HTTPStore("https://host/bucket/a")
    assert bucket.url == plain.url
    assert bucket != plain
    assert plain != bucket
    assert bucket == BucketStore("s3://bucket/a", endpoint="https://host")


@pytest.mark.parametrize("name", DIFFERENT)
def test_a_store_without_secrets_is_pickled_as_it_is(name: str):
    again = pickle.loads(pickle.dumps(DIFFERENT[name]()))
    original = DIFFERENT[name]()
    if name in ("headers", "auth", "a query"):
        assert again == DIFFERENT["plain"]()
    elif name == "context":
        assert (again.url, again.context.requests) == (original.url, original.context.requests)
    else:
        assert again == original


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_secrets_are_not_pickled(protocol: int):
    store = HTTPStore(URL, headers={"X-Key": "hunter2"}, auth=("someone", "hunter2"), missing=(403, 404))
    pickled = pickle.dumps(store, protocol)
    assert b"hunter2" not in pickled
    assert b"someone" not in pickled
    assert b64encode(b"someone:hunter2") not in pickled
    again = pickle.loads(pickled)
    assert (again.url, again.headers, again.auth, again.missing) == ("https://host:8000/data", {}, None, (403, 404))


def test_secrets_are_pickled_where_that_was_asked_for():
    store = HTTPStore(URL, headers={"X-Key": "hunter2"}, auth=("someone", "hunter2"), pickle_secrets=True)
    again = pickle.loads(pickle.dumps(store))
    assert again == store
    assert (again.url, again.headers, again.auth) == (URL, {"X-Key": "hunter2"}, ("someone", "hunter2"))
    assert pickle.loads(pickle.dumps(again)) == store


async def test_a_store_that_was_pickled_reads():
    async with misbehaving() as server, Context() as context:
        site = server.site({"key": DATA}, noted=True)
        again = pickle.loads(pickle.dumps(HTTPStore(site.url, auth=("someone", "hunter2"), pickle_secrets=True)))
        again = HTTPStore(again.url, auth=again.auth, context=context)
        assert await data_of(again, "key") == DATA
        assert secrets_of(site) == [(None, BOTH[1])]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/data",
        "host/data",
        "http://",
        "http:///data",
        "/data",
        "",
        "http://host:port/data",
        "http://host:0",
        "http://a..b/data",
        "http://[::1/data",
    ],
)
def test_what_is_no_url_of_http_is_refused(url: str):
    with pytest.raises(ValueError, match="not a URL of HTTP"):
        HTTPStore(url)
