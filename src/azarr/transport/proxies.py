"""Proxies that the environment names, as curl and requests know them: `https_proxy`, `http_proxy`, `all_proxy`, and `no_proxy`.

This computer itself is never asked for by a proxy. Proxies of other kinds than HTTP (SOCKS) are not used.
"""

from __future__ import annotations

import os
from importlib import import_module
from ipaddress import ip_address
from urllib.parse import urlsplit

from azarr._platform import offload


async def proxy_of(origin: str) -> str | None:
    """The URL of the proxy for what begins with `origin`, if there is one."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    environment = await offload(lambda: import_module("urllib.request"))  # importing it takes some time
    parts, proxies = urlsplit(origin), environment.getproxies_environment()
    proxy: str | None = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or _is_here(parts.hostname or "") or environment.proxy_bypass_environment(parts.netloc):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    return proxy if proxy.lower().startswith(("http://", "https://")) else None


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
