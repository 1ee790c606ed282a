"""Records of shifted frames: round trips, and what a stranger may have written into one."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import xxhash
import zstandard

from poc_aug.cache import CODECS, Cache, CacheWriter, decode_record, encode_record, same_variant
from poc_aug.cache.record_header import RecordError
from poc_aug.errors import CacheError, CacheFormatError
from poc_aug.types import ShiftedFrame, Variant
from tests.helpers.cache_cases import make_frame_manifest, make_frame_variant, make_insertion, make_variant


def frame_of(variant: Variant) -> ShiftedFrame:
    assert variant.frame is not None
    return variant.frame


def smooth(size_hw: tuple[int, int]) -> torch.Tensor:
    """A picture that a lossy codec keeps."""
    rows, columns = torch.linspace(20, 230, size_hw[0])[:, None], torch.linspace(0, 25, size_hw[1])[None]
    return (rows + columns).expand(3, *size_hw).round().to(torch.uint8)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size_hw", [(1, 1), (17, 11), (1, 300), (257, 3)])
def test_round_trip(codec: str, size_hw: tuple[int, int]) -> None:
    variant = make_frame_variant(4, size_hw)
    variant = replace(variant, frame=replace(frame_of(variant), image=smooth(size_hw)))
    decoded = decode_record(encode_record(variant, codec), variant.key, variant.index)
    image = frame_of(decoded).image
    assert image.is_contiguous()
    assert image.dtype == torch.uint8
    if codec != "webp-lossy":
        assert same_variant(decoded, variant)
    assert int((image.int() - frame_of(variant).image.int()).abs().max()) <= (8 if codec == "webp-lossy" else 0)
    assert replace(decoded, frame=replace(frame_of(decoded), image=frame_of(variant).image)) == variant


def test_other_frames_are_not_the_same() -> None:
    variant = make_frame_variant(0)
    frame = frame_of(variant)
    for other in (
        None,
        replace(frame, image=frame.image ^ 1),
        replace(frame, severity=3),
        replace(frame, domain="fog"),
        replace(frame, provenance={}),
    ):
        assert not same_variant(variant, replace(variant, frame=other))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: replace(v, digest=b"short"), "no digest"),
        (lambda v: replace(v, frame=replace(v.frame, image=v.frame.image[:, :3])), r"\[3, 3, 11\]"),
        (lambda v: replace(v, frame=replace(v.frame, image=v.frame.image.float())), "torch.float32"),
        (lambda v: replace(v, frame=replace(v.frame, severity=6)), "severity is 6"),
        (lambda v: replace(v, frame=replace(v.frame, domain="fog")), "what the key"),
        (lambda v: replace(v, key="street/0000"), "what the key"),
        (lambda v: replace(v, frame=replace(v.frame, provenance={"a": float("nan")})), "not JSON"),
    ],
)
def test_what_is_not_written(change: Callable[[Variant], Variant], message: str) -> None:
    with pytest.raises(CacheError, match=message):
        encode_record(change(make_frame_variant(0)), "zstd")


def rewritten(record: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """The record with another header, and a hash that fits."""
    (length,) = struct.unpack_from("<I", record, 21)
    header = json.loads(zstandard.decompress(record[25 : 25 + length]))
    change(header)
    packed = zstandard.compress(json.dumps(header, sort_keys=True, separators=(",", ":")).encode())
    body = struct.pack("<I", len(packed)) + packed + record[25 + length :]
    return record[:5] + xxhash.xxh3_128_digest(body) + body


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.update(frame=[]), r"frame is \[\]"),
        (lambda h: h["frame"].pop("image"), "frame is a mapping of 3"),
        (lambda h: h["frame"].update(domain=7), "domain is 7"),
        (lambda h: h["frame"].update(domain="night"), "what the key"),
        (lambda h: h["frame"].update(severity=True), "severity is True"),
        (lambda h: h["frame"].update(severity=0), "severity is 0"),
        (lambda h: h["frame"].update(provenance=[]), "provenance"),
        (lambda h: h["frame"].update(image=["zstd", -1]), "blob"),
        (lambda h: h["frame"].update(image=["zstd", 1]), "bytes follow its header"),
        (lambda h: h["frame"]["image"].__setitem__(0, "jpeg"), "unknown patch codec"),
        (lambda h: h.update(digest=(struct.pack("<II", 400, 11) + bytes(768)).hex()), "cannot be decoded"),
        (lambda h: h.update(digest=(struct.pack("<II", 1 << 20, 1 << 20) + bytes(768)).hex()), "a frame of 1 to"),
        (lambda h: h.update(digest="00"), "digest of its base image"),
    ],
)
def test_a_strangers_header_is_refused(change: Callable[[dict[str, Any]], None], message: str) -> None:
    variant = make_frame_variant(0)
    record = rewritten(encode_record(variant, "zstd"), change)
    with pytest.raises(RecordError, match=message):
        decode_record(record, variant.key, variant.index)


def test_a_frame_as_large_as_none_is_refused_before_it_is_decoded() -> None:
    variant = make_frame_variant(0)
    digest = struct.pack("<II", 1 << 15, 1 << 15) + bytes(768)  # 3 GiB of pixels
    record = rewritten(encode_record(variant, "zstd"), lambda header: header.update(digest=digest.hex()))
    with pytest.raises(RecordError, match="a record of this frame at most"):
        decode_record(record, variant.key, variant.index)


def test_verify_finds_what_does_not_belong_into_a_cache_of_frames(tmp_path: Path) -> None:
    good = make_frame_variant(0)
    foggy = replace(make_frame_variant(3), key="street/0001@fog-2")
    strong = replace(make_frame_variant(15), key="street/0005@dusk-5")
    others = [
        replace(foggy, frame=replace(frame_of(foggy), domain="fog")),
        replace(strong, frame=replace(frame_of(strong), severity=5)),
        replace(make_frame_variant(9), frame=None),
        replace(make_frame_variant(12), insertions=(make_insertion(1, (3, 3)),)),
    ]
    with CacheWriter(tmp_path / "a.cache", make_frame_manifest()) as writer:
        writer.put_many([good, *others])
    with Cache.open(tmp_path / "a.cache") as cache:
        found = {problem.key: problem.problem for problem in cache.verify().problems}
    assert found == {
        "street/0001@fog-2": "its domain 'fog' is none of the recipe",
        "street/0005@dusk-5": "its severity 5 is none of the recipe",
        "street/0003@dusk-2": "holds neither a frame nor a reason why there is none",
        "street/0004@dusk-2": "holds 1 insertion, in a cache of frames",
    }


def test_verify_finds_a_frame_in_a_cache_of_insertions(tmp_path: Path) -> None:
    from tests.helpers.cache_cases import make_manifest

    with CacheWriter(tmp_path / "a.cache", make_manifest()) as writer:
        writer.put_many([make_variant(1), make_frame_variant(3)])
    with Cache.open(tmp_path / "a.cache") as cache:
        (problem,) = cache.verify().problems
    assert problem.problem == "holds a shifted frame, in a cache of insertions"


def test_a_manifest_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    manifest = make_frame_manifest().to_dict()
    manifest["recipe"]["kind"] = "videos"
    path = tmp_path / "a.cache"
    path.mkdir()
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CacheFormatError, match=r"recipe\.kind = 'videos'"):
        Cache.open(path)
