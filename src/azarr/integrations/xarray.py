"""xarray on azarr: the engine `azarr`, and the same with `await`, which never blocks the event loop.

ds = xarray.open_dataset("https://host/data.zarr", engine="azarr")

ds = await azarr.integrations.xarray.open_dataset("https://host/data.zarr")
await ds.load_async()
"""

from __future__ import annotations

from typing import Any, ClassVar

from azarr.context import Context
from azarr.integrations import sync
from azarr.integrations.xarray_reading import StoredGroup, StoredTree, awaited, backends, open_stored, waited, xarray
from azarr.integrations.xarray_writing import write

__all__ = ["AzarrBackend", "open_dataset", "open_datatree", "write"]
DECODERS = ("mask_and_scale", "decode_times", "concat_characters", "decode_coords", "use_cftime", "decode_timedelta")
OPTIONS = ("group", "consolidated", "zarr_format", "storage_options", "context", "use_zarr_fill_value_as_mask")


class AzarrBackend(backends.BackendEntrypoint):
    """The engine: `open_dataset`, `open_datatree` and `open_groups` of xarray read by azarr. It is never guessed, only named.

    What is opened is anything that `azarr.open` takes. Options: `group`, `consolidated`, `zarr_format`, `storage_options`, `context`,
    `use_zarr_fill_value_as_mask`. Errors: those of `azarr.open_group`; `MetadataError` for an array whose dimensions have no names.
    """

    description: ClassVar[str] = "Open Zarr by azarr, the async Zarr library"
    open_dataset_parameters: ClassVar[tuple[str, ...]] = ("filename_or_obj", "drop_variables", *DECODERS, *OPTIONS)
    supports_groups: ClassVar[bool] = True

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        return isinstance(filename_or_obj, StoredGroup | StoredTree)

    def open_dataset(self, filename_or_obj: Any, *, drop_variables: Any = None, **options: Any) -> Any:
        opening = {name: options.pop(name) for name in OPTIONS if name in options}
        stored = filename_or_obj
        if not isinstance(stored, StoredGroup):
            stored = sync.run(open_stored(stored, **opening))["/"]
        return waited(lambda: _decoded(stored, drop_variables, options))

    def open_groups_as_dict(self, filename_or_obj: Any, *, drop_variables: Any = None, **options: Any) -> dict[str, Any]:
        opening = {name: options.pop(name) for name in OPTIONS if name in options}
        tree = filename_or_obj
        if not isinstance(tree, StoredTree):
            tree = sync.run(open_stored(tree, below=True, **opening))
        if opening.get("group"):  # the names are relative to it, as of xarray's own backend
            tree = {path.lstrip("/") or ".": stored for path, stored in tree.items()}
        return waited(lambda: {path: _decoded(stored, drop_variables, options) for path, stored in tree.items()})

    def open_datatree(self, filename_or_obj: Any, **options: Any) -> Any:
        return xarray.DataTree.from_dict(self.open_groups_as_dict(filename_or_obj, **options))


def _decoded(stored: StoredGroup, dropped: Any, decoders: dict[str, Any]) -> Any:
    dataset = backends.store.StoreBackendEntrypoint().open_dataset(stored.without(dropped), **decoders)
    dataset.set_close(None)  # nothing is open; and what is pickled with a dataset stays small
    return dataset


async def open_dataset(
    store: Any, *, group: str | None = None, consolidated: bool | None = None, zarr_format: int | None = None,
    context: Context | None = None, storage_options: Any = None, use_zarr_fill_value_as_mask: bool | None = None, **options: Any,
) -> Any:  # fmt: skip
    """The dataset of a group of `store`, which is anything that `azarr.open` takes. Its variables are read by `await ds.load_async()`.

    What is needed to make it (metadata, coordinates for indexes, what says how to decode times) is read at once. `options` are those of
    `xarray.open_dataset`, such as `chunks`, `decode_times`, `drop_variables`. Errors: as for `AzarrBackend`.
    """
    tree = await open_stored(
        store, group=group, consolidated=consolidated, zarr_format=zarr_format, context=context, storage_options=storage_options,
        use_zarr_fill_value_as_mask=use_zarr_fill_value_as_mask,
    )  # fmt: skip
    return await awaited(lambda: xarray.open_dataset(tree["/"], engine=AzarrBackend, **options))


async def open_datatree(
    store: Any, *, group: str | None = None, consolidated: bool | None = None, zarr_format: int | None = None,
    context: Context | None = None, storage_options: Any = None, use_zarr_fill_value_as_mask: bool | None = None, **options: Any,
) -> Any:  # fmt: skip
    """The tree of a group and all groups below it; arguments and errors as for `open_dataset`, `options` as for `xarray.open_datatree`."""
    tree = await open_stored(
        store, group=group, consolidated=consolidated, zarr_format=zarr_format, context=context, storage_options=storage_options,
        use_zarr_fill_value_as_mask=use_zarr_fill_value_as_mask, below=True,
    )  # fmt: skip
    return await awaited(lambda: xarray.open_datatree(tree, engine=AzarrBackend, **options))
