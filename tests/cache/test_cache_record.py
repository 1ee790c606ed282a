from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from poc_aug.cache import codec as codecs
from poc_aug.cache.codec import Codec
from poc_aug.cache.record import decode_record, encode_record, record_name, same_variant
from poc_aug.cache.record_header import RecordError
from poc_aug.cache.record_keys import decode_key, encode_key
from poc_aug.errors import CacheError
from poc_aug.types import Insertion, Rejection, Variant
from tests.helpers.cache_cases import make_insertion, make_variant

LOSSLESS = ["delta-zstd", "webp", "zstd", "raw"]


def variant_of(*insertions: Insertion, **changes: Any) -> Variant:
    return replace(Variant("a/b.png", 2, b"\x00\xff", insertions), **changes)


@given(
    codec=st.sampled_from(LOSSLESS),
    size_hw=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    parts=st.integers(0, 3),
    alpha=st.booleans(),
    shade=st.booleans(),
    count=st.integers(0, 3),
    key=st.text(max_size=60),
)
def test_round_trip(
    codec: Codec, size_hw: tuple[int, int], parts: int, alpha: bool, shade: bool, count: int, key: str
) -> None:
    insertions = tuple(make_insertion(i, size_hw, parts, alpha, shade) for i in range(count))
    rejections = (Rejection("no room", "gnu", 3, "0 px"), Rejection("black"))
    variant = Variant(key, 5, b"digest", insertions, rejections)
    data = encode_record(variant, codec)
    again = decode_record(data, key, 5)
    assert same_variant(variant, again)
    assert again.rejections == rejections
    assert record_name(data) == (key, 5)
    assert encode_record(again, codec) == data


@pytest.mark.parametrize("codec", [*LOSSLESS, "webp-lossy"])
def test_decoded_tensors_are_contiguous_and_writable(codec: Codec) -> None:
    insertion = make_insertion(1, (17, 11), parts=2, alpha=True, shade=True)
    got = decode_record(encode_record(variant_of(insertion), codec), "a/b.png", 2).insertions[0]
    assert (got.patch.dtype, got.patch.shape) == (torch.uint8, (3, 17, 11))
    assert got.alpha is not None
    assert got.shade is not None
    for tensor in (got.patch, got.alpha, got.shade, *(part.mask for part in got.parts)):
        assert tensor.is_contiguous()
        tensor[...] = 1
        assert bool((tensor == 1).all())


@pytest.mark.parametrize("size_hw", [(17, 11), (1, 1), (64, 48)])
def test_lossy_keeps_zero_pixels_masks_and_maps_exact(size_hw: tuple[int, int]) -> None:
    insertion = make_insertion(1, size_hw, parts=2, alpha=True, shade=True)
    # A smooth object: on noise any lossy codec is far off.
    ramp = torch.arange(1, size_hw[0] + 1).clamp(max=255).to(torch.uint8)[None, :, None]
    insertion = replace(insertion, patch=ramp.expand(3, *size_hw) * (insertion.patch > 0))
    got = decode_record(encode_record(variant_of(insertion), "webp-lossy"), "a/b.png", 2).insertions[0]
    assert not got.patch[:, (insertion.patch == 0).all(0)].any()
    assert (got.patch.int() - insertion.patch.int()).abs().max() <= 12
    assert same_variant(variant_of(insertion), variant_of(replace(got, patch=insertion.patch)))


def test_lossy_patch_without_any_zero_and_of_zeros_only() -> None:
    for value in (0, 77):
        patch = torch.full((3, 17, 11), value, dtype=torch.uint8)
        name, data = codecs.encode_patch(patch, "webp-lossy")
        assert (codecs.decode_patch(name, data, (17, 11)).int() - value).abs().max() <= 2


def test_patch_beyond_the_limits_of_webp_is_stored_as_zstd() -> None:
    patch = torch.ones(3, 1, 16384, dtype=torch.uint8)
    name, data = codecs.encode_patch(patch, "webp")
    assert name == "zstd"
    assert torch.equal(codecs.decode_patch(name, data, (1, 16384)), patch)


def test_maps_take_the_smaller_filter() -> None:
    ramp = torch.arange(200, dtype=torch.uint8)[None].expand(50, 200).contiguous()
    flat = torch.zeros(50, 200, dtype=torch.uint8)
    assert codecs.encode_map(ramp + torch.arange(50, dtype=torch.uint8)[:, None])[0] == "delta-zstd"
    assert codecs.encode_map(flat)[0] == "zstd"


def test_input_on_strides_is_fine_and_untouched() -> None:
    insertion = make_insertion(3, (11, 17), alpha=True, shade=True)
    assert insertion.alpha is not None
    strided = replace(insertion, patch=insertion.patch.permute(1, 2, 0).contiguous().permute(2, 0, 1))
    strided = replace(strided, alpha=insertion.alpha.t().contiguous().t())
    assert encode_record(variant_of(strided), "webp") == encode_record(variant_of(insertion), "webp")
    before = insertion.patch.clone()
    decode_record(encode_record(variant_of(insertion), "raw"), "a/b.png", 2).insertions[0].patch.zero_()
    assert torch.equal(insertion.patch, before)


def test_every_flipped_byte_is_found() -> None:
    data = encode_record(variant_of(make_insertion(1, (5, 3))), "webp")
    for i in range(len(data)):
        broken = bytearray(data)
        broken[i] ^= 0x10
        with pytest.raises(RecordError):
            decode_record(bytes(broken), "a/b.png", 2)


@pytest.mark.parametrize("nbytes", [0, 3, 24, 25, 60])
def test_cut_record(nbytes: int) -> None:
    with pytest.raises(RecordError):
        decode_record(encode_record(variant_of(make_insertion(1)), "webp")[:nbytes], "a/b.png", 2)


@pytest.mark.parametrize(("key", "index"), [("a/b.jpg", 2), ("a/b.png", 1)])
def test_record_of_another_name(key: str, index: int) -> None:
    with pytest.raises(RecordError, match=r"variant 2 of 'a/b\.png'"):
        decode_record(encode_record(variant_of(), "webp"), key, index)


def _signed(version: int, body: bytes) -> bytes:
    return b"PAUG" + bytes([version]) + xxhash.xxh3_128_digest(body) + body


def test_record_of_another_version_and_with_a_strange_header() -> None:
    data = encode_record(variant_of(make_insertion(1)), "webp")
    with pytest.raises(RecordError, match="record version 9, this poc_aug reads version 1"):
        decode_record(_signed(9, data[21:]), "a/b.png", 2)
    with pytest.raises(RecordError, match="header cannot be decoded"):
        decode_record(_signed(1, b"\x04\x00\x00\x00abcd"), "a/b.png", 2)
    import zstandard

    for text, problem in ((b"[]", "no key"), (b'{"key":"k","index":0}', "cannot be decoded: 'digest'")):
        packed = zstandard.compress(text)
        with pytest.raises(RecordError, match=problem):
            decode_record(_signed(1, len(packed).to_bytes(4, "little") + packed), "k", 0)


@pytest.mark.parametrize(
    ("decode", "blob", "size_hw"),
    [
        (codecs.decode_patch, ("jpeg-xl", b""), (2, 2)),
        (codecs.decode_patch, ("raw", b"123"), (2, 2)),
        (codecs.decode_patch, codecs.encode_patch(torch.zeros(3, 2, 3, dtype=torch.uint8), "webp"), (2, 2)),
        (codecs.decode_mask, ("bits", b""), (2, 2)),
        (codecs.decode_mask, codecs.encode_mask(torch.zeros(3, 3, dtype=torch.bool)), (2, 2)),
        (codecs.decode_map, ("bits", b""), (2, 2)),
        (codecs.decode_map, codecs.encode_map(torch.zeros(3, 3, dtype=torch.uint8)), (2, 2)),
    ],
)
def test_blobs_that_do_not_fit(
    decode: Callable[..., torch.Tensor], blob: tuple[str, bytes], size_hw: tuple[int, int]
) -> None:
    with pytest.raises(ValueError, match=r"codec|bytes|pixels|reshape"):
        decode(*blob, size_hw)


def test_unknown_codec() -> None:
    with pytest.raises(ValueError, match="known: delta-zstd, webp, webp-lossy, zstd, raw"):
        codecs.encode_patch(torch.zeros(3, 2, 2, dtype=torch.uint8), "png")


def _wrong_part(insertion: Insertion) -> Insertion:
    return replace(insertion, parts=(replace(insertion.parts[0], mask=insertion.parts[0].mask.to(torch.uint8)),))


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("patch", lambda i: replace(i, patch=i.patch.float())),
        ("patch", lambda i: replace(i, patch=i.patch[:, :-1])),
        ("patch", lambda i: replace(i, box_yxhw=(0, 0, 0, 11), patch=i.patch[:, :0])),
        ("mask 'part 0'", _wrong_part),
        ("alpha", lambda i: replace(i, alpha=i.alpha[:-1])),
        ("shade", lambda i: replace(i, shade=i.shade.bool())),
    ],
)
def test_tensors_that_do_not_fit_the_box(what: str, change: Callable[[Insertion], Insertion]) -> None:
    insertion = change(make_insertion(4, alpha=True, shade=True))
    with pytest.raises(CacheError, match=rf"{what} of 'gnu' in variant 2 of 'a/b\.png' is torch"):
        encode_record(variant_of(insertion), "webp")


@pytest.mark.parametrize("value", [float("nan"), object(), b"bytes"])
def test_provenance_that_is_not_json(value: Any) -> None:
    insertion = replace(make_insertion(1), provenance={"x": value})
    with pytest.raises(CacheError, match="not JSON"):
        encode_record(variant_of(insertion), "webp")


def test_same_variant_sees_every_difference() -> None:
    base = make_insertion(1, alpha=True)
    assert base.alpha is not None
    others = [
        replace(base, box_yxhw=(9, 9, 17, 11)),
        replace(base, patch=base.patch ^ 1),
        replace(base, alpha=None),
        replace(base, alpha=base.alpha ^ 1),
        replace(base, shade=base.alpha),
        replace(base, parts=()),
        replace(base, parts=(replace(base.parts[0], score=0.5),)),
        replace(base, object_name="x"),
        replace(base, max_sigma_px=1.0),
        replace(base, provenance={}),
    ]
    assert same_variant(variant_of(base), variant_of(replace(base, patch=base.patch.clone())))
    for other in others:
        assert not same_variant(variant_of(base), variant_of(other))
    plain = variant_of(base)
    changes: list[dict[str, Any]]
    changes = [{"key": "x"}, {"index": 0}, {"digest": b""}, {"insertions": ()}, {"rejections": (Rejection("black"),)}]
    assert not any(same_variant(plain, replace(plain, **change)) for change in changes)


KEYS = ["", "a", "a\0b", "straße/日本.png", "k" * 500, "k" * 501, "ü" * 251, "\udc80 from os.fsdecode", "é", "e\u0301"]


@pytest.mark.parametrize(("key", "index"), list(product(KEYS, [0, 1, 255, 256, 2**32 - 1])))
def test_names_of_records(key: str, index: int) -> None:
    name = encode_key(key, index)
    assert len(name) <= 511
    decoded, number = decode_key(name)
    assert number == index
    assert decoded == key or (decoded is None and len(key.encode("utf-8", "surrogatepass")) > 500)


@given(st.lists(st.tuples(st.text(), st.integers(0, 2**32 - 1)), unique=True, min_size=2))
def test_names_are_unique(items: list[tuple[str, int]]) -> None:
    assert len({encode_key(*item) for item in items}) == len(items)


@pytest.mark.parametrize("index", [-1, 2**32])
def test_index_out_of_range(index: int) -> None:
    with pytest.raises(CacheError, match="variant index"):
        encode_key("a", index)


@pytest.mark.parametrize("name", [b"", b"t", b"t123", b"x12345"])
def test_names_that_are_none(name: bytes) -> None:
    with pytest.raises(ValueError, match="not a record's name"):
        decode_key(name)


def test_every_kind_of_case_is_made() -> None:
    variants = [make_variant(i) for i in range(20)]
    assert {len(v.insertions) for v in variants} == {0, 1, 2}
    assert any(v.rejections for v in variants)
