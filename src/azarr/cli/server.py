"""A loopback HTTP server of one folder that counts what it answers. Knows aiohttp and files; never Zarr."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Answer:
    """One answered request: `byte_range` is the Range header as it came, `nbytes` the length of the body sent."""

    method: str
    path: str
    byte_range: str | None
    status: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """Sums over answers; two of them subtract to what came between."""

    requests: int
    nbytes: int

    def __sub__(self, earlier: "Traffic") -> "Traffic":
        return Traffic(self.requests - earlier.requests, self.nbytes - earlier.nbytes)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its folder is at `url`, without a slash at the end."""

    url: str
    answers: list[Answer] = field(default_factory=list[Answer])

    @property
    def traffic(self) -> Traffic:
        """All traffic so far."""
        return Traffic(len(self.answers), sum(answer.nbytes for answer in self.answers))


@asynccontextmanager
async def serve(folder: Path) -> AsyncGenerator[Server]:
    """Serve the files of a folder as http://127.0.0.1:PORT/NAME_OF_FOLDER for as long as the context lasts."""
    answers: list[Answer] = []

    async def count(request: web.Request, response: web.StreamResponse) -> None:
        # Called when a response is about to be sent; a file's length, or that of its range, is known by then.
        nbytes = 0 if request.method == "HEAD" else response.content_length or 0
        answers.append(Answer(request.method, request.path, request.headers.get("Range"), response.status, nbytes))

    application = web.Application()
    application.on_response_prepare.append(count)
    application.router.add_static(f"/{folder.name}", folder)  # aiohttp's static files understand Range.
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()  # The system chooses a free port.
        host, port = runner.addresses[0][:2]
        yield Server(f"http://{host}:{port}/{folder.name}", answers)
    finally:
        await runner.cleanup()
