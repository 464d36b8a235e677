"""No secret is ever told: not by a repr, an error, a traceback, a pickle, a log, a count or an event, whatever a server does."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import sys
from pathlib import Path
from random import Random
from urllib.parse import quote

from faults import FAULTS, LASTING, Answer, Fault, Schedule, Server, Site, always, misbehaving, never
from layouts import LAYOUTS

TELLER = Path(__file__).parent / "teller.py"
USER, PASSWORD, TOKEN, HEADER, ELSEWHERE, ENVIRONMENT = (
    f"{name}-canary%2B7=" for name in ("user", "password", "token", "header", "else", "env")
)
"""Each is told of by "canary", also in parts, quoted and unquoted."""
QUERY = f"token={TOKEN}&signature={TOKEN}%3D&expires=canary"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
WORDS = ("canary", *(BASIC[at : at + 12] for at in range(0, len(BASIC) - 12, 12)))
PROCESS_SECRETS = {"CANARY_USER": USER, "CANARY_PASSWORD": PASSWORD, "CANARY_HEADER": HEADER, "AWS_SECRET_ACCESS_KEY": ENVIRONMENT}
LAYOUT = LAYOUTS["shards with checksums"]


def secrets_in(text: str) -> list[str]:
    """The lines of `text` that tell a secret."""
    return [line for line in text.splitlines() if any(word in line for word in WORDS)]


def redirect(place: str) -> Fault:
    """The answer of servers that hand out signed URLs."""
    return Fault(place, lambda request, random: Answer(302, {"Location": place.format(request.site.name, request.key)}), LASTING)


REDIRECTS = [
    redirect(f"/{{}}/{{}}?signature={ELSEWHERE}"),
    redirect(f"ftp://{ELSEWHERE}:{ELSEWHERE}@127.0.0.1/{{}}/{{}}?signature={ELSEWHERE}"),
    redirect(f"http://{ELSEWHERE}:{ELSEWHERE}@127.0.0.1:1/{{}}/{{}}?signature={ELSEWHERE}"),
    redirect(f"//{ELSEWHERE}:{ELSEWHERE}@127.0.0.1:1/?signature={ELSEWHERE}#{ELSEWHERE}"),
    redirect(f"http://[::1/?signature={ELSEWHERE}"),
]
"""To the object itself, and to places that cannot be asked; with secrets of their own."""


async def tell(server: Server, sites: list[Site], *arguments: str) -> tuple[int, str]:
    """The status and all output of a process that reads these sites with secrets."""
    command = [sys.executable, "-X", "dev", str(TELLER), *(f"{site.url}?{QUERY}" for site in sites), *arguments]
    environment = os.environ | PROCESS_SECRETS | {"PYTHONASYNCIODEBUG": "1", "PYTHONWARNINGS": "always"}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


def site_of(server: Server, name: str, schedule: Schedule) -> Site:
    return server.site(LAYOUT.old, name, schedule=schedule, others=dict(LAYOUT.new), random=Random(name), noted=True)


def once_opened(name: str) -> Schedule:
    """The array can be opened; then each request meets a fault."""
    fault = FAULTS[name]
    return lambda request: None if request.key == "zarr.json" else fault


async def test_no_secret_is_told_whatever_the_server_does():
    async with misbehaving() as server:
        sites = [site_of(server, "good", never), site_of(server, "nothing", lambda request: FAULTS["deleted"])]
        for number, name in enumerate(FAULTS):
            sites.append(site_of(server, f"fault{number}", always(FAULTS[name]) if number % 5 == 0 else once_opened(name)))
        sites += [site_of(server, f"signed{number}", always(fault)) for number, fault in enumerate(REDIRECTS)]
        status, output = await tell(server, sites)
        sent = [headers for site in sites for headers in site.sent]
    assert status == 0, output[-3000:]
    assert secrets_in(output) == []
    failures = re.search(r"^(\d+) failures$", output, re.MULTILINE)
    assert failures
    assert int(failures[1]) > len(FAULTS)
    assert "ResourceWarning" not in output
    assert "never awaited" not in output
    for site in sites:
        assert f"{site.url.removeprefix('http://')}?***" in output
    # All of that was known to the process, and sent.
    assert {headers["query"] for headers in sent} >= {QUERY}
    assert {headers.get("x-api-key") for headers in sent} == {None, HEADER}
    assert f"Basic {BASIC}" in {headers.get("authorization") for headers in sent}
    assert any(headers["query"] == f"signature={ELSEWHERE}" for headers in sent)


async def test_a_secret_that_is_told_is_found():
    async with misbehaving() as server:
        status, output = await tell(server, [site_of(server, "good", never)], "--leak")
    assert status == 0, output[-3000:]
    assert secrets_in(output) == [f"{server.url}/good?{QUERY}"]
    for secret in (USER, PASSWORD, TOKEN, HEADER, ELSEWHERE, ENVIRONMENT, f"Authorization: Basic {BASIC}"):
        assert secrets_in(f"before {secret} behind") != []
        assert secrets_in(quote(secret)) != []
    assert secrets_in(f"{server.url}/good?***") == []


def test_requests_note_what_was_sent():
    """The server of these tests notes headers and query."""

    async def main() -> None:
        async with misbehaving() as server:
            site = site_of(server, "noted", never)
            reader, writer = await asyncio.open_connection(*server.url.removeprefix("http://").split(":"))
            writer.write(b"GET /noted/zarr.json?a=b HTTP/1.1\r\nHost: x\r\nX-Api-Key: secret\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()
            await writer.wait_closed()
            assert site.sent == [{"host": "x", "x-api-key": "secret", "query": "a=b"}]

    asyncio.run(main())
