"""Folders that nobody needs: who makes an object makes its folders first, and may be killed before there is anything in them."""

from __future__ import annotations

import errno
import os
import stat

from azarr.stores.staging import FOLDER, NOFOLLOW


def delete_empty(name: str, folder: int) -> None:
    """Delete `name` in the open `folder`: a folder in which there are folders alone. Errors: `IsADirectoryError` where there is more."""
    try:
        here = os.open(name, FOLDER | NOFOLLOW, dir_fd=folder)
        try:
            for each in os.listdir(here):
                if not stat.S_ISDIR(os.stat(each, dir_fd=here, follow_symlinks=False).st_mode):
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
                delete_empty(each, here)
        finally:
            os.close(here)
        os.rmdir(name, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:  # somebody else made something there just now
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)) from error
        raise
