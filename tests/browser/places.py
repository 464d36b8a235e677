"""Where Python runs: here, in Node, in a page of Chromium or Firefox, in a web worker. Each place is called with code, and gives the value of its last expression.

The code may `await`. The value must be of JSON; arrays and scalars of NumPy are lists and numbers. What is raised there is a `Raised` here,
whose text is the traceback. Names live as long as the place does; `place(code, name=value)` sets some.
"""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import threading
import traceback
from pathlib import Path
from typing import Any

from aiohttp import ClientSession
from hosting import PATIENCE

PAGES = Path(__file__).parent / "pages"


class Raised(Exception):
    """What Python raised there. `name` is of its class, `text` what it says, and `str` is the traceback."""

    def __init__(self, name: str, text: str, traceback: str) -> None:
        super().__init__(traceback)
        self.name, self.text = name, text


def value_of(answer: str) -> Any:
    """What `pages/python.mjs` gives."""
    told = json.loads(answer)
    if "value" in told:
        return told["value"]
    raise Raised(told["name"], told["text"], told["traceback"])


class InPage:
    """Pyodide in a page, or with `worker` in a web worker of it."""

    def __init__(self, page: Any, site: Any, *, worker: bool = False) -> None:
        self.page, self.errors = page, list[str]()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(f"{site.url}/pages/python.html{'?worker' if worker else ''}")
        assert page.evaluate("window.started") is True

    def __call__(self, code: str, **names: Any) -> Any:
        answer = self.page.evaluate("([code, names]) => window.run(code, names)", [code, json.dumps(names)])
        assert self.errors == []
        return value_of(answer)


class InNode:
    """Pyodide in a process of Node. It speaks in lines of JSON."""

    def __init__(self, node: str, distribution: Path, site: Any) -> None:
        # Older ones switch stacks (JSPI) only if they are told to.
        switches = subprocess.run([node, "--v8-options"], capture_output=True, text=True, check=True).stdout
        old = ["--experimental-wasm-stack-switching"] if "experimental-wasm-stack-switching" in switches else []
        # So is there a WebSocket, which the tests' own servers are reached by.
        if subprocess.run([node, "-p", "typeof WebSocket"], capture_output=True, text=True, check=True).stdout == "undefined\n":
            old.append("--experimental-websocket")
        command = [node, *old, str(PAGES / "node.mjs"), str(distribution), site.url]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._line() == "ready"

    def __call__(self, code: str, **names: Any) -> Any:
        assert self.process.stdin is not None
        print(json.dumps([code, json.dumps(names)]), file=self.process.stdin, flush=True)
        return value_of(self._line())

    def _line(self) -> str:
        assert self.process.stdout is not None
        hangs = threading.Timer(2 * PATIENCE, self.process.kill)
        hangs.start()
        try:
            line = self.process.stdout.readline()
        finally:
            hangs.cancel()
        assert line, "Node has ended, or did not answer"
        return line.rstrip("\n")

    def close(self) -> None:
        self.process.communicate()


class InFirefox:
    """Pyodide in a page of Firefox, which speaks WebDriver BiDi on a web socket: https://w3c.github.io/webdriver-bidi/."""

    def __init__(self, firefox: str, profile: Path, site: Any) -> None:
        command = [firefox, "--headless", "--no-remote", f"--profile={profile}", "--remote-debugging-port=0", "about:blank"]
        self.site, self.process = site, subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        lines = (line.partition("BiDi listening on ") for line in self.process.stderr)
        self._socket, self._session = site.run(self._connect(next(url.strip() for _, found, url in lines if found)))
        self._call("session.new", capabilities={})
        self._page = self._call("browsingContext.getTree")["contexts"][0]["context"]
        self._call("browsingContext.navigate", context=self._page, url=f"{site.url}/pages/python.html", wait="complete")
        assert self._evaluate("window.started.then((ready) => String(ready))") == "true"

    async def _connect(self, url: str) -> Any:
        session = ClientSession()
        return await session.ws_connect(f"{url}/session", max_msg_size=0), session

    def _call(self, method: str, **params: Any) -> Any:
        answer = self.site.run(self._ask({"id": 1, "method": method, "params": params}))
        assert answer["type"] == "success", answer
        return answer["result"]

    async def _ask(self, message: Any) -> Any:
        await self._socket.send_json(message)
        while (answer := await self._socket.receive_json()).get("id") != message["id"]:
            pass  # events
        return answer

    def _evaluate(self, expression: str) -> str:
        answer = self._call("script.evaluate", expression=expression, target={"context": self._page}, awaitPromise=True)
        return answer["result"]["value"]

    def __call__(self, code: str, **names: Any) -> Any:
        return value_of(self._evaluate(f"window.run({json.dumps(code)}, {json.dumps(json.dumps(names))})"))

    def close(self) -> None:
        self.site.run(self._session.close())
        self.process.terminate()
        self.process.communicate()


class Here:
    """This Python, on the loop of the site."""

    def __init__(self, site: Any) -> None:
        self.site, self.names = site, dict[str, Any]()

    def __call__(self, code: str, **names: Any) -> Any:
        self.names.update(names)
        try:
            return self.site.run(self._run(code))
        except Exception as error:
            raise Raised(type(error).__name__, str(error), traceback.format_exc()) from error

    async def _run(self, code: str) -> Any:
        tree = ast.parse(code)
        if isinstance(last := tree.body[-1], ast.Expr):
            tree.body[-1] = ast.copy_location(ast.Assign([ast.Name("_", ast.Store())], last.value), last)
        found = eval(compile(ast.fix_missing_locations(tree), "<here>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), self.names)
        if inspect.iscoroutine(found):
            await found
        value = self.names.pop("_", None)
        return json.loads(json.dumps(value, default=lambda each: each.tolist()))
