"""Well-formed records of every form, and records made from them whose hashes fit and whose content does not."""

from __future__ import annotations

import io
import json
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import xxhash
import zstandard
from PIL import Image

from poc_aug.cache import CODECS, encode_record
from poc_aug.items.image_digest import digest_of_sample
from poc_aug.labels.label_digest import label_digest_of_sample
from poc_aug.labels.schema import LabelSchema
from poc_aug.types import Insertion, Part, Rejection, Sample, ShiftedFrame, Variant
from tests.helpers.cache_cases import make_insertion

FRAME_HW = (48, 64)
SHIFTED = "@dusk-2"
"""How the keys of all records end, so that they may hold a shifted frame."""
CLASSES = ("part 0", "part 1", "part 2", "gnu")
SCHEMA = LabelSchema("fuzz", {"road": 0, "sky": 1})
_HEAD = struct.Struct("<4sB16sI")
_HOSTILE = "@@hostile@@"

# As JSON texts: Python could not write half of them.
_VALUES = (
    *("null", "true", "false", "0", "-1", "1", "7", "255", "65536", "2147483648", "4294967296", "9223372036854775808"),
    *(
        "-9223372036854775809",
        "1" + "0" * 400,
        "9" * 5000,
        "0.5",
        "-0.0",
        "1e308",
        "1e999",
        "-1e999",
        "NaN",
        "Infinity",
    ),
    *(
        "-Infinity",
        '""',
        '"a"',
        '"(ignored)"',
        '"part 1"',
        '"gnu"',
        '"\\u0000"',
        '"\\ud800"',
        '"\\u001b[2J\\u001b]0;x\\u0007"',
    ),
    *(
        '"../../etc/passwd"',
        f'"{"a" * 2000}"',
        f'"{"k" * 70_000}"',
        f'"{"0f" * 776}"',
        f'"{"00" * 776}"',
        '"0g"',
        '" 0 f "',
    ),
    *("[]", "{}", "[0]", "[0,0,1,1]", "[0,0,0,0]", "[-1,-1,2,2]", "[0,0,1e3,1]", "[true,false,true,true]", "[[]]"),
    *("[0,0,48,64]", "[0,0,49,64]", "[0,0,65535,65535]", "[0,0,2147483647,2147483647]", '["zstd",0]', '["raw",-1]'),
    *('["webp",2147483647]', '["delta-zstd",4]', '["png",9]', '["bits-zstd",true]', '[["zstd"],1]', "[null,null]"),
    *('{"a":{"b":[1,2,{}]}}', "[" * 40 + "]" * 40, "[" * 900 + "]" * 900, '{"a":' * 5000 + "0" + "}" * 5000),
    *('["no room","gnu",0,""]', '["x"]', "[0,0,0,0]", '[["no room","gnu",9999999999999999999999,""]]', "[[],[],[]]"),
)


@dataclass(frozen=True)
class Template:
    """A well-formed record, taken apart."""

    codec: str
    text: str
    header: dict[str, Any]
    blobs: tuple[bytes, ...]


def frame() -> Sample:
    """The frame that all records are for."""
    rows, columns = torch.arange(FRAME_HW[0])[:, None], torch.arange(FRAME_HW[1])[None]
    image = torch.stack([rows * 5 + columns, rows + columns * 3, rows * columns]).remainder(256).to(torch.uint8)
    return Sample(image, (rows < 16).expand(FRAME_HW).to(torch.uint8).contiguous(), key="frame")


def _insertions(form: int) -> tuple[Insertion, ...]:
    box: dict[str, Any]
    box = ({}, {"alpha": True}, {"shade": True}, {"parts": 2}, {"parts": 3, "alpha": True, "shade": True})[form % 5]
    found = make_insertion(form, **box)
    if form % 7 == 0:
        found = Insertion(
            **{name: getattr(found, name) for name in found.__slots__}
            | {"parts": (*found.parts, Part("(ignored)", ~found.mask))}
        )
    more = (make_insertion(form + 1, (9, 20), 2),) if form % 3 == 0 else ()
    return (found, *more)


@cache
def templates() -> tuple[Template, ...]:
    """Records of every form: all codecs; with and without matte, shade and digests; frames; rejections only; empty."""
    sample = frame()
    digest, label_digest = digest_of_sample(sample), label_digest_of_sample(sample, SCHEMA)
    rejections = (Rejection("no room", "gnu", 0, "no valid area"), Rejection("too small", "gnu", 2, "3 px"))
    made = []
    for form in range(10):
        for codec in CODECS:
            insertions = _insertions(form)
            variant = Variant(
                "frame" + SHIFTED, 0, digest, insertions, rejections[: form % 3], label_digest * (form % 2)
            )
            made.append(_taken_apart(variant, codec))
    for codec in CODECS:
        shifted = ShiftedFrame(sample.image, "dusk", 2, {"seed": 1, "caption": "a street"})
        for some in ((), rejections):
            made.append(_taken_apart(Variant("frame" + SHIFTED, 0, digest, (), some, label_digest, shifted), codec))
    made += [_taken_apart(Variant("frame" + SHIFTED, 0, digest, (), some), "raw") for some in (rejections, ())]
    return tuple(made)


def _taken_apart(variant: Variant, codec: str) -> Template:
    data = encode_record(variant, codec)
    end = _HEAD.size + _HEAD.unpack_from(data)[3]
    header = json.loads(zstandard.decompress(data[_HEAD.size : end]))
    blobs = []
    for _, blob in _fields(header):
        blobs.append(data[end : end + blob[-1]])
        end += blob[-1]
    assert end == len(data)
    return Template(codec, json.dumps(header), header, tuple(blobs))


def _fields(header: dict[str, Any]) -> list[tuple[str, list[Any]]]:
    """The lists that name codec and size of each blob, in the order of the blobs."""
    found: list[tuple[str, list[Any]]] = []
    for item in header["insertions"]:
        found += [("patch", item["patch"]), *(("mask", part) for part in item["parts"])]
        found += [(name, item[name]) for name in ("alpha", "shade") if item[name] is not None]
    if "frame" in header:
        found.append(("frame", header["frame"]["image"]))
    return found


def sealed(text: bytes, blobs: bytes, version: int = 1, nbytes: int | None = None) -> bytes:
    """A record with a hash that fits."""
    packed = zstandard.compress(text, 1)
    body = struct.pack("<I", len(packed) if nbytes is None else nbytes) + packed + blobs
    return b"PAUG" + bytes([version]) + xxhash.xxh3_128_digest(body) + body


def _text(header: Any, hostile: str = "0") -> bytes:
    text = json.dumps(header, sort_keys=True, separators=(",", ":"))
    return text.replace(f'"{_HOSTILE}"', hostile).encode("ascii", "surrogatepass")


def well_formed(rng: random.Random, key: str) -> tuple[dict[str, Any], list[bytes]]:
    """A header of its own, and blobs."""
    template = rng.choice(templates())
    header: dict[str, Any] = json.loads(template.text)
    header["key"] = key
    return header, list(template.blobs)


def sealed_template(number: int, key: str) -> bytes:
    """A well-formed record of insertions, or of rejections alone."""
    sound = [template for template in templates() if "frame" not in template.header]
    template = sound[number % len(sound)]
    return sealed(_text(json.loads(template.text) | {"key": key}), b"".join(template.blobs))


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a JSON value, as its owner and its name or number there."""
    names = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [place for name in names for place in ((value, name), *_places(value[name]))]


def hostile_value(rng: random.Random, header: dict[str, Any], blobs: list[bytes]) -> bytes:
    """Some value of the header becomes another one."""
    owner, name = rng.choice(_places(header))
    owner[name] = _HOSTILE
    return sealed(_text(header, rng.choice(_VALUES)), b"".join(blobs))


def hostile_structure(rng: random.Random, header: dict[str, Any], blobs: list[bytes]) -> bytes:
    """A value is left out, occurs twice, or changes places with another."""
    owner, name = rng.choice(_places(header))
    other, place = rng.choice(_places(header))
    kind = rng.randrange(4)
    if kind == 0:
        del owner[name]
    elif kind == 1 and isinstance(owner, list):
        owner += [owner[name]] * rng.choice((1, 3, 5000))
    elif kind == 2:
        owner[name], other[place] = json.loads(json.dumps(other[place])), json.loads(json.dumps(owner[name]))
    else:
        text = _text(header)
        return sealed(b'{"index":1,' + text[1:], b"".join(blobs))
    return sealed(_text(header), b"".join(blobs))


def hostile_size(rng: random.Random, header: dict[str, Any], blobs: list[bytes]) -> bytes:
    """Boxes, and often the frame too, become huge, and many."""
    side = rng.choice((0, 1, 64, 100, 4000, 16_384, 60_000, 2**31 - 1, 2**32 - 1))
    if rng.random() < 0.7:
        header["digest"] = struct.pack("<II", side, rng.choice((side, 1, 64))).hex() + header["digest"][16:]
    for item in header["insertions"]:
        item["box"][rng.randrange(4)] = side
        item["box"][2 + rng.randrange(2)] = side
    header["insertions"] *= rng.choice((1, 1, 2, 300))
    return sealed(_text(header), b"".join(blobs))


def _reblobbed(header: dict[str, Any], blobs: list[bytes]) -> bytes:
    for (_, field), blob in zip(_fields(header), blobs, strict=False):
        field[-1] = len(blob)
    return sealed(_text(header), b"".join(blobs))


def flipped_blob(rng: random.Random, header: dict[str, Any], blobs: list[bytes]) -> bytes:
    """Bits of a compressed part are flipped."""
    number = rng.randrange(len(blobs))
    broken = bytearray(blobs[number])
    for _ in range(rng.choice((1, 1, 2, 20))):
        broken[
            min(int(rng.expovariate(0.1)), len(broken) - 1) if rng.random() < 0.5 else rng.randrange(len(broken))
        ] ^= 1 << rng.randrange(8)
    blobs[number] = bytes(broken)
    return _reblobbed(header, blobs)


def cut_blob(rng: random.Random, header: dict[str, Any], blobs: list[bytes]) -> bytes:
    """A compressed part is cut, grows, or occurs twice, with or without its new size in the header."""
    number = rng.randrange(len(blobs))
    blob = blobs[number]
    tail = rng.choice((b"", b"\0", blob, rng.randbytes(9)))
    blobs[number] = blob[: rng.randrange(len(blob) + 1)] if rng.random() < 0.5 else blob + tail
    return _reblobbed(header, blobs) if rng.random() < 0.7 else sealed(_text(header), b"".join(blobs))


def spliced_blob(rng: random.Random, header: dict[str, Any], blobs: list[bytes]) -> bytes:
    """A compressed part of another record, under its own or the old codec."""
    other = rng.choice([template for template in templates() if template.blobs])
    source, number = rng.randrange(len(other.blobs)), rng.randrange(len(blobs))
    blobs[number] = other.blobs[source]
    if rng.random() < 0.7:
        _fields(header)[number][1][-2] = _fields(other.header)[source][1][-2]
    return _reblobbed(header, blobs)


@cache
def bombs() -> tuple[bytes, ...]:
    """A few bytes each that expand to much more than any part of a small frame; and streams of odd forms."""
    found = []
    for nbytes in (100_000, 50_000_000, 1_000_000_000):
        with io.BytesIO() as file:
            with zstandard.ZstdCompressor(1).stream_writer(file, size=nbytes, closefd=False) as writer:
                for start in range(0, nbytes, 1 << 20):
                    writer.write(bytes(min(1 << 20, nbytes - start)))
            found.append(file.getvalue())
    unsized = zstandard.ZstdCompressor(1, write_content_size=False)
    found += [unsized.compress(bytes(nbytes)) for nbytes in (187, 561, 10_000_000)]
    found += [zstandard.compress(b""), b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd", zstandard.compress(bytes(561)) * 2]
    for size in ((64, 48), (4000, 4000), (16_383, 200)):
        for options in ({"lossless": True, "method": 0}, {"quality": 1}):
            with io.BytesIO() as file:
                Image.new("RGB", size).save(file, "WEBP", **options)
                found.append(file.getvalue())
    with io.BytesIO() as file:
        several = [Image.new("RGB", (11, 17), colour) for colour in ("red", "green")]
        several[0].save(file, "WEBP", save_all=True, append_images=several[1:])
        found.append(file.getvalue())
    return tuple(found)


def bomb(rng: random.Random, header: dict[str, Any], blobs: list[bytes]) -> bytes:
    """A compressed part that expands to something else, under any codec."""
    number = rng.randrange(len(blobs))
    blobs[number] = rng.choice(bombs())
    if rng.random() < 0.4:
        _fields(header)[number][1][-2] = rng.choice(("zstd", "webp", "webp-lossy", "raw", "delta-zstd", "bits-zstd"))
    if rng.random() < 0.3:
        blobs[number] = struct.pack("<IIII", 0, 0, rng.choice((17, 9, 2**32 - 1)), 11) + blobs[number]
    return _reblobbed(header, blobs)


def header_bomb(rng: random.Random, header: dict[str, Any], blobs: list[bytes]) -> bytes:
    """A header that is no JSON, is huge, or is nested without end."""
    depth = rng.choice((70, 990, 100_000))
    text = rng.choice(
        (
            b"",
            b"\xff\xfe\x00",
            rng.randbytes(40),
            b"[" * depth,
            b"[" * depth + b"]" * depth,
            b'{"a":' * depth + b"1" + b"}" * depth,
            b'"' + b"\\u0041" * depth + b'"',
            b'"' + b'\\"[' * depth,
            _text(header)[: rng.randrange(200)],
            b" " + _text(header) + b" " * depth,
            _text(header) * 2,
            b'{"key":"' + header["key"].encode() + b'","index":0,"insertions":[' + b"{}," * depth + b"{}]}",
        )
    )
    if rng.random() < 0.02:
        packed = bombs()[rng.randrange(len(bombs()))]
        body = struct.pack("<I", len(packed)) + packed
        return b"PAUG\x01" + xxhash.xxh3_128_digest(body) + body
    return sealed(text, b"".join(blobs))


def raw_damage(rng: random.Random, header: dict[str, Any], blobs: list[bytes]) -> bytes:
    """The record's own frame: version, length of the header, a cut, flipped bits with and without a new hash."""
    data = bytearray(sealed(_text(header), b"".join(blobs)))
    kind = rng.randrange(5)
    if kind == 0:
        return sealed(_text(header), b"".join(blobs), version=rng.randrange(256))
    if kind == 1:
        return sealed(_text(header), b"".join(blobs), nbytes=rng.choice((0, 1, 2**31, 2**32 - 1, rng.randrange(3000))))
    if kind == 2:
        return bytes(data[: rng.randrange(len(data))])
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    if kind == 4:
        data[5:21] = xxhash.xxh3_128_digest(bytes(data[21:]))
    return bytes(data)


Mutation = Callable[[random.Random, dict[str, Any], list[bytes]], bytes]

HEADERS: tuple[Mutation, ...] = (hostile_value, hostile_value, hostile_value, hostile_structure, hostile_size)
BLOBS: tuple[Mutation, ...] = (flipped_blob, cut_blob, spliced_blob, bomb)
WHOLE: tuple[Mutation, ...] = (header_bomb, raw_damage)


def mutated(seed: int, number: int, key: str = "frame" + SHIFTED) -> tuple[str, bytes]:
    """Record ``number`` of a seed, and the name of what was done to it; about one in 50 is left as it is."""
    rng = random.Random(f"{seed}/{number}")
    header, blobs = well_formed(rng, key)
    if rng.random() < 0.02:
        return "well-formed", sealed(_text(header), b"".join(blobs))
    mutation = rng.choice((*HEADERS, *WHOLE, *(BLOBS if blobs else ())))
    return mutation.__name__, mutation(rng, header, blobs)
