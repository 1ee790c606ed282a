"""Where a generation process listens, for processes of this user on this machine; both sides check who the other is."""

from __future__ import annotations

import os
import socket
import stat
import struct
import sys
import tempfile
from pathlib import Path

from poc_aug.errors import GenerationProcessError
from poc_aug.live.open_files import naming_too_many_files

_PRIVATE = 0o700
_SOL_LOCAL, _LOCAL_PEERCRED = 0, 1  # <sys/un.h> of macOS; Python has no names for them
_XUCRED = struct.Struct("=IIh2x16I")  # <sys/ucred.h>: version, user, number of groups, groups
_XUCRED_VERSION = 0
_LONGEST_PATH = 100  # bytes; macOS has room for 103


def listen(*, abstract: bool = sys.platform == "linux") -> tuple[socket.socket, str]:
    """A listening socket and its address.

    Args:
        abstract: no file that could stay behind, on Linux; otherwise a socket in a folder of this user alone.

    Raises:
        GenerationProcessError: too many open files, or the temporary folder's path is too long.
    """
    with naming_too_many_files():
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    if abstract:
        address = f"\0poc_aug-{os.getpid()}-{os.urandom(16).hex()}"
    else:
        address = os.path.join(tempfile.mkdtemp(prefix=f"poc_aug-{os.getpid()}-"), "socket")
    try:
        if len(os.fsencode(address)) > _LONGEST_PATH:
            raise GenerationProcessError(
                f"the path of a socket in the temporary folder is too long: {address}",
                expected=f"at most {_LONGEST_PATH} bytes",
                hint="set TMPDIR to a short path, such as /tmp",
            )
        listener.bind(address)
        listener.listen(1024)
    except BaseException:
        listener.close()
        remove_address(address)
        raise
    return listener, address


def remove_address(address: str) -> None:
    """Delete the socket and its folder, if the address has one; a second call does nothing."""
    if not address.startswith("\0"):
        path = Path(address)
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            path.parent.rmdir()


def connect(address: str) -> socket.socket:
    """A connection to a listener of this user.

    Raises:
        GenerationProcessError: another user listens there, or may; or this process has too many open files.
        OSError: no process listens there any more.
    """
    if not address.startswith("\0"):
        _check_folder(address)
    with naming_too_many_files():
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(address)
        uid = peer_uid(connection)
        if uid != os.getuid():
            raise GenerationProcessError(
                f"a process of user {uid} listens at {_shown(address)}, where the generation process of this training "
                "was",
                expected=f"a process of user {os.getuid()}, as this one",
                hint="nothing was sent to it; the training has ended or was killed: start it again, and look at what "
                f"runs as user {uid} on this machine",
            )
    except BaseException:
        connection.close()
        raise
    return connection


def peer_uid(connection: socket.socket) -> int:
    """The user of the process on the other side.

    Raises:
        OSError: the system does not say.
    """
    if hasattr(socket, "SO_PEERCRED"):
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("iII", credentials)[1])
    credentials = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED.size)
    if len(credentials) < 8:
        raise OSError(f"LOCAL_PEERCRED gave {len(credentials)} bytes")
    version, uid = struct.unpack_from("=II", credentials)
    if version != _XUCRED_VERSION:
        raise OSError(f"LOCAL_PEERCRED gave a structure of version {version}, expected {_XUCRED_VERSION}")
    return int(uid)


def is_same_user(connection: socket.socket) -> bool:
    """Whether the other side runs as this user; one that has ended already may not say."""
    try:
        return peer_uid(connection) == os.getuid()
    except OSError:
        return False


def _check_folder(address: str) -> None:
    folder = Path(address).parent
    status = folder.lstat()
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or mode != _PRIVATE:
        kind = "folder" if stat.S_ISDIR(status.st_mode) else "link or file"
        raise GenerationProcessError(
            f"{str(folder)!r}, where the generation process of this training listens, is a {kind} of user "
            f"{status.st_uid} with mode {mode:04o}",
            expected=f"a folder of user {os.getuid()} with mode {_PRIVATE:04o}, as it was made",
            hint="nothing was sent to it; look at who has changed it, and start the training again",
        )


def _shown(address: str) -> str:
    return f"@{address[1:]}" if address.startswith("\0") else address
