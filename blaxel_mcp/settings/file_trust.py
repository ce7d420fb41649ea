"""Checks that only this user can change a settings file, whose commands and calls run in the user's name."""

import os
import shlex
import stat
from pathlib import Path

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def fault_of_file(path: Path, status: os.stat_result) -> tuple[str, str] | None:
    """Return why a settings file must not be used, and the fix; None if only this user and root can change it.

    `path` is absolute, as it was named; `status` is that of the opened file.

    Raises:
        OSError: A folder cannot be checked.
    """
    # Windows keeps a user's folders closed to others, and the mode says nothing there. A pipe has no place in a folder.
    if os.name != "posix" or not stat.S_ISREG(status.st_mode):
        return None
    quoted = shlex.quote(str(path))
    if not _is_trusted(status.st_uid):
        who = "root does not read the settings of another user" if os.geteuid() == 0 else "you are not its owner"
        return (
            f"belongs to the user with id {status.st_uid}: {who}",
            f"Run the server as that user, or make the file the server's: `chown {os.geteuid()} {quoted}`.",
        )
    if status.st_mode & _OTHERS_WRITE:
        return "can be changed by other users", f"Run `chmod go-w {quoted}`."
    if path.is_symlink() and not _is_trusted(path.lstat().st_uid):
        return "is a link of another user", "Name the file that the link leads to, or replace the link."
    for place in dict.fromkeys((path, path.resolve())):
        for folder in place.parents:
            if _is_open(folder, is_parent=folder == place.parent):
                fix = f"Run `chmod go-w {shlex.quote(str(folder))}`, or move the file to a folder of your own."
                return f"is in {folder}, in which other users can replace it", fix
    return None


def _is_open(folder: Path, *, is_parent: bool) -> bool:
    """Return whether others can replace the entries of a folder.

    Further up than the file's own folder, a group may write, as is usual for shared projects, and the owner may be
    anyone: in a user namespace, root is shown as `nobody`.
    """
    status = folder.stat()
    others = _OTHERS_WRITE if is_parent else stat.S_IWOTH
    is_writable = bool(status.st_mode & others) and not status.st_mode & stat.S_ISVTX
    return is_writable or (is_parent and not _is_trusted(status.st_uid))


def _is_trusted(user: int) -> bool:
    return user in (0, os.geteuid())
