"""COCO files as people have them: what is usable is used, what is not is counted with its reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poc_aug.backends.paste.bank import ObjectBank
from poc_aug.backends.paste.bank_coco_images import Exif
from poc_aug.errors import ObjectBankError
from tests.helpers.coco_cases import (
    SIZE_WH,
    annotation,
    encode_counts,
    image,
    instances,
    is_red,
    rectangle,
    runs_of,
    write,
)

NAN, INF = float("nan"), float("inf")
WIDTH, HEIGHT = SIZE_WH


def runs() -> list[int]:
    import numpy as np

    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[30:65, 20:70] = True
    return runs_of(mask)


USABLE: dict[str, dict[str, Any]] = {
    "no size": instances(images=[image(width=..., height=...)]),
    "size of VIA": instances(images=[image(width=-1, height=-1)]),
    "size 0": instances(images=[image(width=0, height=0)]),
    "size null": instances(images=[image(width=None, height=None)]),
    "size NaN": instances(images=[image(width=NAN, height=NAN)]),
    "size a text": instances(images=[image(width="130", height="90")]),
    "size a list": instances(images=[image(width=[130], height=[90])]),
    "area a list": instances([annotation(area=[1750])]),
    "area null": instances([annotation(area=None)]),
    "area missing": instances([annotation(area=...)]),
    "area 0": instances([annotation(area=0)]),
    "area negative": instances([annotation(area=-1750)]),
    "area NaN": instances([annotation(area=NAN)]),
    "area of the image": instances([annotation(area=WIDTH * HEIGHT)]),
    "bbox null": instances([annotation(bbox=None)]),
    "bbox missing": instances([annotation(bbox=...)]),
    "bbox empty": instances([annotation(bbox=[])]),
    "bbox zero": instances([annotation(bbox=[0, 0, 0, 0])]),
    "bbox with null": instances([annotation(bbox=[20, 30, None, 35])]),
    "bbox a text": instances([annotation(bbox="20 30 50 35")]),
    "bbox with corners": instances([annotation(bbox=[20, 30, 70, 65])]),
    "bbox rounded": instances([annotation(bbox=[18, 29, 53, 37])]),
    "id of the image a text": instances([annotation(image_id="1")]),
    "id in the images a text": instances(images=[image(id="1")]),
    "id with zeros": instances(images=[image(id="0001")]),
    "id a float": instances([annotation(image_id=1.0)]),
    "id of the category a text": instances([annotation(category_id=" 1 ")]),
    "ids all text": instances([annotation(image_id="a", id="x")], [image(id="a")]),
    "id of the annotation missing": instances([annotation(id=...)]),
    "id of the annotation null": instances([annotation(id=None)]),
    "iscrowd null": instances([annotation(iscrowd=None)]),
    "iscrowd a text": instances([annotation(iscrowd="0")]),
    "iscrowd missing": instances([annotation(iscrowd=...)]),
    "iscrowd false": instances([annotation(iscrowd=False)]),
    "a polygon without list": instances([annotation(segmentation=rectangle(20, 30, 70, 65))]),
    "a polygon of points": instances([annotation(segmentation=[[[20, 30], [70, 30], [70, 65], [20, 65]]])]),
    "numbers as text": instances([annotation(segmentation=[[str(x) for x in rectangle(20, 30, 70, 65)]])]),
    "an empty piece": instances([annotation(segmentation=[[], rectangle(20, 30, 70, 65), []])]),
    "a piece of a point": instances([annotation(segmentation=[rectangle(20, 30, 70, 65), [20, 30]])]),
    "run lengths": instances([annotation(segmentation={"size": [HEIGHT, WIDTH], "counts": runs()})]),
    "run lengths, floats": instances(
        [annotation(segmentation={"size": [90.0, 130.0], "counts": [float(n) for n in runs()]})]
    ),
    "run lengths without size": instances([annotation(segmentation={"counts": runs()})]),
    "run lengths, size null": instances([annotation(segmentation={"size": None, "counts": encode_counts(runs())})]),
    "a category twice": instances(categories=[{"id": 1, "name": "dog"}, {"id": 1, "name": "dog"}]),
    "an image twice": instances(images=[image(), image()]),
    "other rows null": instances(
        [annotation(), None, 7, "x", []], [image(), None, 3], [{"id": 1, "name": "dog"}, None]
    ),
    "other rows empty": instances([annotation(), {}], [image(), {}], [{"id": 1, "name": "dog"}, {}]),
    "other fields null": {**instances(), "info": None, "licenses": None},
    "a keypoint": instances([annotation(keypoints=[1, 2, 2], num_keypoints=1)]),
}


@pytest.mark.parametrize("case", USABLE)
def test_what_is_usable_is_used(tmp_path: Path, case: str) -> None:
    bank = ObjectBank.from_coco(write(tmp_path, USABLE[case]))
    assert bank.classes() == ("dog",)
    assert len(bank) == 1
    cutout = bank.cutout(0)
    assert is_red(cutout.image, cutout.alpha)
    assert abs(cutout.alpha.shape[0] - 34) <= 2
    assert abs(cutout.alpha.shape[1] - 49) <= 2
    json.dumps(bank.describe(), allow_nan=False)
    str(bank.summary()).encode()


UNUSABLE: dict[str, tuple[dict[str, Any], str]] = {
    "odd": (annotation(segmentation=[[20, 30, 70, 30, 70, 65, 20]]), "not pairs of finite numbers"),
    "null": (annotation(segmentation=[[20, 30, 70, None, 70, 65, 20, 65]]), "not pairs of finite numbers"),
    "NaN": (annotation(segmentation=[[20, 30, 70, NAN, 70, 65, 20, 65]]), "not pairs of finite numbers"),
    "infinite": (annotation(segmentation=[[20, 30, INF, 30, -INF, 65, 20, 65]]), "not pairs of finite numbers"),
    "texts": (annotation(segmentation=[["a", "b", "c", "d", "e", "f"]]), "not pairs of finite numbers"),
    "true": (annotation(segmentation=[[True, False] * 4]), "not pairs of finite numbers"),
    "one piece bad": (annotation(segmentation=[rectangle(20, 30, 70, 65), [1, None, 3, 4, 5, 6]]), "finite numbers"),
    "dicts": (annotation(segmentation=[{"x": 1, "y": 2}]), "not pairs of finite numbers"),
    "whole numbers of 400 digits": (annotation(segmentation=[[10**400, 30, 70, 30, 70, 65]]), "finite numbers"),
    "whole numbers of 300 digits": (
        annotation(segmentation=[[10**300, 30, 70, 30, 70, 65]]),
        "extends beyond its image",
    ),
    "huge": (annotation(segmentation=[[1e300, 30, 70, 30, 70, -1e300]]), "extends beyond its image"),
    "far outside": (annotation(segmentation=[rectangle(80, 120, 280, 26000)], bbox=None), "extends beyond its image"),
    "beside the image": (annotation(segmentation=[rectangle(-70, 30, -20, 65)], bbox=None), "extends beyond its image"),
    "empty": (annotation(segmentation=[]), "without an outline"),
    "empty pieces": (annotation(segmentation=[[], []]), "no inside"),
    "nested empty": (annotation(segmentation=[[[]]]), "finite numbers"),
    "missing": (annotation(segmentation=...), "without an outline"),
    "null outline": (annotation(segmentation=None), "without an outline"),
    "a text": (annotation(segmentation="M 20 30"), "without an outline"),
    "one point": (annotation(segmentation=[[20, 30]]), "no inside"),
    "one point thrice": (annotation(segmentation=[[20, 30], [70, 30], [70, 65]]), "no inside"),
    "a line": (annotation(segmentation=[[20, 30, 70, 65, 20, 30]]), "no inside"),
    "runs of another size": (annotation(segmentation={"size": [9, 9], "counts": [40, 41]}), "run lengths"),
    "runs, sides swapped": (annotation(segmentation={"size": [WIDTH, HEIGHT], "counts": runs()}), "run lengths"),
    "runs too few": (annotation(segmentation={"counts": [40, 41]}), "run lengths"),
    "runs huge": (annotation(segmentation={"size": [HEIGHT, WIDTH], "counts": [10**30, 1]}), "run lengths"),
    "runs negative": (annotation(segmentation={"counts": [-5, WIDTH * HEIGHT + 5]}), "run lengths"),
    "runs without counts": (annotation(segmentation={"size": [HEIGHT, WIDTH]}), "run lengths"),
    "runs null": (annotation(segmentation={"size": [HEIGHT, WIDTH], "counts": None}), "run lengths"),
    "runs with null": (annotation(segmentation={"size": [HEIGHT, WIDTH], "counts": [5, None]}), "run lengths"),
    "runs no string": (annotation(segmentation={"size": [HEIGHT, WIDTH], "counts": "ß€"}), "run lengths"),
    "runs endless": (annotation(segmentation={"size": [HEIGHT, WIDTH], "counts": "o" * 99999}), "run lengths"),
    "runs of nothing": (annotation(segmentation={"counts": [WIDTH * HEIGHT]}), "no inside"),
    "bbox of something else": (annotation(bbox=[80, 10, 30, 20]), "bbox contradicts"),
    "bbox of another scale": (annotation(bbox=[10, 15, 25, 17]), "bbox contradicts"),
    "no such image": (annotation(image_id=7), "of an image that the file does not list"),
    "image id null": (annotation(image_id=None), "without an image id"),
    "image id a list": (annotation(image_id=[1]), "without an image id"),
    "image id NaN": (annotation(image_id=NAN), "without an image id"),
    "no such category": (annotation(category_id=7), "of a category that the file does not list"),
    "category id missing": (annotation(category_id=...), "without a category id"),
    "a crowd": (annotation(iscrowd="1"), "crowds"),
    "no annotation": ({}, "without a category id"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_what_is_not_usable_is_counted_with_its_reason(tmp_path: Path, case: str) -> None:
    row, reason = UNUSABLE[case]
    row = {**row, "id": 2} if row else row
    bank = ObjectBank.from_coco(write(tmp_path, instances([annotation(), row])))
    assert [source.name for source in bank._sources] == ["one.png#1"]
    (told,) = bank.dropped
    assert reason in told
    assert bank.dropped[told] == 1
    assert reason in bank.summary()
    with pytest.raises(ObjectBankError, match=reason):
        ObjectBank.from_coco(write(tmp_path, instances([row])))


def test_outlines_of_a_larger_picture_discredit_the_others_of_their_image(tmp_path: Path) -> None:
    """A resized export that left its outlines as they were: some happen to fit into the smaller image."""
    rows = [annotation(id=1), annotation(id=2, segmentation=[rectangle(80, 50, 200, 95)], bbox=None)]
    rows += [annotation(id=3, image_id=2)]
    path = write(tmp_path, instances(rows, [image(), image(id=2, file_name="two.png")]))
    write(tmp_path, instances(rows, [image(), image(id=2, file_name="two.png")]), name="two.png")
    bank = ObjectBank.from_coco(path)
    assert [bank.name(i) for i in range(len(bank))] == ["two.png#3"]
    assert bank.dropped == {
        "whose outline is of a larger picture than its image": 1,
        "whose image has other outlines of a larger picture": 1,
    }


@pytest.mark.parametrize("name", ["", "  ", None, ..., [], {}, True])
def test_a_category_without_a_name(tmp_path: Path, name: Any) -> None:
    unnamed = {"id": 2, "name": name} if name is not ... else {"id": 2}
    data = instances([annotation(), annotation(id=2, category_id=2)], categories=[{"id": 1, "name": "dog"}, unnamed])
    bank = ObjectBank.from_coco(write(tmp_path, data))
    assert bank.classes() == ("dog",)
    assert bank.dropped == {"of a category without a name": 1}


def test_ids_that_are_given_twice(tmp_path: Path) -> None:
    two = [{"id": 1, "name": "dog"}, {"id": 1, "name": "cat"}, {"id": 2, "name": "cow"}]
    rows = [annotation(), annotation(id=2, category_id=2)]
    bank = ObjectBank.from_coco(write(tmp_path, instances(rows, categories=two)))
    assert (bank.classes(), bank.dropped) == (("cow",), {"whose category id is given to different rows": 1})
    images = [image(), image(file_name="two.png"), image(id=2)]
    rows = [annotation(), annotation(id=2, image_id=2)]
    bank = ObjectBank.from_coco(write(tmp_path, instances(rows, images)))
    assert (len(bank), bank.dropped) == (1, {"whose image id is given to different rows": 1})
    # By value only where that is unambiguous: "1" is 1 or "01".
    images = [image(id=1), image(id="01", file_name="two.png"), image(id=2)]
    rows = [annotation(image_id="1"), annotation(id=2, image_id=2)]
    bank = ObjectBank.from_coco(write(tmp_path, instances(rows, images)))
    assert (len(bank), bank.dropped) == (1, {"whose image id fits several rows": 1})


def test_annotations_that_are_given_twice(tmp_path: Path) -> None:
    other = annotation(segmentation=[rectangle(20, 30, 70, 64)], bbox=None)
    bank = ObjectBank.from_coco(write(tmp_path, instances([annotation(), annotation(), other])))
    assert [source.name for source in bank._sources] == ["one.png#1", "one.png#1@2"]
    assert bank.dropped == {"given twice": 1}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    data = instances(categories=[{"id": 1, "name": "Küken"}])
    path = write(tmp_path, data)
    path.write_bytes(json.dumps(data, ensure_ascii=False).encode(encoding))
    assert ObjectBank.from_coco(path).classes() == ("Küken",)


ANOTHER: dict[str, tuple[Any, str]] = {
    "results": ([{"image_id": 1, "category_id": 1, "score": 0.5, "segmentation": {}}], "bare list of results"),
    "a list": ([1, 2], "a bare list"),
    "a number": (3, "a single int"),
    "null": (None, "a single NoneType"),
    "panoptic": (
        instances([{"image_id": 1, "file_name": "one.png", "segments_info": [{"id": 3, "category_id": 1}]}]),
        "panoptic",
    ),
    "captions": (
        {"images": [image()], "annotations": [{"id": 1, "image_id": 1, "caption": "a dog"}]},
        "its annotations are captions",
    ),
    "keypoints": (instances([annotation(segmentation=..., keypoints=[1, 2, 2])]), "keypoints without outlines"),
    "LabelMe": ({"shapes": [], "imagePath": "one.png", "imageData": None}, "LabelMe"),
    "VIA": ({"_via_settings": {}, "_via_img_metadata": {}}, "VGG Image Annotator"),
    "VIA, regions": ({"one.png9": {"filename": "one.png", "regions": []}}, "VGG Image Annotator"),
    "no categories": ({"images": [image()], "annotations": [annotation()]}, "no list of categories"),
    "categories null": ({**instances(), "categories": None}, "no list of categories"),
    "no annotations": ({"images": [image()], "categories": []}, "without annotations"),
    "empty": ({}, "it holds: nothing"),
    "something else": ({"type": "FeatureCollection", "features": []}, "it holds: type, features"),
}


@pytest.mark.parametrize("case", ANOTHER)
def test_other_formats_are_named(tmp_path: Path, case: str) -> None:
    data, told = ANOTHER[case]
    with pytest.raises(ObjectBankError, match=r"instances\.json' is not a COCO instances file: ") as caught:
        ObjectBank.from_coco(write(tmp_path, data))
    assert told in str(caught.value)


@pytest.mark.parametrize("raw", [b"", b"{", b"[" * 100_000, b"\xff\xfe\x00", b"\x1f\x8b\x08 gzip", b"1" * 9999])
def test_no_json(tmp_path: Path, raw: bytes) -> None:
    path = write(tmp_path, {})
    path.write_bytes(raw)
    with pytest.raises(ObjectBankError, match=r"instances\.json' is not JSON"):
        ObjectBank.from_coco(path)


# ---------------------------------------------------------------- anything at all

STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 200),
    st.sampled_from([10**20, -(10**40), 1e308, -1e308, NAN, INF, -INF, "", "1", "x", "\udce9", "\ud800", "a\0b", "/"]),
    st.floats(),
    st.text(max_size=6),
    st.lists(
        st.one_of(st.none(), st.floats(), st.integers(-5, 200), st.lists(st.integers(0, 99), max_size=8)), max_size=8
    ),
    st.dictionaries(st.sampled_from(["size", "counts", "id", "name", "x"]), st.integers(-2, 200), max_size=3),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All places in a JSON value."""
    found = [path] if path else []
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in entries:
        found += places(each, (*path, name))
    return found


def change(data: Any, path: tuple[Any, ...], value: Any) -> None:
    for step in path[:-1]:
        data = data[step]
    if value is ...:
        del data[path[-1]]
    else:
        data[path[-1]] = value


def test_text_that_cannot_be_encoded_can_be_printed(tmp_path: Path) -> None:
    lone = {"size": "\udce9", "counts": encode_counts(runs())}
    bank = ObjectBank.from_coco(
        write(tmp_path, instances([annotation(), annotation(id=2, segmentation=lone)])), min_area_px=0, min_size_px=0
    )
    assert "\\udce9" in bank.summary()
    bank.summary().encode()
    with pytest.raises(ObjectBankError, match="not a COCO instances file") as caught:
        ObjectBank.from_coco(write(tmp_path, {"\udce9": []}))
    str(caught.value).encode()


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_file_gives_a_bank_or_an_error_that_is_ours(tmp_path: Path, data: st.DataObject) -> None:
    file = instances(
        [
            annotation(),
            annotation(id=2, segmentation={"size": [HEIGHT, WIDTH], "counts": encode_counts(runs())}),
            annotation(id=3, segmentation={"size": [HEIGHT, WIDTH], "counts": runs()}),
        ],
        [image(), image(id=2, file_name="two.png", coco_url="http://x/two.png")],
        [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
    )
    for _ in range(data.draw(st.integers(1, 4))):
        path = data.draw(st.sampled_from(places(file) or [("images",)]))
        gone = path[-1] in file or len(path) > 1  # else the last place was taken away before
        change(file, path, data.draw(st.one_of(st.just(...), STRANGE) if gone else STRANGE))
    exifs: list[Exif] = ["auto", "apply", "ignore"]
    exif = data.draw(st.sampled_from(exifs))
    try:
        bank = ObjectBank.from_coco(write(tmp_path, file), min_area_px=0, min_size_px=0, exif=exif)
    except ObjectBankError as error:
        str(error).encode()  # it can be printed
        return
    for text in (bank.summary(), repr(bank)):
        text.encode()
    json.dumps(bank.describe(), allow_nan=False)
    for i in range(len(bank)):
        try:
            cutout = bank.cutout(i)
        except ObjectBankError as error:
            str(error).encode()
            continue
        cutout.source.encode()
        assert cutout.alpha.shape == cutout.image.shape[1:]


def test_the_mask_of_a_small_object_may_be_a_little_larger_than_its_box(tmp_path: Path) -> None:
    """As masks are that tools draw from polygons: grown to whole pixels on each side."""
    row = annotation(segmentation=[rectangle(20, 30, 30, 36)], bbox=[21.3, 31.2, 7.4, 3.7], area=...)
    path = write(tmp_path, instances([row]))
    assert len(ObjectBank.from_coco(path, min_area_px=0, min_size_px=0)) == 1
    other = annotation(segmentation=[rectangle(20, 30, 30, 36)], bbox=[26, 31.2, 7.4, 3.7], area=...)
    with pytest.raises(ObjectBankError, match="contradicts"):
        ObjectBank.from_coco(write(tmp_path, instances([other])), min_area_px=0, min_size_px=0)
