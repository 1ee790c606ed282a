"""Caches on network file systems are warned about, by the mount table."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from poc_aug.cache import Cache, CacheWriter, Manifest, network_files
from poc_aug.cache.network_files import network_file_system, warn_on_network_files

TABLE = r"""
22 1 259:1 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p1 rw
23 22 0:21 / /proc rw,nosuid shared:2 - proc proc rw
30 22 0:40 / /home rw,relatime shared:9 - nfs4 10.0.0.1:/export/home rw,vers=4.2
31 30 259:2 / /home/scratch rw shared:10 - xfs /dev/nvme1n1 rw
32 22 0:41 / /lustre rw shared:11 - lustre mgs@tcp:/fs rw
33 22 0:42 / /mnt/with\040space rw shared:12 - cifs //server/share rw
34 22 0:43 / /mnt/bucket rw master:3 shared:13 - fuse.gcsfuse bucket rw
35 22 0:44 / /mnt/mine rw - fuse.sshfs me@host: rw
36 22 0:45 / /mnt/layers rw - fuse.fuse-overlayfs fuse-overlayfs rw
37 22 0:46 / /mnt/usb rw - fuseblk /dev/sdb1 rw
38 22 0:47 / /auto rw - autofs systemd-1 rw
39 38 0:48 / /auto rw - nfs server:/auto rw
40 22 0:49 / /covered rw - nfs server:/covered rw
41 40 0:50 / /covered rw - tmpfs tmpfs rw
broken line
"""


@pytest.fixture(autouse=True)
def _nothing_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_files, "_warned", set())


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/a.cache", None),
        ("/home/anna/a.cache", "nfs4"),
        ("/home", "nfs4"),
        ("/homes/a.cache", None),
        ("/home/scratch/a.cache", None),
        ("/lustre/project/a.cache", "lustre"),
        ("/mnt/with space/a.cache", "cifs"),
        ("/mnt/bucket/a.cache", "fuse.gcsfuse"),
        ("/mnt/mine/deep/below/a.cache", "fuse.sshfs"),
        ("/mnt/layers/a.cache", None),
        ("/mnt/usb/a.cache", None),
        ("/auto/a.cache", "nfs"),
        ("/covered/a.cache", None),
    ],
)
def test_where_a_path_is(path: str, kind: str | None) -> None:
    assert network_file_system(Path(path), TABLE) == kind


@pytest.mark.parametrize(
    "kind",
    "nfs nfs4 cifs smb3 lustre gpfs beegfs ceph 9p afs fuse.s3fs fuse.rclone fuse.ceph-fuse fuse.juicefs".split(),
)
def test_network_file_systems(kind: str) -> None:
    assert network_file_system(Path("/data/a.cache"), f"1 0 0:1 / /data rw - {kind} x rw") == kind


@pytest.mark.parametrize("kind", "ext4 xfs btrfs zfs tmpfs overlay fuseblk apfs f2fs fuse.mergerfs".split())
def test_local_file_systems(kind: str) -> None:
    assert network_file_system(Path("/data/a.cache"), f"1 0 0:1 / /data rw - {kind} x rw") is None


def test_a_link_leads_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "link").symlink_to("share")
    table = f"1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 / {(tmp_path / 'share').resolve()} rw - nfs4 x rw"
    assert network_file_system(tmp_path / "link" / "a.cache", table) == "nfs4"
    assert network_file_system(tmp_path / "a.cache", table) is None


def test_no_mount_table_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    warn_on_network_files(Path("/home/anna/a.cache"), writes=False, mounts="")
    assert not caplog.records


@pytest.fixture
def on_nfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the mount table has on NFS."""
    table = f"1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 / {tmp_path.resolve()} rw - nfs4 x rw"
    monkeypatch.setattr(network_files, "_mount_table", lambda: table)
    return tmp_path


def test_each_path_is_named_once(on_nfs: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = on_nfs / "a.cache"
    with caplog.at_level(logging.WARNING, "poc_aug"), CacheWriter(path, Manifest.create({}, {}, {})):
        pass
    (written,) = caplog.messages
    assert f"{path} is on a network file system (nfs4)" in written
    assert "two machines that write there may damage a shard" in written
    assert "write to a local disk" in written
    caplog.clear()
    for _ in range(3):
        Cache.open(path).close()
    (read,) = caplog.messages
    assert "SIGBUS" in read
    assert "copy the finished cache to a local disk" in read
