"""A server that speaks the language of S3, in a thread of its own: that of moto."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from urllib.parse import quote

numbers = itertools.count()
CREDENTIALS = {"access_key_id": "AKIACANARY", "secret_access_key": "canary", "region": "us-east-1"}


async def bucket_of(objects: Mapping[str, bytes], *, public: bool = True) -> tuple[str, str]:
    """A new bucket with these objects: its name, and the endpoint. Where it is not `public`, nobody may read them."""
    bucket, endpoint = f"measures-{next(numbers)}", server()
    headers = {"x-amz-acl": "public-read" if public else "private"}
    async with import_module("aiohttp").ClientSession(endpoint) as session:  # not in the browser
        (await session.put(f"/{bucket}")).raise_for_status()
        for key, data in objects.items():
            (await session.put(f"/{bucket}/{quote(key)}", data=data, headers=headers)).raise_for_status()
    return bucket, endpoint


@cache
def server() -> str:
    """Where the one server is, which ends with the process."""
    started = import_module("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    started.start()
    host, port = started.get_host_and_port()
    return f"http://{host}:{port}"
