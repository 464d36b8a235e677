"""Peers: one function each that writes a recipe, and one that reads it back. The only place that imports them.

Peers are imported without a guard: where one is missing, the tests fail, they are not skipped.
"""

import base64
import itertools
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import tensorstore
import zarr
import zarr.storage
import zarrista
import zarrista.store
from recipe import Json, Recipe, Values, fill_scalar, filled, is_variable, native_dtype, slices, source, stored_dtype
from zarr.codecs import ShardingCodec
from zarr.core.dtype import VariableLengthBytes
from zarr.core.dtype.npy.structured import Structured

zarr.config.set({"array.rectilinear_chunks": True})


def write(root: Path, recipe: Recipe) -> None:
    """Have the peer of a recipe write it below `root`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Peers warn of extensions that are not in the core specification.
            WRITERS[recipe.writer][0](root, recipe, source(recipe))
    except Exception as error:
        error.add_note(f"writing {recipe.to_json()}")
        raise


def read_back(root: Path, recipe: Recipe) -> Values:
    """What the peer of a recipe reads from its own array, in native byte order."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = np.asarray(WRITERS[recipe.writer][1](root, recipe))
    except Exception as error:
        error.add_note(f"reading back {recipe.to_json()}")
        raise
    native = native_dtype(recipe.dtype)
    return converted(values, native)


def converted(values: Values, dtype: np.dtype[Any]) -> Values:
    """The same elements in another byte order."""
    if dtype.kind in "mM":  # NumPy does not swap the bytes of a time without a unit.
        integers = [np.dtype(f"{given.byteorder}i8") for given in (values.dtype, dtype)]
        return values.view(integers[0]).astype(integers[1]).view(dtype)
    return values if values.dtype == dtype else values.astype(dtype)


def consolidate(root: Path, zarr_format: int) -> None:
    """Have zarr-python write the consolidated metadata of everything below `root`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(zarr.storage.LocalStore(root), zarr_format=zarr_format)


def create_root(root: Path, zarr_format: int) -> None:
    """Have zarr-python write the document of a root group."""
    zarr.open_group(zarr.storage.LocalStore(root), mode="w", zarr_format=zarr_format)


# zarr-python


def _write_zarr_python(root: Path, recipe: Recipe, values: Values) -> None:
    v2 = recipe.zarr_format == 2
    by_argument = recipe.options.get("inner")
    chain: dict[str, Any] = {
        "filters": [numcodecs.get_codec(dict(d)) if v2 else d for d in recipe.filters] or None,
        "compressors": [numcodecs.get_codec(dict(d)) if v2 else d for d in recipe.compressors] or None,
    }
    if v2:
        chain["order"] = recipe.order
    elif by_argument is not None:
        chain = {"shards": _edges(recipe)}
    else:
        chain["serializer"] = _serializer(recipe)
    values = converted(values, stored_dtype(recipe.dtype)) if v2 else values
    array = zarr.create_array(
        zarr.storage.LocalStore(root),
        name=recipe.name,
        shape=recipe.written_shape,
        chunks=_edges(recipe) if by_argument is None else by_argument,
        dtype=_zarr_python_dtype(recipe),
        fill_value=None if recipe.fill is None else fill_scalar(recipe),
        zarr_format=recipe.zarr_format,
        attributes=recipe.attributes,
        chunk_key_encoding={"name": recipe.key_encoding[0], "separator": recipe.key_encoding[1]},
        dimension_names=None if v2 else recipe.dimension_names,
        config={"write_empty_chunks": recipe.options["write_empty"]},
        **chain,
    )
    for box in recipe.boxes:
        array[slices(box)] = values[slices(box)]
    if recipe.resized_from is not None:
        array.resize(recipe.shape)


def _edges(recipe: Recipe) -> Any:
    return [list(edges) if isinstance(edges, tuple) else edges for edges in recipe.chunks]


def _serializer(recipe: Recipe) -> Any:
    document = recipe.serializer
    if document["name"] != "sharding_indexed" or "subchunk_order" not in recipe.options:
        return document
    return ShardingCodec(**document["configuration"], subchunk_write_order=recipe.options["subchunk_order"])


def _zarr_python_dtype(recipe: Recipe) -> Any:
    if recipe.dtype == "bytes":
        return VariableLengthBytes()
    if recipe.options.get("legacy_structured"):
        return Structured.from_native_dtype(stored_dtype(recipe.dtype))
    return "str" if recipe.dtype == "string" else stored_dtype(recipe.dtype)


def _read_zarr_python(root: Path, recipe: Recipe) -> Values:
    array = zarr.open_array(zarr.storage.LocalStore(root), path=recipe.name, mode="r")
    return np.asarray(array[...])


# tensorstore


def _tensorstore_spec(root: Path, recipe: Recipe) -> dict[str, Json]:
    driver = "zarr" if recipe.zarr_format == 2 else "zarr3"
    return {"driver": driver, "kvstore": {"driver": "file", "path": f"{root / recipe.name}/"}}


def _tensorstore_fields(recipe: Recipe) -> list[str | None]:
    return list(native_dtype(recipe.dtype).names or (None,))


def _write_tensorstore(root: Path, recipe: Recipe, values: Values) -> None:
    metadata = _v2_document(recipe) if recipe.zarr_format == 2 else _v3_document(recipe)
    spec = _tensorstore_spec(root, recipe)
    spec["store_data_equal_to_fill_value"] = recipe.options["write_empty"]
    for number, name in enumerate(_tensorstore_fields(recipe)):
        field = {} if name is None else {"field": name}
        opened = tensorstore.open({**spec, **field, "metadata": metadata}, create=number == 0, open=True).result()
        part = values if name is None else values[name]
        for box in recipe.boxes:
            opened[slices(box)].write(_characters(part[slices(box)])).result()


def _characters(values: Values) -> Values:
    """Text as tensorstore has it: one more axis of single bytes."""
    if values.dtype.kind not in "SV":
        return values
    single = np.dtype(f"{values.dtype.kind}1")
    return np.frombuffer(values.tobytes(), single).reshape(*values.shape, values.dtype.itemsize)


def _read_tensorstore(root: Path, recipe: Recipe) -> Values:
    native = native_dtype(recipe.dtype)
    if native.names is None and native.kind in "SV":
        return _read_zarr_python(root, recipe)  # Its single bytes come to NumPy 2 with an item size of 0.
    result = np.zeros(recipe.shape, native)
    for name in _tensorstore_fields(recipe):
        field = {} if name is None else {"field": name}
        part = np.asarray(tensorstore.open({**_tensorstore_spec(root, recipe), **field}).result().read().result())
        if name is None:
            result[...] = part
        else:
            result[name] = part
    return result


# zarrista


def _write_zarrista(root: Path, recipe: Recipe, values: Values) -> None:
    store = zarrista.store.FilesystemStore(root)
    array = zarrista.Array.from_metadata(_v3_document(recipe), store, "/" + recipe.name)
    array.store_metadata()
    for box in recipe.boxes:
        data = _zarrista_data(recipe, values[slices(box)])
        array.store_array_subset(slices(box), data, store_empty_chunks=recipe.options["write_empty"])


def _zarrista_data(recipe: Recipe, values: Values) -> Any:
    if not is_variable(recipe.dtype):
        return memoryview(values.tobytes())
    parts = [item.encode() if isinstance(item, str) else item for item in values.ravel().tolist()]
    return zarrista.ArrayBytes(b"".join(parts), offsets=[0, *itertools.accumulate(map(len, parts))])


def _read_zarrista(root: Path, recipe: Recipe) -> Values:
    # Chunk by chunk: its partial decoders fail on a blosc codec that follows another compressor.
    array = zarrista.Array.open(zarrista.store.FilesystemStore(root), "/" + recipe.name)
    result = filled(recipe, recipe.shape)
    for where in np.ndindex(*array.chunk_grid_shape):
        chunk = _zarrista_values(recipe, array.retrieve_chunk(list(where)))
        origin = array.chunk_origin(list(where))
        part = result[(*(slice(start, start + n) for start, n in zip(origin, chunk.shape, strict=True)), ...)]
        part[...] = chunk[(*(slice(n) for n in part.shape), ...)]
    return result


def _zarrista_values(recipe: Recipe, tensor: Any) -> Values:
    if is_variable(recipe.dtype):
        return tensor.to_numpy()
    return np.frombuffer(tensor.buffer(), native_dtype(recipe.dtype)).reshape(tensor.shape)


# numcodecs, with the document and the chunk keys by hand


def _write_numcodecs(root: Path, recipe: Recipe, values: Values) -> None:
    place = root / recipe.name
    place.mkdir(parents=True)
    (place / ".zarray").write_text(json.dumps(_v2_document(recipe)))
    (place / ".zattrs").write_text(json.dumps(recipe.attributes))
    for key, region in _numcodecs_chunks(recipe):
        chunk = np.zeros(recipe.chunks, stored_dtype(recipe.dtype))
        if recipe.dtype == "object":
            # The overhang of an edge chunk holds anything that its codec can encode.
            chunk[...] = values[(slice(1),) * values.ndim]
        part = values[region]
        chunk[(*(slice(length) for length in part.shape), ...)] = part
        encoded: Any = chunk
        for document in (*recipe.filters, *recipe.compressors):
            encoded = numcodecs.get_codec(dict(document)).encode(encoded)
        path = place / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(memoryview(np.ascontiguousarray(encoded).view("u1")) if chunk is encoded else bytes(encoded))


def _numcodecs_chunks(recipe: Recipe) -> list[tuple[str, tuple[Any, ...]]]:
    counts = [range(-(-length // edge)) for length, edge in zip(recipe.shape, recipe.chunks, strict=True)]
    return [
        (
            recipe.key_encoding[1].join(map(str, where)) or "0",
            (*(slice(i * edge, (i + 1) * edge) for i, edge in zip(where, recipe.chunks, strict=True)), ...),
        )
        for where in itertools.product(*counts)
    ]


def _read_numcodecs(root: Path, recipe: Recipe) -> Values:
    dtype = stored_dtype(recipe.dtype)
    result = np.zeros(recipe.shape, native_dtype(recipe.dtype))
    for key, region in _numcodecs_chunks(recipe):
        decoded: Any = (root / recipe.name / key).read_bytes()
        for document in reversed((*recipe.filters, *recipe.compressors)):
            decoded = numcodecs.get_codec(dict(document)).decode(decoded)
        if dtype.kind != "O":
            decoded = np.frombuffer(decoded, dtype)
        part = result[region]
        part[...] = decoded.reshape(recipe.chunks)[(*(slice(length) for length in part.shape), ...)]
    return result


# Documents, for the peers that take them


def _v2_document(recipe: Recipe) -> dict[str, Json]:
    dtype = "|O" if is_variable(recipe.dtype) else recipe.dtype
    return {
        "zarr_format": 2,
        "shape": list(recipe.shape),
        "chunks": list(recipe.chunks),
        "dtype": dtype,
        "order": recipe.order,
        "compressor": recipe.compressors[0] if recipe.compressors else None,
        "filters": list(recipe.filters) or None,
        "fill_value": fill_document(recipe),
        "dimension_separator": recipe.key_encoding[1],
    }


def _v3_document(recipe: Recipe) -> dict[str, Json]:
    encoding, separator = recipe.key_encoding
    grid: dict[str, Json] = {"name": "regular", "configuration": {"chunk_shape": list(recipe.chunks)}}
    if recipe.rectilinear:
        shapes = [_runs(edges) for edges in recipe.chunks]
        grid = {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": shapes}}
    document: dict[str, Json] = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(recipe.shape),
        "data_type": _v3_data_type(recipe.dtype),
        "chunk_grid": grid,
        "chunk_key_encoding": {"name": encoding, "configuration": {"separator": separator}},
        "fill_value": fill_document(recipe),
        "codecs": [*recipe.filters, recipe.serializer, *recipe.compressors],
        "attributes": recipe.attributes,
    }
    if recipe.dimension_names is not None:
        document["dimension_names"] = list(recipe.dimension_names)
    return document


def _runs(edges: int | tuple[int, ...]) -> Json:
    if isinstance(edges, int):
        return edges
    groups = [(edge, len(list(run))) for edge, run in itertools.groupby(edges)]
    return [edge if count == 1 else [edge, count] for edge, count in groups]


def _v3_data_type(dtype: Json) -> Json:
    if is_variable(dtype) or dtype[0] == "r":
        return dtype
    native = np.dtype(dtype)
    if native.kind == "U":
        return {"name": "fixed_length_utf32", "configuration": {"length_bytes": native.itemsize}}
    if native.kind in "mM":
        unit, factor = np.datetime_data(native)
        name = "numpy.datetime64" if native.kind == "M" else "numpy.timedelta64"
        return {"name": name, "configuration": {"unit": unit, "scale_factor": factor}}
    return native.name


def fill_document(recipe: Recipe) -> Json:
    """The fill value as a metadata document spells it, exact to the bit in v3."""
    if recipe.fill is None or recipe.dtype == "string":
        return recipe.fill
    if is_variable(recipe.dtype):
        return list(bytes.fromhex(recipe.fill))
    native = native_dtype(recipe.dtype)
    scalar = fill_scalar(recipe)
    if native.kind == "b":
        return bool(scalar)
    if native.kind == "f":
        return _float_document(scalar, recipe.zarr_format)
    if native.kind == "c":
        return [_float_document(part, recipe.zarr_format) for part in (scalar.real, scalar.imag)]
    if native.kind == "V" and recipe.zarr_format == 3:
        return list(bytes.fromhex(recipe.fill))
    if native.kind in "SV":
        return base64.b64encode(np.asarray(scalar, native).astype(stored_dtype(recipe.dtype)).tobytes()).decode()
    if native.kind in "mM":
        return int(np.asarray(scalar, native).view(np.int64))
    return str(scalar) if native.kind == "U" else int(scalar)


def _float_document(scalar: Any, zarr_format: int) -> Json:
    value = float(scalar)
    if np.isnan(scalar):
        bits = np.asarray(scalar).view(f"u{scalar.dtype.itemsize}")
        quiet = np.asarray(np.nan, scalar.dtype).view(bits.dtype)
        return "NaN" if zarr_format == 2 or bits == quiet else f"0x{int(bits):0{2 * scalar.dtype.itemsize}x}"
    if np.isinf(scalar):
        return "Infinity" if value > 0 else "-Infinity"
    return value


Writer = Callable[[Path, Recipe, Values], None]
Reader = Callable[[Path, Recipe], Values]
WRITERS: dict[str, tuple[Writer, Reader]] = {
    "zarr-python-v2": (_write_zarr_python, _read_zarr_python),
    "zarr-python-v3": (_write_zarr_python, _read_zarr_python),
    "tensorstore-v2": (_write_tensorstore, _read_tensorstore),
    "tensorstore-v3": (_write_tensorstore, _read_tensorstore),
    "zarrista-v3": (_write_zarrista, _read_zarrista),
    "numcodecs-v2": (_write_numcodecs, _read_numcodecs),
}
