"""Array and group documents of Zarr v3, as frozen data. Knows the specification; never stores, never chunks.

Documents of v2 become the same data in `v2`. Fields that azarr does not know, but may ignore, are kept.
"""

import marshal
import re
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from azarr import dtypes, fill_values
from azarr.document import JSON, Document, integers, is_list, is_object, named, one_of
from azarr.dtypes import DataType
from azarr.errors import LegacyWarning, MetadataError
from azarr.fill_values import Fill
from azarr.grid import Grid, KeyEncoding, grid_from_json

MAX_NDIM = 64  # NumPy's own bound
NAME = r"[a-z][a-z0-9\-_.]*|(https?|urn):.*"  # the spec: "^[a-z][a-z0-9-_.]+$"; URIs are tolerated for old data
COMMON = ("zarr_format", "node_type", "attributes")
MANDATORY = ("shape", "data_type", "chunk_grid", "chunk_key_encoding", "fill_value", "codecs")
MOST_KNOWN, LONGEST_KNOWN = 256, 4096  # documents, and bytes of one
Names: TypeAlias = tuple[str | None, ...] | None


class CodecSpec(NamedTuple):
    """One codec as the document names it. Not `required`: "must_understand" is false, so a reader may skip it."""

    name: str
    configuration: Mapping[str, Any] = {}
    required: bool = True

    def to_json(self) -> Document:
        """The form that a v3 document has."""
        document: Document = {"name": self.name, "configuration": dict(self.configuration)}
        return document if self.required else {**document, "must_understand": False}


class ArrayMetadata(NamedTuple):
    """What an array is. `codecs` run in this order to encode; `document` is what all this was read from."""

    document: Document
    shape: tuple[int, ...]
    dtype: DataType
    grid: Grid
    key_encoding: KeyEncoding
    fill: Fill
    codecs: tuple[CodecSpec, ...]
    attributes: Mapping[str, Any]
    dimension_names: Names
    zarr_format: int = 3
    order: str = "C"

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)


class GroupMetadata(NamedTuple):
    """What a group is. `consolidated` has the documents of its members by path, unparsed, or is None."""

    attributes: Mapping[str, Any] = {}
    zarr_format: int = 3
    consolidated: Mapping[str, JSON] | None = None
    extra: Mapping[str, Any] = {}


_known: dict[bytes, tuple[tuple[int, ...], DataType, Grid, KeyEncoding, Fill, tuple[CodecSpec, ...], Names]] = {}
"""What documents say apart from their attributes, by how they spell it: many arrays of a group are alike."""


def array_from_json(document: Document, *, lenient: bool = False) -> ArrayMetadata:
    """The array that a v3 document describes. `lenient` accepts fill values such as `1.0` for an integer type."""
    attributes = _attributes(document)
    spelled = marshal.dumps((lenient, {**document, "attributes": None}), 2)  # 2: equal values have equal bytes
    if (known := _known.get(spelled)) is None:
        _checked(document, "array", (*MANDATORY, "storage_transformers", "dimension_names"))
        if absent := [name for name in MANDATORY if name not in document]:
            raise MetadataError("the field is mandatory", field=absent[0], value="absent")
        if transformers := document.get("storage_transformers"):
            raise MetadataError("an empty list is needed (no transformer is known)", field="storage_transformers", value=transformers)
        shape, dtype = shape_from_json(document["shape"]), dtypes.from_json(document["data_type"])
        encoding, codecs = KeyEncoding.from_json(document["chunk_key_encoding"]), codecs_from_json(document["codecs"], "codecs")
        grid, fill = grid_from_json(document["chunk_grid"], shape), fill_values.from_json(document["fill_value"], dtype, lenient=lenient)
        known = shape, dtype, grid, encoding, fill, codecs, _names(document.get("dimension_names"), len(shape))
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        if len(spelled) <= LONGEST_KNOWN:
            _known[spelled] = known
    shape, dtype, grid, encoding, fill, codecs, names = known
    return ArrayMetadata(document, shape, dtype, grid, encoding, fill, codecs, attributes, names)


def shape_from_json(value: JSON) -> tuple[int, ...]:
    """The shape of an array."""
    if len(shape := integers(value, "shape", least=0)) > MAX_NDIM:
        raise MetadataError(f"at most {MAX_NDIM} dimensions are needed", field="shape", value=shape)
    return shape


def array_to_json(metadata: ArrayMetadata) -> Document:
    """The v3 document of `metadata`. Codecs are objects, which readers of 3.0 need."""
    document = {name: value for name, value in metadata.document.items() if name != "dimension_names" or value is not None}
    return {**document, "codecs": [codec.to_json() for codec in metadata.codecs], "attributes": dict(metadata.attributes)}


def group_from_json(document: Document) -> GroupMetadata:
    """The group that a v3 document describes. Consolidated metadata are not in the spec; zarr-python also wrote null, which means none."""
    attributes, extra = _attributes(document), _checked(document, "group", ("consolidated_metadata",))
    inline = document.get("consolidated_metadata")
    if inline is None:
        return GroupMetadata(attributes, extra=extra)
    if not is_object(inline) or inline.get("kind") != "inline" or not is_object(inline.get("metadata")):
        raise MetadataError('kind "inline" and an object metadata are needed', field="consolidated_metadata", value=inline)
    return GroupMetadata(attributes, consolidated=inline["metadata"], extra=extra)


def group_to_json(metadata: GroupMetadata) -> Document:
    """The v3 document of `metadata`, without its consolidated metadata."""
    return {"zarr_format": 3, "node_type": "group", "attributes": dict(metadata.attributes), **metadata.extra}


def codecs_from_json(value: JSON, where: str) -> tuple[CodecSpec, ...]:
    """A list of codecs: each an object with a name, or since 3.1 a bare name."""
    if not is_list(value) or not value:
        raise MetadataError("a list with at least one codec is needed", field=where, value=value)
    return tuple(_codec(item, f"{where}[{position}]") for position, item in enumerate(value))


def _codec(item: JSON, where: str) -> CodecSpec:
    name, configuration = named(item, where, "must_understand")
    if not re.fullmatch(NAME, name):
        raise MetadataError("a name of an extension is needed", field=f"{where}.name", value=name)
    required = item.get("must_understand", True) if is_object(item) else True
    return CodecSpec(name, configuration, one_of(required, f"{where}.must_understand", True, False))


def _attributes(document: Document) -> Document:
    if not is_object(attributes := document.get("attributes", {})):
        raise MetadataError("attributes are an object", field="attributes", value=attributes)
    return attributes


def _names(value: JSON, ndim: int) -> Names:
    if value is None:
        return None
    if not is_list(value) or len(value) != ndim or not all(isinstance(name, str | None) for name in value):
        raise MetadataError(f"a list of {ndim} strings or nulls is needed", field="dimension_names", value=value)
    return tuple(value)


def _checked(document: Document, node_type: str, fields: tuple[str, ...]) -> Document:
    """The unknown fields. The spec: these must fail, unless they are objects with `"must_understand": false`."""
    one_of(document.get("zarr_format"), "zarr_format", 3)
    one_of(document.get("node_type"), "node_type", node_type)
    extra = {name: value for name, value in document.items() if name not in COMMON and name not in fields}
    for name, value in extra.items():
        if not is_object(value) or value.get("must_understand") is not False:
            raise MetadataError("a field that azarr knows, or an object with must_understand false, is needed", field=name, value=value)
    return extra


def without_unknown(metadata: ArrayMetadata, known: frozenset[str], where: str) -> ArrayMetadata:
    """`metadata` without the unknown codecs that need not be understood; says so once for each."""
    skipped = list[str]()
    kept = _understood(metadata.codecs, known, skipped)
    for name in skipped:
        warnings.warn(f"{where}: the unknown codec {name!r} is skipped, as must_understand is false", LegacyWarning, stacklevel=2)
    return metadata._replace(codecs=kept) if skipped else metadata


def _understood(codecs: tuple[CodecSpec, ...], known: frozenset[str], skipped: list[str]) -> tuple[CodecSpec, ...]:
    """Those of `codecs`, and of those inside of shards, that are known or must be; the names of the others go to `skipped`."""
    skipped.extend(codec.name for codec in codecs if not codec.required and codec.name not in known)
    return tuple(_looked_into(codec, known, skipped) for codec in codecs if codec.required or codec.name in known)


def _looked_into(codec: CodecSpec, known: frozenset[str], skipped: list[str]) -> CodecSpec:
    if codec.name != "sharding_indexed" or not is_list(inner := codec.configuration.get("codecs")):
        return codec
    specs = _understood(codecs_from_json(inner, "codecs.sharding_indexed.codecs"), known, skipped)
    return codec._replace(configuration={**codec.configuration, "codecs": [spec.to_json() for spec in specs]})
