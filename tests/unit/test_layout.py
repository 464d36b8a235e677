"""What metadata mean for chunks: their chains, their keys, and which shards can be looked into."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from azarr import layout as layouts
from azarr.errors import LegacyWarning, LimitExceeded, MetadataError, UnknownCodec
from azarr.layout import Layout, compile_layout
from azarr.limits import Limits
from azarr.metadata import array_from_json

BYTES = {"name": "bytes", "configuration": {"endian": "little"}}


def transpose(*order: int) -> dict[str, Any]:
    return {"name": "transpose", "configuration": {"order": list(order)}}


def sharding(*chunk_shape: int) -> dict[str, Any]:
    configuration = {"chunk_shape": list(chunk_shape), "codecs": [BYTES], "index_codecs": [BYTES, {"name": "crc32c"}]}
    return {"name": "sharding_indexed", "configuration": configuration}


def regular(*chunks: int) -> dict[str, Any]:
    return {"name": "regular", "configuration": {"chunk_shape": list(chunks)}}


def layout(
    *, shape: tuple[int, ...] = (10, 12), grid: Any = None, codecs: Any = (BYTES,), data_type: Any = "float32", attributes: Any = (), **options: Any
) -> Layout:
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": data_type,
        "chunk_grid": grid or regular(4, 6),
        "chunk_key_encoding": {"name": "default"},
        "fill_value": "" if data_type == "string" else 0,
        "codecs": list(codecs),
        "attributes": dict(attributes),
    }
    return compile_layout(array_from_json(document), "zarr.json of a store", **options)


UNEVEN = {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": [[[2, 5]], [4, 8]]}}


def test_chunks_of_one_shape_share_one_chain():
    found = layout()
    assert found.pipeline((0, 0)) is found.pipeline((2, 1)) is found.pipeline_of((4, 6))
    assert found.pipeline((0, 0)).chunk.shape == (4, 6)
    assert (found.inner, found.plain, found.even) == (None, True, True)
    assert found.key_format % (2, 1) == "c/2/1"


def test_arrays_that_are_alike_share_their_chains_and_how_many_are_kept_is_bounded(monkeypatch: pytest.MonkeyPatch):
    first, second = layout(attributes={"units": "K"}), layout(attributes={"units": "m"})
    assert first is second
    assert all(not kept.metadata.attributes and not kept.metadata.document for kept in layouts._known.values())
    assert layout(lenient=True).only is not first.only
    assert layout(limits=Limits(chunk=1000)).only is not first.only
    monkeypatch.setattr(layouts, "MOST_KNOWN", 1)
    assert layout(shape=(10, 13)).only is not first.only
    assert len(layouts._known) == 1
    layout(grid=UNEVEN)  # a grid that may be large
    assert len(layouts._known) == 1


def test_chunks_of_many_shapes_have_a_chain_for_each_shape():
    found = layout(grid=UNEVEN)
    assert found.pipeline((0, 0)).chunk.shape == (2, 4)
    assert found.pipeline((4, 1)).chunk.shape == (2, 8)
    assert found.pipeline((1, 1)) is found.pipeline((4, 1))
    assert not found.even


def test_the_bytes_of_a_read_are_those_of_the_largest_chunk_that_is_decoded_at_once():
    assert layout().read_nbytes == 4 * 6 * 4
    assert layout(grid=UNEVEN).read_nbytes == 2 * 8 * 4
    assert layout(codecs=[sharding(2, 3)]).read_nbytes == 2 * 3 * 4
    assert layout(shape=(), grid=regular()).read_nbytes == 4


def test_the_inner_chunks_of_shards_are_a_grid_of_their_own():
    found = layout(codecs=[sharding(2, 3)])
    assert found.inner is not None
    assert found.inner.chunks == (2, 3)
    assert found.inner.nchunks == 5 * 4
    shard = found.shard((1, 1))
    assert (shard.counts, shard.inner.chunk.shape) == ((2, 2), (2, 3))
    assert found.even
    assert not layout(codecs=[sharding(1, 3)]).even


def test_axes_inside_a_transposed_shard_are_in_the_order_of_the_shard():
    found = layout(shape=(4, 6, 8), grid=regular(4, 6, 8), codecs=[transpose(2, 0, 1), transpose(1, 0, 2), sharding(2, 4, 3)])
    assert found.inner is not None
    assert found.permutation == (0, 2, 1)
    assert found.inner.chunks == (2, 3, 4)
    assert found.inside((5, 6, 7)) == (5, 7, 6)
    assert found.outside(np.zeros((2, 4, 3))).shape == (2, 3, 4)
    assert not found.plain


def test_two_transposes_that_undo_each_other_leave_the_axes_as_they_are():
    found = layout(codecs=[transpose(1, 0), transpose(1, 0), sharding(2, 3)])
    array = np.zeros((2, 3))
    assert found.plain
    assert found.outside(array) is array
    assert found.inside((5, 6)) == (5, 6)


def test_a_transpose_in_a_cycle_is_undone_the_right_way_round():
    found = layout(shape=(2, 3, 4), grid=regular(2, 3, 4), codecs=[transpose(2, 0, 1), sharding(4, 2, 3)])
    inner = np.arange(24).reshape(4, 2, 3)
    assert found.inner is not None
    assert found.inner.chunks == (2, 3, 4)
    assert found.inside((0, 1, 2)) == (2, 0, 1)
    assert found.outside(inner)[1, 2, 3] == inner[3, 1, 2]


def test_shards_that_are_compressed_as_wholes_are_not_looked_into():
    for codecs in ([sharding(2, 3), {"name": "gzip", "configuration": {"level": 1}}], [{"name": "numcodecs.delta", "configuration": {"dtype": "<f4"}}, sharding(2, 3)]):
        found = layout(codecs=codecs)
        assert found.inner is None
        assert found.pipeline((0, 0)).chunk.shape == (4, 6)


@pytest.mark.parametrize(("chunks", "even"), [((4, 6), True), ((2, 1), True), ((1, 6), False)])
def test_chunks_of_one_row_are_not_even_as_they_lie_in_the_result_as_they_are(chunks: tuple[int, ...], even: bool):
    assert layout(grid=regular(*chunks)).even == even


def test_strings_are_never_even():
    assert not layout(data_type="string", codecs=[{"name": "vlen-utf8"}]).even


def test_a_chunk_above_the_limit_is_refused_before_it_is_allocated():
    with pytest.raises(LimitExceeded, match=r"a chunk of shape \(4, 6\) would take 96 bytes; Limits.chunk allows 95"):
        layout(limits=Limits(chunk=95))


def test_of_a_shard_only_its_inner_chunks_and_its_index_have_to_stay_within_the_limit():
    assert layout(codecs=[sharding(2, 3)], limits=Limits(chunk=24)).inner is not None
    with pytest.raises(LimitExceeded, match=r"an inner chunk would take 24 bytes; Limits.chunk allows 23"):
        layout(codecs=[sharding(2, 3)], limits=Limits(chunk=23))


def test_inner_chunks_that_do_not_divide_their_shard_are_refused():
    with pytest.raises(MetadataError, match=r"codecs.sharding_indexed.chunk_shape: must divide the shard \(4, 6\), not \(3, 3\)"):
        layout(codecs=[sharding(3, 3)])


def test_an_unknown_codec_is_refused_or_skipped_where_it_need_not_be_understood():
    with pytest.raises(UnknownCodec, match=r"example\.sparkle"):
        layout(codecs=[BYTES, {"name": "example.sparkle"}])
    with pytest.warns(LegacyWarning, match=r"zarr.json of a store: .*example\.sparkle"):
        found = layout(codecs=[BYTES, {"name": "example.sparkle", "must_understand": False}])
    assert [codec.name for codec in found.metadata.codecs] == ["bytes"]


def test_lenient_is_told_to_the_codecs():
    assert layout(lenient=True).pipeline((0, 0)).chunk.lenient
    assert not layout().pipeline((0, 0)).chunk.lenient
