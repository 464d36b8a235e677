"""What the page asks for: opening, listing, pictures, profiles. A question is a task that can be cancelled. JSON in, JSON and bytes out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

import azarr
from azarr.errors import AzarrError, MissingPackage, NodeNotFound, StoreError, TransportError, redact
from azarr.viewer import colours, describing, pictures
from azarr.viewer.coordinates import Coordinate, plain, ticks
from azarr.viewer.pictures import Part

Reply = Callable[[int, str, Any], None]
"""Told the number of a question, JSON, and bytes or None."""
Facts = dict[str, Any]
MOST_COORDINATES = 100_000
"""Values of a coordinate; a longer one is not read."""
MOST_TEXTS = 400
"""Values that are shown as text, where there is nothing to paint."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The picture that is shown: what was read for it, and where there is no value."""

    path: str
    part: Part
    values: colours.Values
    painted: colours.Numbers
    missing: colours.Mask


class Viewer:
    """One hierarchy at a time, and one picture of it. `tell` of each question is given what happens while something is read."""

    def __init__(self) -> None:
        self.context = azarr.Context(memory="128 MiB", cache="128 MiB", retries=azarr.Retries(attempts=4, longest=2.0))
        self.nodes: dict[str, azarr.Array | azarr.Group] = {}
        self.members_of: dict[str, list[str]] = {}
        self.coordinates: dict[tuple[str, int], Coordinate | None] = {}
        self.shown: Shown | None = None

    @property
    def counters(self) -> Facts:
        """What all reads together have asked for."""
        counted = self.context.counters
        return {"requests": counted.requests, "nbytes": counted.nbytes, "hits": counted.cache_hits}

    async def open(self, tell: Any, url: str) -> Facts:
        """Open what stands at `url`; what was open before is left."""
        root = await azarr.open(url, context=self.context)
        self.nodes, self.members_of, self.coordinates, self.shown = {"": root}, {}, {}, None
        return {"name": redact(url), "root": describing.entry("", root)}

    async def members(self, tell: Any, path: str) -> list[Facts]:
        """What stands right below a group: groups first, in alphabetical order."""
        nodes, members_of = self.nodes, self.members_of  # others are there when something else is opened meanwhile
        group = await self.node_at(path)
        if not isinstance(group, azarr.Group):
            return []
        found = {f"{path}/{name}".lstrip("/"): node for name, node in (await group.members()).items()}
        nodes |= found
        members_of[path] = [each.rpartition("/")[2] for each in found]
        return sorted((describing.entry(*item) for item in found.items()), key=lambda each: (each["kind"] == "array", each["name"]))

    async def node_at(self, path: str) -> azarr.Array | azarr.Group:
        """The node at a path; opened once."""
        nodes = self.nodes
        if path not in nodes:
            root = nodes[""]
            if not isinstance(root, azarr.Group):
                raise NodeNotFound(repr(root.store), path, "members of an array, which has none")
            nodes[path] = await root[path]
        return nodes[path]

    async def array_at(self, path: str) -> azarr.Array:
        """The array at a path. Errors: those of opening."""
        node = await self.node_at(path)
        if not isinstance(node, azarr.Array):
            raise azarr.errors.NotAnArray(f"a group stands at {path or '/'}")
        return node

    async def node(self, tell: Any, path: str) -> Facts:
        """All there is to say about a node without reading its chunks; of an array its coordinates too, which are read."""
        node = await self.node_at(path)
        facts = describing.described(path, node)
        if isinstance(node, azarr.Array):
            await asyncio.gather(*[self.coordinate(path, node, axis) for axis in range(node.ndim)])
            found = [self.coordinates[path, axis] for axis in range(node.ndim)]
            facts["axes"] = [describing.axis(node, axis, each) for axis, each in enumerate(found)]
            facts |= describing.first_view(node, found)
        return facts

    async def coordinate(self, path: str, array: azarr.Array, axis: int) -> Coordinate | None:
        """The values along an axis: those of a 1-d array of the dimension's name and length, in the same group."""
        if (path, axis) not in self.coordinates:
            self.coordinates[path, axis] = await self.read_coordinate(path, array, axis)
        return self.coordinates[path, axis]

    async def read_coordinate(self, path: str, array: azarr.Array, axis: int) -> Coordinate | None:
        """The same, read; None where there is no such array."""
        name, parent = describing.dimension_names(array)[axis], path.rpartition("/")[0]
        known = self.members_of.get(parent)
        if not name or not path or array.shape[axis] > MOST_COORDINATES or (known is not None and name not in known):
            return None
        try:
            found = await self.node_at(f"{parent}/{name}".lstrip("/"))
        except NodeNotFound:
            return None
        if not isinstance(found, azarr.Array) or found.shape != (array.shape[axis],) or not describing.is_plain(found):
            return None
        units, calendar = (str(found.attrs.get(key, "")) for key in ("units", "calendar"))
        return Coordinate(await found[...], units, calendar)

    async def picture(
        self, tell: Any, path: str, axes: list[int], at: list[int], window: list[list[int]] | None, field: str | None, **look: Any
    ) -> tuple[Facts, Any]:
        """A picture of a window along two axes; along one, or of a scalar, what can be said instead."""
        array = await self.array_at(path)
        wanted = [None] * len(axes) if window is None else window
        spans = tuple(pictures.window_around(array, axis, each) for axis, each in zip(axes, wanted, strict=True))
        part = pictures.fitted(array, Part(tuple(axes), tuple(at), spans, (1,) * len(axes), field))
        chosen = part.of(array)
        plan = chosen.plan()
        tell({"places": self.places(path, array, at), "plan": {"chunks": plan.chunks, "decoded": plan.decoded}})
        values = np.asarray(await chosen.read(progress=lambda done, total: tell({"done": done, "total": total})))
        values = part.turned(values)
        facts: Facts = {"window": part.window, "steps": part.steps, "note": pictures.note(array, part, describing.axis_names(array))}
        painted = colours.numbers(values)
        if painted is None or values.ndim == 0:
            flat = values.ravel()[:MOST_TEXTS]
            return facts | {"texts": [plain(value) for value in flat], "count": values.size}, None
        self.shown = Shown(path, part, values, painted, colours.absent(values, describing.apart(array, look["fill"])))
        if values.ndim == 1:
            return facts | self.line(self.shown, array), None
        return self.paint_shown(self.shown, array, facts, **look)

    async def paint(self, tell: Any, **look: Any) -> tuple[Facts, Any]:
        """The picture that is shown, painted in another way; nothing is read."""
        assert self.shown is not None
        array = await self.array_at(self.shown.path)
        missing = colours.absent(self.shown.values, describing.apart(array, look["fill"]))
        self.shown = Shown(self.shown.path, self.shown.part, self.shown.values, self.shown.painted, missing)
        return self.paint_shown(self.shown, array, {}, **look)

    def paint_shown(
        self, shown: Shown, array: azarr.Array, facts: Facts, *, colour: str, fill: bool, limits: list[float] | None
    ) -> tuple[Facts, Any]:
        """Pixels, and what stands around them."""
        usual = colours.usual(shown.painted, shown.missing)
        span = usual if limits is None else (limits[0], limits[1])
        facts |= {"shape": shown.values.shape, "rangeTexts": [describing.number_text(array, each) for each in span]}
        facts["legend"] = [[(place - span[0]) / (span[1] - span[0] or 1), text] for place, text in describing.range_ticks(array, *span)]
        facts["missing"] = int(shown.missing.sum())
        facts["ticks"] = [
            [(tick.place / max(1, stop - start), tick.text) for tick in ticks(self.coordinates.get((shown.path, axis)), start, stop)]
            for axis, (start, stop) in zip(shown.part.axes, shown.part.window, strict=True)
        ]
        return facts, colours.paint(shown.painted, shown.missing, span, colour).reshape(-1)

    async def value(self, tell: Any, row: int, column: int) -> Facts:
        """The value at a pixel of the picture, and where it stands."""
        assert self.shown is not None
        shown, place = self.shown, (row, column)[-len(self.shown.part.axes) :]
        array, at = await self.array_at(shown.path), list(shown.part.at)
        for axis, (start, _), step, index in zip(shown.part.axes, shown.part.window, shown.part.steps, place, strict=True):
            at[axis] = start + index * step
        text = "missing" if shown.missing[place] else plain(shown.values[place])
        return {"at": at, "text": text, "places": self.places(shown.path, array, at), "missing": bool(shown.missing[place])}

    async def profile(self, tell: Any, path: str, axis: int, at: list[int], field: str | None, fill: bool) -> Facts:
        """The values along one axis, through one point."""
        array = await self.array_at(path)
        span = pictures.window_around(array, axis, None)
        part = pictures.fitted(array, Part((axis,), tuple(at), (span,), (1,), field), (at[axis],))
        values = np.asarray(await part.of(array).read(progress=lambda done, total: tell({"done": done, "total": total})))
        painted = colours.numbers(values)
        assert painted is not None, "profiles are asked for where there are pictures"
        shown = Shown(path, part, values, painted, colours.absent(values, describing.apart(array, fill)))
        return {"note": pictures.note(array, part, describing.axis_names(array))} | self.line(shown, array)

    def line(self, shown: Shown, array: azarr.Array) -> Facts:
        """A line in a box from 0 to 1: places along the axis, heights, and ticks at both edges. None where there is no value."""
        (axis,), ((start, stop),) = shown.part.axes, shown.part.window
        heights = np.where(shown.missing | ~np.isfinite(shown.painted), np.nan, shown.painted)
        kept = pictures.thinned(heights)
        finite = heights[~np.isnan(heights)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        air = (high - low) / 20 if low < high else 0.5
        low, high = low - air, high + air
        scaled = (heights[kept] - low) / (high - low)
        coordinate = self.coordinates.get((shown.path, axis))
        return {
            "axis": axis,
            "window": [(start, stop)],
            "indices": (kept + start).tolist(),
            "x": ((kept + 0.5) / max(1, stop - start)).tolist(),
            "y": [None if np.isnan(height) else float(height) for height in scaled],
            "texts": [plain(shown.values[index]) for index in kept],
            "places": [coordinate.text(int(index) + start) if coordinate else str(index + start) for index in kept],
            "xTicks": [(tick.place / max(1, stop - start), tick.text) for tick in ticks(coordinate, start, stop)],
            "yTicks": [((place - low) / (high - low), text) for place, text in describing.range_ticks(array, low, high, 4)],
        }

    def places(self, path: str, array: azarr.Array, at: list[int]) -> list[str]:
        """What stands at an index of each axis, as text; nothing where there is no coordinate."""
        found = [self.coordinates.get((path, axis)) for axis in range(array.ndim)]
        return ["" if each is None else f"{each.text(index)} {each.shown_units}".rstrip() for each, index in zip(found, at, strict=True)]


def explained(error: Exception) -> Facts:
    """An error in words for who looks at the page: what is wrong, and what to do now."""
    text = redact(str(error))
    if isinstance(error, MissingPackage):
        words = f"The chunks are stored by a codec whose package could not be loaded: {error.package}."
        return {"title": "A codec is not there", "text": words, "detail": text, "package": error.package}
    if isinstance(error, NodeNotFound):
        hint = "No array or group was found there. Check the address: it is that of the folder which holds zarr.json, .zgroup or .zarray."
        return {"title": "Nothing to show", "text": hint, "detail": text}
    if isinstance(error, TransportError) and error.status is None and type(error) is TransportError:
        hint = (
            "No answer came. Either the address or the network is wrong, or the server does not allow pages of other sites to read "
            "from it (CORS); a browser does not tell which. Its owner can allow it with the header Access-Control-Allow-Origin. "
            "Or read it through your own machine: azarr view --relay URL."
        )
        return {"title": "The server cannot be read", "text": hint, "detail": text}
    if isinstance(error, StoreError) and error.status in (401, 403):
        words = f"The server answered {error.status}: only some may read there."
        return {"title": "Access is not allowed", "text": words, "detail": text}
    if isinstance(error, (AzarrError, ValueError, OSError)):
        return {"title": "This cannot be shown", "text": text}
    return {"title": "This should not have happened", "text": f"{type(error).__name__}: {text}"}


def maps() -> str:
    """The colour maps, as the page draws them: lists of colours at equal distances."""
    return json.dumps({name: [f"#{point}" for point in points.split()] for name, points in colours.MAPS.items()})


VIEWER: list[Viewer] = []
TASKS: dict[int, asyncio.Task[None]] = {}


def begin(number: int, question: str, reply: Reply) -> None:
    """Begin to answer a question, {"call": ..., and its arguments}. `reply` is told all that happens, and last the answer."""
    TASKS[number] = task = asyncio.get_running_loop().create_task(_answer(number, json.loads(question), reply))
    task.add_done_callback(lambda _: _never_begun(number, reply))


def cancel(number: int) -> None:
    """Answer it no more: what is read for it is ended."""
    if (task := TASKS.get(number)) is not None:
        task.cancel()


def _viewer() -> Viewer:
    if not VIEWER:
        VIEWER.append(Viewer())
    return VIEWER[0]


def _never_begun(number: int, reply: Reply) -> None:
    """Answer a question that was cancelled before its task had its first turn."""
    if TASKS.pop(number, None) is not None:
        reply(number, json.dumps({"cancelled": True, "counters": _viewer().counters}), None)


async def _answer(number: int, question: Facts, reply: Reply) -> None:
    viewer, data = _viewer(), None

    def tell(facts: Facts) -> None:
        reply(number, json.dumps({"event": facts | {"counters": viewer.counters}}), None)

    try:
        call = cast("Callable[..., Awaitable[Any]]", getattr(viewer, question.pop("call")))
        found = await call(tell, **question)
        if isinstance(found, tuple):
            found, data = cast("tuple[Facts, Any]", found)
        answer = {"answer": found}
    except asyncio.CancelledError:
        answer = {"cancelled": True}
    except Exception as error:
        answer = {"error": explained(error)}
    finally:
        del TASKS[number]
    said = json.dumps(answer | {"counters": viewer.counters}, default=str)
    if "NaN" in said or "Infinity" in said:  # no JSON, and what cannot be drawn
        said = json.dumps(json.loads(said, parse_constant=lambda _: None))
    reply(number, said, data)


__all__ = ["TASKS", "Viewer", "begin", "cancel", "explained", "maps"]
