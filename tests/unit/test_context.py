"""The budget: what is said in words becomes bytes, and nonsense is refused when the context is made."""

import pickle
from typing import Any

import pytest

from azarr.context import DEFAULT_CONTEXT, Context, Counters, Retries, bytes_of
from azarr.limits import DEFAULT_LIMITS


@pytest.mark.parametrize(
    ("size", "nbytes"),
    [(1000, 1000), ("1000", 1000), ("16 B", 16), ("64KiB", 65536), ("256 MiB", 268435456), (" 1.5 gib ", 1610612736), ("2 kb", 2000), ("1 TiB", 1 << 40), ("3TB", 3 * 10**12)],
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


@pytest.mark.parametrize("budget", [{"requests": 0}, {"memory": 0}, {"memory": "0 MiB"}, {"workers": 0}, {"timeout": 0}, {"timeout": -1.5}])
def test_a_budget_of_nothing_is_refused(budget: dict[str, Any]):
    with pytest.raises(ValueError, match=rf"^Context\.{next(iter(budget))} is a number above 0, not (0|-1\.5)$"):
        Context(**budget)


@pytest.mark.parametrize("budget", [{"requests": "3"}, {"workers": "2"}, {"timeout": None}, {"requests": None}])
def test_a_budget_that_is_no_number_is_refused(budget: dict[str, Any]):
    with pytest.raises(TypeError, match=rf"^Context\.{next(iter(budget))} is a number above 0, not ('3'|'2'|None)$"):
        Context(**budget)


@pytest.mark.parametrize("options", [{"retries": 3}, {"limits": 5}, {"on_event": 3}])
def test_what_else_a_context_is_made_of_has_its_type(options: dict[str, Any]):
    with pytest.raises(TypeError, match=r"retries are azarr\.Retries\(\.\.\.\)"):
        Context(**options)


def test_one_of_each_is_enough():
    assert Context(requests=1, memory=1, workers=1).workers == 1


@pytest.mark.parametrize("numbers", [{"attempts": 0}, {"first": -1}, {"longest": -0.1}, {"share": -1}])
def test_retries_of_less_than_nothing_are_refused(numbers: dict[str, Any]):
    with pytest.raises(ValueError, match="attempts of Retries are at least 1, the other numbers at least 0"):
        Retries(**numbers)


def test_what_is_counted_of_each_store_adds_up():
    context = Context()
    first, second = context.counters_of("one"), context.counters_of("other")
    assert context.counters_of("one") is first
    first.requests, first.nbytes, second.requests, second.decode_seconds = 2, 10, 3, 0.5
    assert context.counters == Counters(requests=5, nbytes=10, decode_seconds=0.5)
    assert list(context.stores) == ["'one'", "'other'"]


def test_two_contexts_with_the_same_numbers_are_two():
    assert Context() != Context()
    assert len({Context(), Context()}) == 2


def test_a_context_is_pickled_with_its_numbers_and_without_its_counts_and_listeners():
    context = Context(requests=3, retries=Retries(attempts=2), on_event=print)
    context.counters_of("one").requests = 1
    again = pickle.loads(pickle.dumps(context))
    assert (again.requests, again.retries, again.on_event, again.stores) == (3, Retries(attempts=2), None, {})
    assert pickle.loads(pickle.dumps(DEFAULT_CONTEXT)) is DEFAULT_CONTEXT


async def test_what_was_opened_with_a_context_is_closed_at_its_end():
    closed: list[str] = []

    async def close() -> None:
        closed.append("closed")

    async with Context() as context:
        context.closers.append(close)
        assert closed == []
    assert closed == ["closed"]
