"""Selections as text: "5:,0,::2" is what stands between brackets in Python. Knows strings; never arrays."""

from types import EllipsisType

Axis = int | slice | EllipsisType


def parse_selection(text: str) -> tuple[Axis, ...]:
    """What `array[...]` takes; brackets around the text are welcome. Raises ValueError that names the part at fault."""
    inner = text.strip().removeprefix("[").removesuffix("]").strip()
    return tuple(parse_axis(part.strip(), text) for part in inner.removesuffix(",").split(",")) if inner else (...,)


def parse_axis(part: str, text: str) -> Axis:
    """What one axis is indexed with; the whole text is for the error."""
    if part == "...":
        return ...
    try:
        bounds = [int(bound) if bound.strip() else None for bound in part.split(":")]
    except ValueError:
        bounds = []
    match bounds:
        case [int(index)]:
            return index
        case [_, _, 0]:
            raise ValueError(f"{part!r} in {text!r} has a step of 0; it is 1 or more, or less than 0 to go backwards")
        case [_, _] | [_, _, _]:
            return slice(*bounds)
        case _:
            expected = "an integer, a slice such as 5: or ::2, or ..."
            raise ValueError(f"{part!r} in {text!r} is not {expected}; commas stand between axes")
