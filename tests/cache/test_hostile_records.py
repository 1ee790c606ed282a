"""Records of a stranger, whose hashes fit: whatever is wrong is a `RecordError`, before anything is allocated."""

from __future__ import annotations

import json
import resource
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import zstandard
from typer.testing import CliRunner

from poc_aug.cache import Cache, CacheWriter, Manifest, encode_record
from poc_aug.cache.record import decode_record
from poc_aug.cache.record_header import MAX_HEADER_NBYTES, RecordError
from poc_aug.cli.main import cli
from poc_aug.errors import CacheCorruptError, CacheError, CacheFormatError, PocAugError
from poc_aug.types import Variant
from tests.fuzz.mutations import CLASSES, bombs, sealed
from tests.helpers.cache_cases import in_child, make_cache, make_insertion
from tests.helpers.stranger_cache import write_cache

Header = dict[str, Any]
DIGEST = struct.pack("<II", 64, 48) + bytes(768)


def _parts(codec: str = "zstd") -> tuple[Header, bytes]:
    insertion = make_insertion(0, parts=1, alpha=True, shade=True)
    data = encode_record(Variant("a.png", 0, DIGEST, (insertion,)), codec)
    end = 25 + int.from_bytes(data[21:25], "little")
    return json.loads(zstandard.decompress(data[25:end])), data[end:]


def _changed(change: Callable[[Header, Header], object]) -> bytes:
    header, blobs = _parts()
    change(header, header["insertions"][0])
    return sealed(json.dumps(header, separators=(",", ":")).encode(), blobs)


def _text(old: str, new: str) -> bytes:
    header, blobs = _parts()
    text = json.dumps(header, separators=(",", ":"))
    assert old in text
    return sealed(text.replace(old, new).encode(), blobs)


def _patch(codec: str, data: bytes) -> bytes:
    header, blobs = _parts()
    item = header["insertions"][0]
    rest = blobs[item["patch"][1] :]
    item["patch"] = [codec, len(data)]
    return sealed(json.dumps(header, separators=(",", ":")).encode(), data + rest)


def _claimed(frame_hw: tuple[int, int], box: list[int], count: int) -> bytes:
    """Zeros as they would compress for boxes of that size: declared and true, only too much."""
    header, _ = _parts()
    header["digest"] = (struct.pack("<II", *frame_hw) + bytes(768)).hex()
    pixels = box[2] * box[3]
    mask = zstandard.compress(bytes(box[2] * -(-box[3] // 8)), 1)
    patch = zstandard.compress(bytes(3 * pixels), 1)
    item = header["insertions"][0] | {"box": box, "alpha": None, "shade": None, "patch": ["zstd", len(patch)]}
    item["parts"] = [["part 0", 1.0, "bits-zstd", len(mask)]]
    header["insertions"] = [item] * count
    return sealed(json.dumps(header, separators=(",", ":")).encode(), (patch + mask) * count)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "index true": (lambda: _changed(lambda h, i: h.update(index=True)), "index is True"),
    "index 0.0": (lambda: _changed(lambda h, i: h.update(index=0.0)), "index is 0.0"),
    "key a list": (lambda: _changed(lambda h, i: h.update(key=["a.png"])), "key is"),
    "digest a number": (lambda: _changed(lambda h, i: h.update(digest=5)), "digest is 5"),
    "digest too long": (lambda: _changed(lambda h, i: h.update(digest="00" * 777)), "at most 776 bytes"),
    "digest of no frame": (lambda: _changed(lambda h, i: h.update(digest="00" * 776)), "not 0x0"),
    "label digest null": (lambda: _changed(lambda h, i: h.update(label_digest=None)), "'label_digest' is missing"),
    "insertions a mapping": (lambda: _changed(lambda h, i: h.update(insertions={})), "insertions is"),
    "insertion a string": (lambda: _changed(lambda h, i: h.update(insertions=["x"])), "insertion is 'x'"),
    "no provenance": (lambda: _changed(lambda h, i: i.pop("provenance")), "'provenance'"),
    "provenance a list": (lambda: _changed(lambda h, i: i.update(provenance=[])), "provenance is"),
    "box of floats": (lambda: _changed(lambda h, i: i.update(box=[0.0, 0.0, 17.0, 11.0])), "four integers"),
    "box of five": (lambda: _changed(lambda h, i: i.update(box=[0, 0, 17, 11, 1])), "four integers"),
    "box outside": (lambda: _changed(lambda h, i: i.update(box=[48, 0, 17, 11])), "inside a frame of 64x48"),
    "box before": (lambda: _changed(lambda h, i: i.update(box=[0, -1, 17, 11])), "inside a frame"),
    "empty box": (lambda: _changed(lambda h, i: i.update(box=[0, 0, 0, 11])), "at least one pixel"),
    "box without end": (lambda: _changed(lambda h, i: i.update(box=[0, 0, 10**30, 10**30])), "inside a frame"),
    "feather of a string": (lambda: _changed(lambda h, i: i.update(max_sigma_px="3")), "max_sigma_px is '3'"),
    "negative feather": (lambda: _changed(lambda h, i: i.update(max_sigma_px=-1)), "max_sigma_px is -1"),
    "name null": (lambda: _changed(lambda h, i: i.update(name=None)), "name is None"),
    "score a bool": (lambda: _changed(lambda h, i: i["parts"][0].__setitem__(1, True)), "score is True"),
    "class unknown": (lambda: _changed(lambda h, i: i["parts"][0].__setitem__(0, "tank")), "'tank', expected a class"),
    "patch of true bytes": (lambda: _changed(lambda h, i: i.update(patch=["zstd", True])), "number of bytes"),
    "patch of -1 bytes": (lambda: _changed(lambda h, i: i.update(patch=["zstd", -1])), "number of bytes"),
    "codec a list": (lambda: _changed(lambda h, i: i.update(patch=[[], 5])), "number of bytes"),
    "too few bytes": (lambda: _changed(lambda h, i: i["patch"].__setitem__(1, 9)), "follow its header, which declares"),
    "rejection of one": (lambda: _changed(lambda h, i: h.update(rejections=[["x"]])), "rejection is"),
    "rejection of lists": (lambda: _changed(lambda h, i: h.update(rejections=[[[], {}, 0, 1]])), "reason is"),
    "many rejections": (lambda: _changed(lambda h, i: h.update(rejections=[0] * 70_000)), "at most 65536"),
    "NaN": (lambda: _text('"max_sigma_px":3.0', '"max_sigma_px":NaN'), "NaN is not a finite number"),
    "infinity": (lambda: _text('"score":0.1', '"score":1e999'), "1e999 is not a finite number"),
    "digits": (lambda: _text('"index":0', f'"index":{"9" * 5000}'), "header cannot be decoded"),
    "depth": (lambda: _text('"score":0.1', f'"score":{"[" * 500}{"]" * 500}'), "nested deeper than 64"),
    "endless depth": (lambda: sealed(b"[" * 1_000_000, b""), "nested deeper than 64"),
    "header bomb": (lambda: sealed(b" " * (MAX_HEADER_NBYTES + 1), b""), "zstd declares 4194305 bytes"),
    "zstd bomb": (lambda: _patch("zstd", bombs()[2]), "declares 1000000000 bytes, expected 561"),
    "zstd without size": (lambda: _patch("zstd", bombs()[4]), "zstd declares no size"),
    "two zstd frames": (lambda: _patch("zstd", zstandard.compress(bytes(561)) * 2), "unused data"),
    "delta bomb": (lambda: _patch("delta-zstd", struct.pack("<4I", 0, 0, 17, 11) + bombs()[2]), "expected 561"),
    "delta with a tail": (lambda: _patch("delta-zstd", bytes(99)), "belong to no pixel"),
    "WebP bomb": (lambda: _patch("webp", bombs()[-3]), r"WebP declares 200x16383 pixels, expected 17x11"),
    "animation": (lambda: _patch("webp", bombs()[-1]), "a WebP picture that begins with"),
    "no WebP": (
        lambda: _patch("webp", b"RIFF\x1e\0\0\0WEBPVP8L\x11\0\0\0/\x0a\x00\x04\0" + bytes(13)),
        "no WebP picture",
    ),
    "frame too large": (lambda: _claimed((2**31, 2**31), [0, 0, 9, 9], 1), "1 to 1073741824 pixels"),
    "one box, 280 MB": (lambda: _claimed((14_000, 14_000), [0, 0, 7000, 10_000], 1), "would take 280000000 bytes"),
    "many boxes, 80 GB": (lambda: _claimed((2048, 1024), [0, 0, 2048, 1024], 4000), "at most 134217728"),
}


@pytest.fixture(scope="module")
def hostile_records() -> dict[str, bytes]:
    return {name: make() for name, (make, _) in HOSTILE.items()}


def _problem(data: bytes) -> str:
    try:
        decode_record(data, "a.png", 0, CLASSES)
    except RecordError as error:
        return str(error)
    return "no error"


def test_every_hostile_record_is_refused_before_it_takes_memory(hostile_records: dict[str, bytes]) -> None:
    def refuse_all() -> tuple[dict[str, str], int]:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        problems = {name: _problem(data) for name, data in hostile_records.items()}
        return problems, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    problems, grown_kb = in_child(refuse_all)
    for name, (_, expected) in HOSTILE.items():
        assert expected in problems[name], (name, problems[name])
    assert all(len(problem) < 400 for problem in problems.values())
    assert grown_kb < 100_000  # the header of 4 MiB is the largest thing that is looked at


def test_record_errors_are_of_the_family() -> None:
    with pytest.raises(PocAugError):
        decode_record(b"", "a", 0)
    assert issubclass(RecordError, CacheError)


def _cache_of(folder: Path, records: dict[str, bytes], names: list[bytes] | None = None) -> Path:
    write_cache(folder / "a.cache", records, names)
    return folder / "a.cache"


def test_verify_finds_every_hostile_record(tmp_path: Path, hostile_records: dict[str, bytes]) -> None:
    sound = encode_record(Variant("a.png", 0, DIGEST, (make_insertion(0),)), "zstd")
    names = [b"ta.png" + number.to_bytes(4, "big") for number in range(len(hostile_records))]
    path = _cache_of(tmp_path, hostile_records, names)
    with Cache.open(path) as cache:
        found = {problem.variant for problem in cache.verify().problems}
        assert found == set(range(len(hostile_records)))
        with pytest.raises(CacheCorruptError, match="is damaged"):
            cache.get("a.png", 0)
    with Cache.open(_cache_of(tmp_path / "b", {"a.png": sound})) as cache:
        assert cache.verify().ok


INSERTION = make_insertion(0)


@pytest.mark.parametrize(
    ("variant", "problem"),
    [
        (Variant("a.png", 0, b"short", (INSERTION,)), "has 5 bytes, expected 776"),
        (Variant("a.png", 0, DIGEST, (replace(INSERTION, parts=()),)), "insertion 0 has no parts"),
        (Variant("a.png", 0, DIGEST, (replace(INSERTION, object_name="tank"),)), "'tank', which is no object"),
        (Variant("a.png", 0, DIGEST, (replace(INSERTION, max_sigma_px=1.0),)), "a feather of 1 px, not 3 px"),
        (Variant("a.png", 0, DIGEST, (INSERTION,), (), b"\x09\0\0\0road"), "not a label digest: 8 bytes"),
        (Variant("a.png", 0, DIGEST, (INSERTION,), (), b"\x01\0\0\0\xff" + bytes(256)), "not a label digest"),
        (Variant("a.png", 0, DIGEST, (INSERTION,), (), b"\x04\0\0\0road" + b"\2" * 256), "shows class 2 of 1"),
    ],
)
def test_verify_finds_what_decoding_takes(tmp_path: Path, variant: Variant, problem: str) -> None:
    with Cache.open(_cache_of(tmp_path, {"a.png": encode_record(variant, "zstd")})) as cache:
        assert [found.problem for found in cache.verify().problems if problem in found.problem], cache.verify()


def test_verify_finds_a_name_that_occurs_twice(tmp_path: Path) -> None:
    twice = _text('"index":0', '"index":7,"index":0')
    decode_record(twice, "a.png", 0)
    with Cache.open(_cache_of(tmp_path, {"a.png": twice})) as cache:
        assert "'index' occurs twice" in str(cache.verify().problems[0])


def test_an_insertion_without_parts_covers_nothing() -> None:
    mask = replace(INSERTION, parts=()).mask
    assert mask.shape == (17, 11)
    assert not mask.any()


@pytest.mark.parametrize(
    "change",
    [
        {"box_yxhw": (60, 0, 17, 11)},
        {"object_name": "x" * 2000},
        {"max_sigma_px": float("1e7")},
        {"provenance": {"deep": json.loads("[" * 90 + "]" * 90)}},
        {"provenance": {"long": "x" * MAX_HEADER_NBYTES}},
    ],
)
def test_what_would_be_refused_is_not_written(change: dict[str, Any]) -> None:
    with pytest.raises(CacheError, match="refused on reading"):
        encode_record(Variant("a.png", 0, DIGEST, (replace(INSERTION, **change),)), "zstd")


@pytest.mark.parametrize(
    "name", [b"t\xff\xfe\0\0\0\0", b"t", b"\0" * 300, b"t" + b"k" * 505 + b"\0\0\0\0", b"#abc\0\0\0\0"]
)
def test_strange_names_in_a_shard(tmp_path: Path, name: bytes) -> None:
    path = _cache_of(tmp_path, {"a.png": _changed(lambda header, item: None)}, [name])
    with Cache.open(path) as cache:
        assert len(cache.verify().problems) == 1
        with pytest.raises(CacheCorruptError):  # listing or reading, whichever meets the name first
            [cache.get(*item) for item in cache]


MANIFESTS: dict[str, Callable[[Header], object] | str] = {
    "deep": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "no JSON": "\0\xff",
    "huge": " " * (17 << 20) + "{}",
    "a list": "[]",
    "NaN": '{"format":"poc_aug-cache","schema_version":NaN}',
    "twice": '{"format":"poc_aug-cache","format":"x"}',
    "digits": f'{{"format":{"9" * 9000}}}',
    "objects a string": lambda data: data["recipe"].update(objects="gnu"),
    "object a number": lambda data: data["recipe"].update(objects=[5]),
    "parts a number": lambda data: data["recipe"].update(objects=[{"name": "gnu", "parts": 5}]),
    "parts of lists": lambda data: data["recipe"].update(objects=[{"name": "gnu", "parts": [[]]}]),
    "feather a list": lambda data: data["recipe"].update(max_sigma_px=[3]),
    "inserter a string": lambda data: data["backends"].update(inserter="../../x"),
    "fingerprint of escapes": lambda data: data.update(fingerprint="\x1b[2J"),
    "endless author": lambda data: data.update(created_by="x" * 10_000),
    "codec of escapes": lambda data: data.update(codec="\x1b]0;x\x07"),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_manifests_of_strangers(tmp_path: Path, name: str) -> None:
    path = make_cache(tmp_path / "a.cache", 1)
    change = MANIFESTS[name]
    file = path / "manifest.json"
    if isinstance(change, str):
        file.write_text(change, encoding="latin-1")
    else:
        data = json.loads(file.read_text())
        change(data)
        file.write_text(json.dumps(data))
    with pytest.raises(CacheFormatError) as caught:
        Cache.open(path)
    assert len(str(caught.value)) < 1000
    assert str(caught.value).replace("\n", "").isprintable()


def test_info_escapes_what_a_terminal_would_act_upon(tmp_path: Path) -> None:
    insertion = replace(INSERTION, provenance={"horizon_from": "\x1b]0;gotcha\x07"}, object_name="\ud800\x1b[2J")
    path = _cache_of(tmp_path, {"a.png": encode_record(Variant("a.png", 0, DIGEST, (insertion,)), "zstd")})
    for command in ("info", "verify"):
        shown = CliRunner().invoke(cli, [command, str(path)])
        assert shown.exit_code == (command == "verify"), shown.output
        assert "\x1b" not in shown.output
        assert "\x07" not in shown.output
        assert "\\x1b[2J" in shown.output


def test_well_formed_caches_stay_readable(tmp_path: Path) -> None:
    with CacheWriter(tmp_path / "a.cache", Manifest.create({}, {}, {})) as writer:
        writer.put(Variant("any", 0, b"own digest", (replace(INSERTION, object_name="anything"),)))
    with Cache.open(tmp_path / "a.cache") as cache:
        got = cache.get("any", 0)
    assert got is not None
    assert torch.equal(got.insertions[0].patch, INSERTION.patch)


def test_verify_names_a_shard_whose_map_is_larger_than_memory_can_be(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 2)
    shard = path / "shards" / "local-0.lmdb"
    data = bytearray(shard.read_bytes())
    for page in (0, 4096):
        struct.pack_into("<Q", data, page + 16 + 16, 2**62)  # the map's size, in both meta pages
    shard.write_bytes(data)
    with Cache.open(path) as cache:
        assert ["cannot be opened" in problem.problem for problem in cache.verify().problems] == [True]
        with pytest.raises(CacheCorruptError, match="cannot be listed"):
            len(cache)
