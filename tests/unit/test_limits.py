"""A size above a limit is refused before anything is allocated."""

import pytest

from azarr.errors import LimitExceeded
from azarr.limits import DEFAULT_LIMITS, Limits


def test_a_size_at_the_limit_is_allowed_and_one_more_byte_is_refused():
    limits = Limits(chunk=1000)
    limits.check("chunk", 1000, "a chunk")
    with pytest.raises(LimitExceeded) as caught:
        limits.check("chunk", 1001, "a chunk of shape (1001,)")
    assert str(caught.value) == "a chunk of shape (1001,) would take 1,001 bytes; Limits.chunk allows 1,000"


@pytest.mark.parametrize(("name", "nbytes"), [("metadata", 2**28), ("chunk", 2**32), ("index", 2**29), ("result", 2**44)])
def test_the_limits_that_stand_where_nothing_is_said(name: str, nbytes: int):
    assert getattr(DEFAULT_LIMITS, name) == nbytes


def test_limits_are_numbers_above_0():
    with pytest.raises(TypeError, match=r"^Limits\.chunk is a number above 0, not '1 GiB'$"):
        Limits(chunk="1 GiB")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"^Limits\.result is a number above 0, not -1$"):
        Limits(result=-1)
