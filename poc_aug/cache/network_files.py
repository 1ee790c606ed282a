"""Caches on network file systems: LMDB maps files into memory, which is not safe there; a warning says so."""

from __future__ import annotations

import logging
import os
import re
import sys
from pathlib import Path

_logger = logging.getLogger("poc_aug")

_MOUNTS = "/proc/self/mountinfo"

_NETWORK = frozenset(
    "nfs nfs3 nfs4 cifs smb2 smb3 smbfs smb ncpfs lustre lustre_lite gpfs mmfs beegfs beegfs_nodev ceph glusterfs 9p "
    "afs openafs coda pvfs2 orangefs panfs wekafs davfs davfs2 acfs afpfs vboxsf prl_fs vmhgfs rclone".split()
)
# Programs that show a local disk. Every other file system in user space is somewhere else: sshfs, s3fs, gcsfuse, ...
_LOCAL_FUSE = frozenset(
    "overlayfs fuse-overlayfs mergerfs bindfs encfs gocryptfs cryfs securefs ntfs ntfs-3g exfat ext2 ext4 fuse-ext2 "
    "zfs unionfs unionfs-fuse squashfuse squashfuse_ll lxcfs portal gvfsd-fuse snapfuse archivemount ratarmount "
    "apfs".split()
)
_ESCAPE = re.compile(r"\\([0-7]{3})")
_warned: set[tuple[str, bool]] = set()


def network_file_system(path: Path, mounts: str | None = None) -> str | None:
    r"""The type of the network file system that a path is on; ``None`` on a local one, or if this is not known.

    Args:
        path: a file or folder, which need not exist.
        mounts: the mount table, as ``/proc/self/mountinfo`` of Linux has it; by default that file.

    Example:
        >>> table = "36 35 98:0 / / rw - ext4 /dev/sda1 rw\n37 36 0:45 / /shared rw - nfs4 server:/export rw"
        >>> network_file_system(Path("/shared/street.cache"), table), network_file_system(Path("/tmp"), table)
        ('nfs4', None)
    """
    if mounts is None:
        mounts = _mount_table()
    place = Path(os.path.realpath(path))
    kinds = _kinds_by_mount_point(mounts)
    for folder in (place, *place.parents):
        if (kind := kinds.get(str(folder))) is not None:
            return kind if _is_network(kind) else None
    return None


def warn_on_network_files(cache: Path, *, writes: bool, mounts: str | None = None) -> None:
    """Log a warning, once per path and process, if a cache is on a network file system.

    Args:
        cache: the ``NAME.cache`` directory.
        writes: it is about to be written, not only read.
        mounts: as `network_file_system`.
    """
    if (str(cache), writes) in _warned:
        return
    _warned.add((str(cache), writes))
    kind = network_file_system(cache, mounts)
    if kind is None:
        return
    if writes:
        why = "two machines that write there may damage a shard, and a lost connection ends the process (SIGBUS)"
        step = "write to a local disk, and copy the finished shards into one folder afterwards (or poc-aug push them)"
    else:
        why = "while it is read, a lost connection ends the process (SIGBUS), and each page is a request of its own"
        step = "copy the finished cache to a local disk with `cp -r`, or set POC_AUG_CACHE_HOME to one if it is the "
        step += "local copy of a cache on a store"
    _logger.warning(
        "The cache %s is on a network file system (%s). LMDB maps its files into memory: %s. Next step: %s.",
        cache, kind, why, step,
    )  # fmt: skip


def _mount_table() -> str:
    if not sys.platform.startswith("linux"):
        return ""
    try:
        return Path(_MOUNTS).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:  # a container that hides it: nothing is known
        return ""


def _kinds_by_mount_point(mounts: str) -> dict[str, str]:
    """File systems by where they are mounted; of several at one place, the last one is seen."""
    kinds: dict[str, str] = {}
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")[0]
        if len(fields) >= 5 and kind:
            kinds[_ESCAPE.sub(lambda found: chr(int(found[1], 8)), fields[4])] = kind
    return kinds


def _is_network(kind: str) -> bool:
    name, _, program = kind.lower().partition(".")
    if name == "fuse" and program:
        return program not in _LOCAL_FUSE
    return name in _NETWORK
