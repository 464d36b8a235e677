"""The budget: what is said in words becomes bytes, and nonsense is refused when the context is made."""

from typing import Any

import pytest

from azarr.context import Context, bytes_of
from azarr.limits import DEFAULT_LIMITS


@pytest.mark.parametrize(
    ("size", "nbytes"),
    [(1000, 1000), ("1000", 1000), ("16 B", 16), ("64KiB", 65536), ("256 MiB", 268435456), (" 1.5 gib ", 1610612736), ("2 kb", 2000)],
)
def test_sizes_are_integers_or_text_with_a_unit(size: int | str, nbytes: int):
    assert bytes_of(size) == nbytes


@pytest.mark.parametrize("size", ["", "MiB", "1 MiB 2", "-1 MiB", "5 parsec", "1e6"])
def test_other_text_is_not_a_size(size: str):
    with pytest.raises(ValueError, match="is not a size; write an integer of bytes, or text such as '256 MiB'"):
        bytes_of(size)


def test_a_context_has_a_budget_where_nothing_is_said():
    context = Context()
    assert (context.requests, context.nbytes, context.workers, context.limits) == (128, 268435456, None, DEFAULT_LIMITS)


def test_memory_in_words_is_known_in_bytes():
    assert Context(memory="1 GiB").nbytes == 1073741824


@pytest.mark.parametrize("budget", [{"requests": 0}, {"memory": 0}, {"memory": "0 MiB"}, {"workers": 0}])
def test_a_budget_of_nothing_is_refused(budget: dict[str, Any]):
    with pytest.raises(ValueError, match="requests, memory and workers of a Context are at least 1"):
        Context(**budget)


def test_one_of_each_is_enough():
    assert Context(requests=1, memory=1, workers=1).workers == 1
