"""The contract of stores can fail: each store here breaks one promise, and the test of that promise says so."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from azarr.stores import ConditionalStore, Listing, MemoryStore, WritableStore
from azarr.testing import StoreContract

HAS = (WritableStore, ConditionalStore, Listing)


class Sound:
    """A store that keeps the contract: it passes all on, and has no way for workers."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.inner, self.objects = MemoryStore(objects), objects

    async def get(self, key: str, byte_range: Any = None) -> Any:
        return await self.inner.get(key, byte_range)

    async def set(self, key: str, data: Any) -> None:
        await self.inner.set(key, data)

    async def delete(self, key: str) -> None:
        await self.inner.delete(key)

    async def replace(self, key: str, data: Any, version: str | None) -> bool:
        return await self.inner.replace(key, data, version)

    async def list(self, prefix: str) -> AsyncIterator[str]:
        async for key in self.inner.list(prefix):
            yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        async for name in self.inner.list_dir(prefix):
            yield name


class ErrorsAreMissing(Sound):
    async def get(self, key: str, byte_range: Any = None) -> Any:
        try:
            if not self.objects:  # as of `failing`
                raise PermissionError("forbidden")
            return await super().get(key, byte_range)
        except PermissionError:
            return None


class RangesAreIgnored(Sound):
    async def get(self, key: str, byte_range: Any = None) -> Any:
        value = await super().get(key, byte_range)
        return value and value._replace(data=self.objects[key])


class EmptyIsMissing(Sound):
    async def get(self, key: str, byte_range: Any = None) -> Any:
        value = await super().get(key, byte_range)
        return value if value and value.size else None


class KeysAreNotChecked(Sound):
    async def set(self, key: str, data: Any) -> None:
        self.objects[key] = bytes(data)


class KeysAreNormalised(Sound):
    async def get(self, key: str, byte_range: Any = None) -> Any:
        return await super().get(key.removeprefix("./"), byte_range)


class KeysAreUnquoted(Sound):
    async def set(self, key: str, data: Any) -> None:
        await super().set(key.replace("%2e", "."), data)


class SetIsInTwoSteps(Sound):
    async def set(self, key: str, data: Any) -> None:
        await super().set(key, data[: len(data) // 2])
        await StepByStep()
        await super().set(key, data)


class StepByStep:
    """Lets others go on."""

    def __await__(self) -> Any:
        yield


class SetIsNotSeen(Sound):
    async def set(self, key: str, data: Any) -> None:
        if key not in self.objects:
            await super().set(key, data)


class SetBorrows(Sound):
    async def set(self, key: str, data: Any) -> None:
        self.objects[key] = data


class DeleteFailsWhereNothingIs(Sound):
    async def delete(self, key: str) -> None:
        if key not in self.objects:
            raise FileNotFoundError(key)
        await super().delete(key)


class ListsNamesFromTheRoot(Sound):
    async def list(self, prefix: str) -> AsyncIterator[str]:
        async for key in self.inner.list(prefix):
            yield key.removeprefix(f"{prefix}/")


class ListsByTheBeginning(Sound):
    async def list(self, prefix: str) -> AsyncIterator[str]:
        for key in self.objects:
            if key.startswith(prefix):
                yield key


class ReplaceIgnoresTheVersion(Sound):
    async def replace(self, key: str, data: Any, version: str | None) -> bool:
        return await super().replace(key, data, "*")


class HasLess(Sound):
    replace = None  # type: ignore[assignment]


def contract_of(kind: type[Any]) -> Any:
    class Contract(StoreContract):
        has = HAS

        @asynccontextmanager
        async def store(self, objects: dict[str, bytes]) -> AsyncGenerator[Any]:
            yield kind(dict(objects))

        @asynccontextmanager
        async def failing(self) -> AsyncGenerator[Any]:
            yield kind({})

    return Contract


BROKEN: dict[type[Any], str] = {
    RangesAreIgnored: "a_range_gives_those_bytes_as_far_as_there_are_any",
    EmptyIsMissing: "missing_is_none_and_empty_is_not_missing",
    ErrorsAreMissing: "what_fails_is_an_error_and_never_missing",
    KeysAreNotChecked: "invalid_keys_are_refused_by_every_verb_and_nothing_is_touched",
    KeysAreNormalised: "invalid_keys_are_refused_by_every_verb_and_nothing_is_touched",
    KeysAreUnquoted: "odd_keys_are_keys_like_others",
    SetIsInTwoSteps: "readers_beside_a_writer_see_the_old_object_or_the_new_one",
    SetIsNotSeen: "what_was_set_is_there_until_it_is_deleted",
    SetBorrows: "set_takes_any_buffer_and_keeps_a_copy",
    DeleteFailsWhereNothingIs: "what_was_set_is_there_until_it_is_deleted",
    ListsNamesFromTheRoot: "listing_gives_names_right_below_and_all_keys_below",
    ListsByTheBeginning: "listing_gives_names_right_below_and_all_keys_below",
    ReplaceIgnoresTheVersion: "an_object_is_replaced_only_if_it_is_of_the_version_that_was_read",
    HasLess: "it_has_the_protocols_it_says",
}


class TestSound(contract_of(Sound)):
    """What is broken below is not broken here."""

    failing = StoreContract.failing


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
async def test_a_store_that_breaks_a_promise_fails_the_test_of_it(kind: type[Any]):
    failed: Any = None
    try:
        await getattr(contract_of(kind)(), f"test_{BROKEN[kind]}")()
    except BaseException as error:  # pytest's own failures are no exceptions of the common kind
        failed = error
    assert isinstance(failed, (AssertionError, FileNotFoundError, pytest.fail.Exception)), failed


def test_tests_of_what_a_store_does_not_have_are_not_there():
    class Reading(StoreContract):
        pass

    class Writing(Reading):
        has = (WritableStore,)
        atomic = False

    names = {name for name in vars(StoreContract) if name.startswith("test_")}
    there = {kind: {name for name in names if getattr(kind, name)} for kind in (Reading, Writing)}
    assert there[Writing] - there[Reading] == {"test_what_was_set_is_there_until_it_is_deleted", "test_set_takes_any_buffer_and_keeps_a_copy"}
    assert there[Reading] < there[Writing] < names
