"""What writers left in a local folder that are dead: it is deleted, and nothing else. Knows how `stores.staging` names and locks it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Generator

from azarr.stores.staging import FOLDER, NOFOLLOW, STAGED, living


def clean(prefix: str) -> None:
    """Delete what writers left behind that are dead; those that live hold a lock. Links are not followed: others may have made them."""
    with contextlib.suppress(OSError):  # there is nothing left behind, or others are writing
        with _opened(prefix + STAGED) as staged:
            for name in set(os.listdir(staged)) - living:
                with contextlib.suppress(FileNotFoundError, BlockingIOError, NotADirectoryError), _opened(name, staged) as folder:
                    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    for file in os.listdir(folder):
                        os.unlink(file, dir_fd=folder)
                    os.rmdir(name, dir_fd=staged)
        os.rmdir(prefix + STAGED)


@contextlib.contextmanager
def _opened(path: str, above: int | None = None) -> Generator[int]:
    """A folder that is no link, open inside the block."""
    folder = os.open(path, FOLDER | NOFOLLOW, dir_fd=above)
    try:
        yield folder
    finally:
        os.close(folder)
