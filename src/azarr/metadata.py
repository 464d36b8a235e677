"""Array and group documents of Zarr v3, as frozen data. Knows the specification; never stores, never chunks.

Documents of v2 become the same data in `v2`. Fields that azarr does not know, but may ignore, are kept in `extra`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from azarr import dtypes, fill_values
from azarr.document import JSON, Document, is_list, is_object
from azarr.dtypes import DataType
from azarr.errors import LegacyWarning, MetadataError
from azarr.fill_values import Fill
from azarr.grid import Grid, KeyEncoding, grid_from_json, grid_to_json, integers

__all__ = ["ArrayMetadata", "CodecSpec", "GroupMetadata", "array_from_json", "array_to_json", "group_from_json", "group_to_json"]

EMPTY: Mapping[str, Any] = MappingProxyType({})
MAX_NDIM = 64
"""NumPy's own bound."""
NAME = re.compile(r"[a-z][a-z0-9\-_.]*|(https?|urn):.*")
"""The spec: extension names are "^[a-z][a-z0-9-_.]+$"; URIs are tolerated for old data."""
ARRAY_FIELDS = frozenset(
    ("zarr_format", "node_type", "shape", "data_type", "chunk_grid", "chunk_key_encoding", "fill_value", "codecs")
    + ("attributes", "storage_transformers", "dimension_names")
)
GROUP_FIELDS = frozenset(("zarr_format", "node_type", "attributes", "consolidated_metadata"))


@dataclass(frozen=True, slots=True)
class CodecSpec:
    """One codec as the document names it. Not `required`: "must_understand" is false, so a reader may skip it."""

    name: str
    configuration: Mapping[str, Any] = field(default_factory=dict)
    required: bool = True

    def to_json(self) -> Document:
        document: Document = {"name": self.name, "configuration": dict(self.configuration)}
        return document if self.required else {**document, "must_understand": False}


@dataclass(frozen=True, slots=True)
class ArrayMetadata:
    """What an array is. `codecs` run in this order to encode; `filters` counts those that v2 calls filters."""

    shape: tuple[int, ...]
    dtype: DataType
    grid: Grid
    key_encoding: KeyEncoding
    fill: Fill = field(compare=False)
    codecs: tuple[CodecSpec, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    dimension_names: tuple[str | None, ...] | None = None
    zarr_format: int = 3
    order: str = "C"
    extra: Mapping[str, Any] = field(default_factory=dict)
    fill_defined: bool = True
    """False where a v2 document has `null`: absent chunks have undefined contents, and are read as zeros."""

    @property
    def ndim(self) -> int:
        return len(self.shape)


@dataclass(frozen=True, slots=True)
class GroupMetadata:
    """What a group is. `consolidated` has the documents of its members by path, unparsed, or is None."""

    attributes: Mapping[str, Any] = field(default_factory=dict)
    zarr_format: int = 3
    consolidated: Mapping[str, JSON] | None = field(default=None, compare=False)
    extra: Mapping[str, Any] = field(default_factory=dict)


def array_from_json(document: Document, *, lenient: bool = False) -> ArrayMetadata:
    """The array that a v3 document describes. `lenient` accepts fill values such as `1.0` for an integer type."""
    _check_node(document, "array")
    for name in sorted(ARRAY_FIELDS - {"attributes", "storage_transformers", "dimension_names"} - set(document)):
        raise MetadataError("the field is mandatory", field=name, value="absent")
    if transformers := document.get("storage_transformers"):
        raise MetadataError("azarr knows no storage transformer", field="storage_transformers", value=transformers)
    shape = integers(document["shape"], "shape", least=0)
    if len(shape) > MAX_NDIM:
        raise MetadataError(f"at most {MAX_NDIM} dimensions", field="shape", value=shape)
    dtype = dtypes.from_json(document["data_type"])
    return ArrayMetadata(
        shape=shape,
        dtype=dtype,
        grid=grid_from_json(document["chunk_grid"], shape),
        key_encoding=KeyEncoding.from_json(document["chunk_key_encoding"]),
        fill=fill_values.from_json(document["fill_value"], dtype, lenient=lenient),
        codecs=codecs_from_json(document["codecs"], "codecs"),
        attributes=_attributes(document),
        dimension_names=_dimension_names(document.get("dimension_names"), len(shape)),
        extra=_extra(document, ARRAY_FIELDS),
    )


def array_to_json(metadata: ArrayMetadata) -> Document:
    """The v3 document of `metadata`."""
    document: Document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(metadata.shape),
        "data_type": metadata.dtype.spec,
        "chunk_grid": grid_to_json(metadata.grid),
        "chunk_key_encoding": metadata.key_encoding.to_json(),
        "fill_value": fill_values.to_json(metadata.fill, metadata.dtype),
        "codecs": [codec.to_json() for codec in metadata.codecs],
        "attributes": dict(metadata.attributes),
    }
    if metadata.dimension_names is not None:
        document["dimension_names"] = list(metadata.dimension_names)
    return {**document, **metadata.extra}


def group_from_json(document: Document) -> GroupMetadata:
    _check_node(document, "group")
    return GroupMetadata(
        attributes=_attributes(document),
        consolidated=_consolidated(document.get("consolidated_metadata")),
        extra=_extra(document, GROUP_FIELDS),
    )


def group_to_json(metadata: GroupMetadata) -> Document:
    return {"zarr_format": 3, "node_type": "group", "attributes": dict(metadata.attributes), **metadata.extra}


def codecs_from_json(value: JSON, where: str) -> tuple[CodecSpec, ...]:
    """A list of codecs: each an object with a name, or since 3.1 a bare name."""
    if not is_list(value) or not value:
        raise MetadataError("a list with at least one codec is needed", field=where, value=value)
    return tuple(_codec(item, f"{where}[{position}]") for position, item in enumerate(value))


def _codec(item: JSON, where: str) -> CodecSpec:
    if isinstance(item, str):
        item = {"name": item}
    if not is_object(item) or set(item) - {"name", "configuration", "must_understand"}:
        raise MetadataError("a codec has a name, a configuration, and must_understand", field=where, value=item)
    name, configuration, required = item.get("name"), item.get("configuration", {}), item.get("must_understand", True)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise MetadataError("not a name of an extension", field=f"{where}.name", value=name)
    if not is_object(configuration):
        raise MetadataError("a configuration is an object", field=f"{where}.configuration", value=configuration)
    if not isinstance(required, bool):
        raise MetadataError("must_understand is true or false", field=f"{where}.must_understand", value=required)
    return CodecSpec(name, configuration, required)


def _check_node(document: Document, node_type: str) -> None:
    if type(document.get("zarr_format")) is not int or document["zarr_format"] != 3:
        raise MetadataError("must be the integer 3", field="zarr_format", value=document.get("zarr_format"))
    if document.get("node_type") != node_type:
        raise MetadataError(f"must be {node_type!r}", field="node_type", value=document.get("node_type"))


def _attributes(document: Document) -> Mapping[str, Any]:
    attributes = document.get("attributes", {})
    if not is_object(attributes):
        raise MetadataError("attributes are an object", field="attributes", value=attributes)
    return attributes


def _extra(document: Document, known: frozenset[str]) -> Mapping[str, Any]:
    """The spec: an unknown field must fail, unless it is an object with `"must_understand": false`."""
    extra = {name: value for name, value in document.items() if name not in known}
    for name, value in extra.items():
        if not is_object(value) or value.get("must_understand") is not False:
            raise MetadataError("azarr does not know this field, and it must be understood", field=name, value=value)
    return extra


def _dimension_names(value: JSON, ndim: int) -> tuple[str | None, ...] | None:
    if value is None:
        return None
    if not is_list(value) or len(value) != ndim or not all(name is None or isinstance(name, str) for name in value):
        raise MetadataError(f"a list of {ndim} strings or nulls is needed", field="dimension_names", value=value)
    return tuple(value)


def _consolidated(value: JSON) -> Mapping[str, JSON] | None:
    """Not in the spec, a de-facto form; zarr-python also wrote null, which means none."""
    if value is None:
        return None
    if not is_object(value) or value.get("kind") != "inline" or not is_object(value.get("metadata")):
        raise MetadataError('kind "inline" and an object metadata are needed', field="consolidated_metadata", value=value)
    return value["metadata"]


def without_unknown(metadata: ArrayMetadata, known: frozenset[str], where: str) -> ArrayMetadata:
    """`metadata` without the unknown codecs that need not be understood; says so once for each."""
    skipped = [codec.name for codec in metadata.codecs if not codec.required and codec.name not in known]
    for name in skipped:
        warnings.warn(f"{where}: the unknown codec {name!r} is skipped, as must_understand is false", LegacyWarning, stacklevel=2)
    return replace(metadata, codecs=tuple(codec for codec in metadata.codecs if codec.name not in skipped)) if skipped else metadata
