"""Chunks and chains for the tests of codecs, made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck

from azarr.codecs import Pipeline
from azarr.codecs.base import BytesBytes, ChunkSpec
from azarr.codecs.registry import build
from azarr.dtypes import BYTES, OBJECT, STRING, DataType, NumPyDType
from azarr.errors import MissingPackage
from azarr.limits import DEFAULT_LIMITS, Limits
from azarr.metadata import CodecSpec
from azarr.scratch import Scratch
from drawing import examples

modest = examples(50, suppress_health_check=[HealthCheck.function_scoped_fixture])

LITTLE: dict[str, Any] = {"name": "bytes", "configuration": {"endian": "little"}}
CRC32C: dict[str, Any] = {"name": "crc32c"}


def spec(shape: tuple[int, ...], dtype: Any, fill: Any = None, *, limits: Limits = DEFAULT_LIMITS, lenient: bool = False) -> ChunkSpec:
    """A chunk of a data type of fixed size."""
    found: NumPyDType = np.dtype(dtype)
    return ChunkSpec(shape, found, "fixed", np.zeros((), found) if fill is None else np.array(fill, found), limits, lenient)


def varying(shape: tuple[int, ...], data_type: DataType, fill: Any = "") -> ChunkSpec:
    """A chunk of strings, variable bytes or objects."""
    held = np.empty((), data_type.numpy)
    held[()] = fill
    return ChunkSpec(shape, data_type.numpy, data_type.kind, held, DEFAULT_LIMITS)


def codec(name: str, **configuration: Any) -> Any:
    return build(CodecSpec(name, configuration))


def chain(chunk: ChunkSpec, *codecs: dict[str, Any]) -> Pipeline:
    """The chain of codecs that are written as in a document."""
    return Pipeline(tuple(CodecSpec(item["name"], item.get("configuration", {})) for item in codecs), chunk)


def encoded(pipeline: Pipeline, array: Any) -> bytes:
    return bytes(memoryview(pipeline.encode(array)))


def decoded(
    wrapper: BytesBytes, data: Any, size: int | None, scratch: Scratch | None = None, *, bound: int = 1 << 20, out: Any = None
) -> bytes:
    """What a bytes-bytes codec makes of `data`, as bytes."""
    return bytes(memoryview(wrapper.decode(data, size, bound if size is None else size, out, scratch or Scratch())))


def missing(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """As if the packages were not installed."""
    from azarr.codecs import registry

    real = registry.import_module

    def import_module(name: str) -> Any:
        if name.partition(".")[0] in packages:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name)

    monkeypatch.setattr(registry, "import_module", import_module)


__all__ = [
    "BYTES",
    "CRC32C",
    "LITTLE",
    "OBJECT",
    "STRING",
    "MissingPackage",
    "chain",
    "codec",
    "decoded",
    "encoded",
    "missing",
    "modest",
    "spec",
    "varying",
]
