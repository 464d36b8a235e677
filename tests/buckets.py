"""A server that speaks the language of S3, in a thread of its own: that of moto."""

from __future__ import annotations

import itertools
import threading
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
    """Where the one server is, which ends with the process. One request after the other: its threads would read what is half replaced."""
    application = import_module("moto.server").DomainDispatcherApplication(import_module("moto.server").create_backend_app)
    started = import_module("werkzeug.serving").make_server("127.0.0.1", 0, application, threaded=False)
    threading.Thread(target=started.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{started.server_port}"
