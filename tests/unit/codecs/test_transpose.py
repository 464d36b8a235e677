"""`transpose`: the axes of a chunk in another order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from chunks import codec, modest, spec
from hypothesis import given
from hypothesis import strategies as st

from azarr.errors import MetadataError

ARRAY = np.arange(24, dtype="<i2").reshape(2, 3, 4)


@modest
@given(order=st.permutations([0, 1, 2]))
def test_what_is_encoded_decodes_to_the_same(order: list[int]) -> None:
    transpose, chunk = codec("transpose", order=order), spec((2, 3, 4), "<i2")
    encoded = transpose.encode(ARRAY, chunk)
    assert encoded.shape == transpose.resolve(chunk).shape
    assert np.array_equal(transpose.decode(encoded, chunk), ARRAY)


def test_the_spec_has_an_example() -> None:
    """The spec, codecs/transpose: "A[i, j, k] = B[...]": dimension i of the encoded chunk is dimension order[i] of the decoded one."""
    transpose = codec("transpose", order=[1, 2, 0])
    assert transpose.permutation(3) == (1, 2, 0)
    assert transpose.resolve(spec((2, 3, 4), "<i2")).shape == (3, 4, 2)
    assert transpose.encode(ARRAY, spec((2, 3, 4), "<i2"))[1, 2, 0] == ARRAY[0, 1, 2]


def test_only_the_shape_of_the_chunk_changes() -> None:
    chunk = spec((2, 3), "<f4", 1.5, lenient=True)
    found = codec("transpose", order=[1, 0]).resolve(chunk)
    assert (found.shape, found.dtype, found.fill, found.lenient) == ((3, 2), chunk.dtype, chunk.fill, True)


def test_decoding_is_a_view() -> None:
    transpose, chunk = codec("transpose", order=[2, 0, 1]), spec((2, 3, 4), "<i2")
    assert np.shares_memory(transpose.decode(transpose.encode(ARRAY, chunk), chunk), ARRAY)


def test_the_withdrawn_orders_c_and_f_are_known_for_any_number_of_axes() -> None:
    assert codec("transpose", order="C").permutation(3) == (0, 1, 2)
    assert codec("transpose", order="F").permutation(3) == (2, 1, 0)
    assert codec("transpose", order="F").permutation(0) == ()


def test_an_array_without_axes_has_the_empty_permutation() -> None:
    assert codec("transpose", order=[]).permutation(0) == ()


@pytest.mark.parametrize("order", [[0, 0], [1, 2], [0, 2, 1, 4], [0, 1.0], [True, 0], ["0"], "K", None, 0, {}, [-1, 0]])
def test_what_is_no_permutation_is_refused(order: Any) -> None:
    with pytest.raises(MetadataError, match=r"codecs\.transpose\.order: .*is needed, not ") as caught:
        codec("transpose", order=order)
    assert caught.value.field == "codecs.transpose.order"


def test_order_is_mandatory() -> None:
    with pytest.raises(MetadataError, match=r"codecs\.transpose\.order"):
        codec("transpose")


def test_a_permutation_of_another_number_of_axes_is_refused() -> None:
    with pytest.raises(MetadataError) as caught:
        codec("transpose", order=[1, 0]).resolve(spec((2, 3, 4), "<i2"))
    assert str(caught.value) == "metadata: codecs.transpose.order: one entry per dimension is needed (3), not (1, 0)"
