"""nginx on loopback, serving the data sets: at `/fast/` at once, at `/slow/` after 20 ms a request. Knows nginx; no library.

It is started for a row and ended with it, on a free port and with all its files in a temporary folder. The processes that
measure learn from their environment where it is, and how much of the machine's work is the server's own.
"""

import ctypes
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DELAY = 0.02  # seconds before each answer of /slow/
FAST, SLOW = "fast", "slow"
URL = "AZARR_BENCH_URL"  # where the data sets are, without /fast or /slow
PROCESSES = "AZARR_BENCH_SERVER"  # the process ids of the server
START = 10.0  # seconds that it may take to start or to end
ECHO = "ngx_http_echo_module.so"
HELP = "on Debian: apt-get install nginx libnginx-mod-http-echo"
# Two workers that share the connections evenly (`reuseport`); nothing closes a connection but its client.
CONFIGURATION = """\
daemon off;
worker_processes 2;
pid nginx.pid;
error_log error.log warn;
{load}{user}
events {{ worker_connections 8192; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    default_type application/octet-stream;
    client_body_temp_path temp;
    proxy_temp_path temp;
    fastcgi_temp_path temp;
    uwsgi_temp_path temp;
    scgi_temp_path temp;
    server {{
        listen 127.0.0.1:{port} reuseport backlog=4096;
        root {root};
        location /{fast}/ {{ }}
        location /{slow}/ {{
            echo_sleep {delay};
            echo_exec @files;
        }}
        location @files {{ }}
    }}
}}
"""


def missing() -> str:
    """Why there is no server here, or nothing."""
    if not (program := _program()):
        return f"nginx is not installed ({HELP})"
    if _module(program) is None:
        return f"nginx has no echo module ({HELP})"
    return ""


def version() -> dict[str, str]:
    """The name and the version of the server, where it is installed."""
    told = subprocess.run([_program(), "-v"], capture_output=True, text=True, check=False).stderr if _program() else ""
    found = re.search(r"nginx/(\S+)", told)
    return {"nginx": found[1]} if found else {}


@contextmanager
def serving(folder: Path) -> Iterator[dict[str, str]]:
    """A server of `folder`, while it lasts: the environment of the processes that are to use it."""
    with tempfile.TemporaryDirectory(prefix="azarr-bench-nginx-") as place:
        root = Path(place)
        for name in (FAST, SLOW):
            (root / name).symlink_to(folder.resolve(), target_is_directory=True)
        port = _free_port()
        (root / "nginx.conf").write_text(_configuration(root, port))
        command = [_program(), "-p", place, "-e", "error.log", "-c", "nginx.conf"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=_end_with_parent)
        try:
            _wait_until_open(port, process, root / "error.log")
            yield {URL: f"http://127.0.0.1:{port}", PROCESSES: " ".join(map(str, _family(process.pid))), "no_proxy": "127.0.0.1"}
        finally:
            process.terminate()
            try:
                process.wait(START)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def busy_seconds() -> float:
    """Seconds that the processes of the server of this process's environment were busy; 0 where there is none."""
    ticks = 0
    for number in os.environ.get(PROCESSES, "").split():
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])  # utime and stime (proc(5))
    return ticks / os.sysconf("SC_CLK_TCK")


def _program() -> str:
    return shutil.which("nginx", path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))) or ""


def _module(program: str) -> str | None:
    """What loads the echo module: nothing where it is compiled in, None where it is not there."""
    told = subprocess.run([program, "-V"], capture_output=True, text=True, check=False).stderr
    folder = re.search(r"--modules-path=(\S+)", told)
    if folder and (path := Path(folder[1]) / ECHO).exists():
        return f"load_module {path};\n"
    return "" if re.search(r"--add-module=\S*echo", told) else None


def _configuration(root: Path, port: int) -> str:
    # A server of root would give its workers to another user, who cannot read a temporary folder.
    user = f"user {pwd.getpwuid(0).pw_name};\n" if os.geteuid() == 0 else ""
    load = _module(_program()) or ""
    return CONFIGURATION.format(load=load, user=user, port=port, root=root, fast=FAST, slow=SLOW, delay=DELAY)


def _end_with_parent() -> None:
    """Have the kernel end this process when the one that started it is gone, even killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG (prctl(2))


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _wait_until_open(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0 and len(_family(process.pid)) == 3:
                return
        time.sleep(0.01)
    raise RuntimeError(f"nginx did not start: {log.read_text().strip() if log.exists() else 'no log'}")


def _family(number: int) -> list[int]:
    """A process and its children, where /proc tells them."""
    children = Path(f"/proc/{number}/task/{number}/children")
    return [number, *map(int, children.read_text().split())] if children.exists() else [number]
