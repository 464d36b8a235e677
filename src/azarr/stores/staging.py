"""Writing to a folder on a local disk. An object is staged in a file of its own and renamed: a reader sees the old one or the new one.

Whoever changes an object holds a lock on its folder: while a name is looked at and replaced, nobody else does so. A folder goes with its
last object, and nothing can be renamed into one that is gone: whoever has it open then opens the new one of that name.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Generator, Iterator
from importlib import import_module
from typing import Self

from azarr.errors import StoreError
from azarr.scratch import Buffer, Buffers, Parts, view
from azarr.stores.base import ANY, check_key

STAGED = ".azarr-staged"
"""The folder, below the root, of what is being written, with one for each writer. It is there while somebody writes, and never listed."""
OBJECT = "object"
"""The file, in the folder of a writer, that is to become an object."""
MOVED = 100
"""Tries to write into a folder that others delete and make again."""
STAGING = (errno.EXDEV, errno.EACCES, errno.EPERM, errno.EROFS)
"""Errors that may be of the folder in which objects are staged."""
PARTS = 1024
"""Buffers that are written at a time; operating systems take no more."""
CLOSED, NOFOLLOW = getattr(os, "O_CLOEXEC", 0), getattr(os, "O_NOFOLLOW", 0)
READ, NEW = os.O_RDONLY | CLOSED, os.O_WRONLY | os.O_CREAT | os.O_EXCL | CLOSED
FOLDER = READ | getattr(os, "O_DIRECTORY", 0)
living = set[str]()
"""The names of the folders of this process's writers: not all systems have locks, and in Pyodide there are none."""


class Unflushed(StoreError):
    """The object was changed, but its folder not flushed."""

    unknown = True


class Writer:
    """One worker's way of writing below `prefix`, where `open_below` opens folders; errors call the store `where`.

    What it needs for itself is gone when it ends: its folder below `STAGED` is made when it is needed, and locked as long as it lives;
    `leftovers` deletes those that are not.
    """

    __slots__ = ("_above", "_folder", "_full", "_open_below", "_own", "_own_path", "_prefix", "_where")

    def __init__(self, prefix: str, open_below: Callable[[str, int], int], where: object, *, full: bool) -> None:
        self._prefix, self._open_below, self._where, self._full = prefix, open_below, where, full
        self._above, self._folder = "", -1
        self._own_path, self._own = "", -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._forget()
        if self._own >= 0:
            with contextlib.suppress(OSError):  # the one for all writers is left to those that are still there
                os.rmdir(self._own_path)
                os.rmdir(self._prefix + STAGED)
            living.discard(os.path.basename(self._own_path))
            os.close(self._own)
            self._own = -1

    def put(self, key: str, data: Buffer | Buffers | Parts | None, version: str | None = ANY) -> bool:
        """Replace the object, if it is of `version`; None deletes it. Whether it was."""
        above, name = os.path.split(self._prefix + check_key(key))
        try:
            if data is None:
                return self._commit(above, name, version, staged="")
            if not self._stage(key, data, version):
                return False
            done = False
            try:
                done = self._commit(above, name, version, staged=OBJECT)
            finally:
                if not done:
                    with contextlib.suppress(FileNotFoundError):  # it was renamed, but not flushed
                        os.unlink(OBJECT, dir_fd=self._own)
            return done
        except StoreError as error:  # of encoding what was to come, or of flushing
            raise error.within(repr(self._where), key) from error.__cause__
        except OSError as error:
            raise self._error(error, key) from error

    def _error(self, error: OSError, key: str) -> StoreError:
        where = f" (it is staged in {self._prefix + STAGED!r}, which must be on the same disk, and writable)"
        return StoreError(f"{type(error).__name__}: {error.strerror}{where * (error.errno in STAGING)}", store=repr(self._where), key=key)

    def _stage(self, key: str, data: Buffer | Buffers | Parts, version: str | None) -> bool:
        """Write it to a file of its own. Not if it takes parts of an object that is not of `version` any more."""
        if self._own < 0:
            self._settle()
        file = os.open(OBJECT, NEW, 0o666, dir_fd=self._own)
        try:
            if not isinstance(data, Iterator):
                write_all(file, data if isinstance(data, list) else [data])
            elif not import_module("azarr.integrations.kept").write(file, data, lambda: self._open_below(key, READ), version):
                os.unlink(OBJECT, dir_fd=self._own)
                return False
            now = time.time_ns()  # clocks of file systems are coarse: two versions could have one time
            os.utime(file, ns=(now, now))
            if self._full:
                os.fsync(file)
        except BaseException:
            os.unlink(OBJECT, dir_fd=self._own)
            raise
        finally:
            os.close(file)
        return True

    def _settle(self) -> None:
        """Make this writer's own folder, and lock it."""
        while True:
            path = os.path.join(self._prefix + STAGED, name := os.urandom(8).hex())
            try:
                with self._opened(self._prefix + STAGED, NOFOLLOW) as staged:
                    os.mkdir(name, dir_fd=staged)
                    folder = os.open(name, FOLDER | NOFOLLOW, dir_fd=staged)
            except FileNotFoundError:
                with contextlib.suppress(FileExistsError):  # `exist_ok` fails where others delete it meanwhile
                    os.makedirs(self._prefix + STAGED)
                continue
            fcntl.flock(folder, fcntl.LOCK_EX)
            if _is_at(folder, path):  # else it was swept before it was locked
                self._own_path, self._own = path, folder
                living.add(name)
                return
            os.close(folder)

    def _commit(self, above: str, name: str, version: str | None, *, staged: str) -> bool:
        """Rename what is `staged`, or delete, if the object is of `version`."""
        for tries in range(MOVED):
            fresh = self._above != above
            try:
                folder = self._open(above, make=bool(staged))
            except FileNotFoundError:  # where it is made: one above it was deleted meanwhile
                if not staged:
                    return version in (ANY, None)
                if tries == MOVED - 1:
                    raise
                continue
            fcntl.flock(folder, fcntl.LOCK_EX)
            try:
                if version not in (ANY, None if version == ANY else version_at(name, folder)):
                    if fresh:
                        return False
                elif staged:
                    try:
                        os.replace(staged, name, src_dir_fd=self._own, dst_dir_fd=folder)
                    except IsADirectoryError:
                        _delete_empty(name, folder)
                        os.replace(staged, name, src_dir_fd=self._own, dst_dir_fd=folder)
                    return self._flushed(folder)
                elif self._deleted(name, folder) or fresh:
                    self._prune(above)
                    return self._flushed(folder)
            except FileNotFoundError:
                pass
            finally:
                fcntl.flock(folder, fcntl.LOCK_UN)
            self._forget()  # the folder was deleted, or may have been
        raise BlockingIOError(errno.EAGAIN, "its folder was deleted and made again, time after time")

    def _open(self, path: str, *, make: bool) -> int:
        """The folder, which stays open: the next object is in the same one, as a rule."""
        if self._above != path:
            self._forget()
            try:
                self._folder = self._open_below(path[len(self._prefix) :], FOLDER)
            except FileNotFoundError:
                if not make:
                    raise
                self._make(path)
                self._folder = self._open_below(path[len(self._prefix) :], FOLDER)
            self._above = path
        return self._folder

    def _forget(self) -> None:
        if self._folder >= 0:
            os.close(self._folder)
        self._above, self._folder = "", -1

    def _flushed(self, folder: int) -> bool:
        try:
            if self._full:
                os.fsync(folder)
        except OSError as error:
            reason = f"{type(error).__name__}: {error.strerror}, after it was changed: it may come back if the machine ends"
            raise Unflushed(reason) from error
        return True

    def _deleted(self, name: str, folder: int) -> bool:
        try:
            os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            return False
        except IsADirectoryError:
            _delete_empty(name, folder)
        return True

    def _prune(self, folder: str) -> None:
        """Delete the folder if it is empty, and those above: a chunk of another array may be called as they are."""
        with contextlib.suppress(OSError):  # it is not empty
            while folder.startswith(self._prefix):
                folder, name = os.path.split(folder)
                with self._opened(folder) as above:
                    os.rmdir(name, dir_fd=above)

    def _make(self, path: str) -> None:
        """The folder and those above it. Their names are as durable as what will be in them."""
        above, name = os.path.split(path)
        if not os.path.isdir(above):
            self._make(above)
        with self._opened(above) as folder:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=folder)
            if self._full:
                os.fsync(folder)

    @contextlib.contextmanager
    def _opened(self, path: str, flags: int = 0) -> Generator[int]:
        """A folder, open inside the block: also one above the root."""
        below = os.path.join(path, "").startswith(self._prefix)
        folder = self._open_below(path[len(self._prefix) :], FOLDER | flags) if below else os.open(path, FOLDER)
        try:
            yield folder
        finally:
            os.close(folder)


def _delete_empty(name: str, folder: int) -> None:
    """Delete a folder that has folders alone: who was killed may have left it. Errors: `IsADirectoryError` where there is more."""
    import_module("azarr.integrations.empty_folders").delete_empty(name, folder)


def version_of(status: os.stat_result) -> str:
    """What tells a file from those that had or will have its name."""
    return f"{status.st_mtime_ns:x}-{status.st_ino:x}-{status.st_size:x}"


def version_at(name: str, folder: int) -> str | None:
    """The version of a file in a folder that is open; None where there is none."""
    try:
        return version_of(os.stat(name, dir_fd=folder))
    except FileNotFoundError:
        return None


def _is_at(folder: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(folder), os.stat(path))
    except FileNotFoundError:
        return False


def write_all(file: int, parts: Buffers) -> None:
    """Write all of the parts, however few the system takes at a time."""
    done, views = 0, [view(part).data for part in parts]
    while done < len(views):
        written = os.writev(file, views[done : done + PARTS])
        while done < len(views) and written >= len(views[done]):
            written -= len(views[done])
            done += 1
        if written:
            views[done] = views[done][written:]
