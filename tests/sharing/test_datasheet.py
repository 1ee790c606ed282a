"""The datasheet: its front matter, its figures, and what it shows."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import DatasetCard
from markdown_it import MarkdownIt
from PIL import Image

from poc_aug.cache import Cache, CacheWriter, Manifest
from poc_aug.cache.journal_entry import JournalEntry
from poc_aug.cache.journal_files import JOURNAL
from poc_aug.cache.members import member_paths
from poc_aug.cache.selection import Selection
from poc_aug.errors import CacheMissError
from poc_aug.generation.warming import warm_cache
from poc_aug.scene_dataset import SceneShiftDataset
from poc_aug.sharing.datasheet import DatasheetFacts, datasheet
from poc_aug.sharing.datasheet_counts import RecipeCounts
from poc_aug.sharing.licences import licence_of_object, licence_terms, model_licences
from poc_aug.sharing.pack_pictures import PictureDraw, object_picture
from poc_aug.sharing.pack_unpacking import unpack_cache
from poc_aug.sharing.packing import FramesToShow, pack_cache
from poc_aug.types import Insertion, Part
from tests.helpers.cache_cases import RECORDS, Records, make_insertion, make_variant
from tests.helpers.fakes import Frames
from tests.helpers.kinds import insertion_pipeline, shift_pipeline
from tests.helpers.pack_cases import manifest_of, recipe_of, records_of, telling_cache


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    pack_cache(telling_cache(folder / "street.cache", count=30), folder / "packed", licence="cc-by-nc-4.0")
    return folder / "packed"


def tables(sheet: str) -> list[list[list[str]]]:
    """The tables of a page as a Markdown parser reads them: rows of cells."""
    found: list[list[list[str]]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(sheet.split("---\n", 2)[2]):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and found and token.level > 3:
            found[-1][-1].append("".join(part.content for part in token.children or ()))
    return found


def table(sheet: str, first: str) -> list[list[str]]:
    """The rows of the table whose header begins with a word."""
    return next(rows[1:] for rows in tables(sheet) if rows[0] and rows[0][0] == first)


def test_the_front_matter_is_that_of_a_dataset_card(packed: Path) -> None:
    text = (packed / "README.md").read_text(encoding="utf-8")
    head = DatasetCard(text).data.to_dict()
    assert head["license"] == "cc-by-nc-4.0"
    assert head["task_categories"] == ["image-segmentation"]
    assert head["size_categories"] == ["n<1K"]
    assert head["pretty_name"] == "street"
    assert "poc_aug" in head["tags"]
    assert yaml.safe_load(text.split("---\n")[1]) == head
    assert head["viewer"] is False
    assert "license_name" not in head


def test_without_a_licence_none_is_claimed(tmp_path: Path) -> None:
    cache = RECORDS[0].cache(tmp_path / "a.cache")
    pack_cache(cache, tmp_path / "packed")
    head = DatasetCard((tmp_path / "packed" / "README.md").read_text(encoding="utf-8")).data.to_dict()
    assert head["license"] == "other"
    assert head["license_name"] == "see-licences"


def test_figures_are_those_of_the_records(packed: Path) -> None:
    sheet = (packed / "README.md").read_text(encoding="utf-8")
    variants = [variant for path in member_paths(packed) for variant in records_of(path).values()]
    insertions = [one for variant in variants for one in variant.insertions]
    rejections = Counter(r.reason for variant in variants for r in variant.rejections)
    assert len(insertions) > 20
    assert sum(rejections.values()) > 5
    for path, row in zip(member_paths(packed), table(sheet, "recipe"), strict=True):
        own = list(records_of(path).values())
        accepted, rejected = sum(len(v.insertions) for v in own), sum(len(v.rejections) for v in own)
        counted = [len({v.key for v in own}), len(own), accepted, sum(v.is_empty for v in own)]
        assert row == [
            Manifest.read(path).fingerprint[:12],
            *map(str, counted),
            f"{rejected / (accepted + rejected):.1%}",
        ]
    assert table(sheet, "object") == [["gnu", str(len(insertions)), str(sum(rejections.values()))]]
    classes = Counter(part.name for one in insertions for part in one.parts)
    assert {name: int(count) for name, count in table(sheet, "class")} == classes
    total = len(insertions) + sum(rejections.values())
    expected = [[reason, str(count), f"{count / total:.1%}"] for reason, count in rejections.most_common()]
    assert table(sheet, "reason") == expected
    licences = Counter(str(one.provenance.get("licence", "unknown")) for one in insertions)
    assert {row[0]: int(row[1]) for row in table(sheet, "licence of objects")} == licences
    assert f"**Non-commercial**: {licences['CC-BY-NC-2.0']} of {len(insertions)} insertions" in sheet
    assert f"{len(variants)} variants of {len({variant.key for variant in variants})} samples" in sheet
    facts = json.loads((packed / "pack.json").read_text())["recipes"]
    assert sum(sum(one["objects"].values()) for one in facts) == len(insertions)


def test_files_are_listed_with_their_hashes(packed: Path) -> None:
    rows = table((packed / "README.md").read_text(encoding="utf-8"), "file")
    listed = {name: (int(nbytes), digest) for name, nbytes, digest in rows}
    there = {str(path.relative_to(packed)): path for path in packed.rglob("*") if path.is_file()}
    assert listed.keys() == there.keys() - {"README.md", "SHA256SUMS"}
    for name, (nbytes, digest) in listed.items():
        data = there[name].read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (nbytes, digest)
    sums = dict(line.split("  ")[::-1] for line in (packed / "SHA256SUMS").read_text().splitlines())
    assert sums.keys() == there.keys() - {"SHA256SUMS"}


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.name)
def test_its_code_reads_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Records) -> None:
    cache = kind.cache(tmp_path / "street.cache")
    pack_cache(cache, tmp_path / "street.tar")
    pack_cache(cache, tmp_path / "packed")
    place = tmp_path / "elsewhere"
    place.mkdir()
    unpack_cache(tmp_path / "street.tar", place / "street.cache")
    monkeypatch.chdir(place)
    sheet = (place / "street.cache" / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", sheet, re.DOTALL)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    assert len(printed.getvalue().splitlines()) == 7


def test_a_cache_of_frames(tmp_path: Path) -> None:
    cache = RECORDS[1].cache(tmp_path / "a.cache", count=12)
    pack_cache(cache, tmp_path / "packed")
    sheet = (tmp_path / "packed" / "README.md").read_text(encoding="utf-8")
    frames = sum(variant.frame is not None for variant in records_of(cache).values())
    assert table(sheet, "domain") == [["dusk", "2", str(frames), "not checked"]]
    assert "base dataset's frames and show what these show" in sheet
    assert "SceneShiftDataset(base, 'dusk', 'a.cache', severity=2)" in sheet
    assert not (tmp_path / "packed" / "pictures").exists()  # they would show the base's frames


def test_benchmarks_that_forbid_such_data_are_named(packed: Path) -> None:
    rows = table((packed / "README.md").read_text(encoding="utf-8"), "benchmark")
    assert rows[0][0] == "BRAVO 2024"
    assert "forbids generative augmentation" in rows[0][1]
    assert all(name.endswith("†") for name, _ in rows[1:-1])


def test_names_of_a_stranger_stay_text(tmp_path: Path) -> None:
    name = "cow|<script>alert(1)</script>\n# [x](http://example.org) `a`"
    recipe = recipe_of(objects=[{"name": name, "prompts": ["a"], "parts": ["part 0"]}])
    header = {
        "key": "a.png",
        "index": 0,
        "insertions": [{"name": name, "parts": [["a|b", 1.0]], "provenance": {"licence": "<b>|x"}}],
        "rejections": [],
    }
    counts = RecipeCounts(manifest_of(recipe), made_with="f")
    counts.add(header)
    sheet = datasheet(DatasheetFacts("street", [counts], sizes={}, sums={}))
    assert "<script>" not in MarkdownIt("commonmark").enable("table").render(sheet.split("---\n", 2)[2])
    (row,) = table(sheet, "object")
    assert len(row) == 3
    assert row[0].startswith("cow|<script>")
    assert table(sheet, "licence of objects")[0][0] == "<b>|x"


def test_what_the_journal_drops_is_left_out_and_counted(tmp_path: Path) -> None:
    cache = tmp_path / "a.cache"
    with CacheWriter(cache, manifest_of(recipe_of())) as writer:
        for number in range(4):
            one, two = make_insertion(number), make_insertion(number + 9)
            writer.put(replace(make_variant(number), insertions=(one, replace(two, object_name="gnu"))))
    drop = JournalEntry("drop", Selection(key="street/0000", insertion=1), time_ms=0, by="ada.secretive")
    (cache / JOURNAL).mkdir()
    (cache / JOURNAL / "a.jsonl").write_bytes(drop.line() + b"\n")
    read = records_of(cache)
    assert sorted(len(variant.insertions) for variant in read.values()) == [1, 1, 1, 2]
    report = pack_cache(cache, tmp_path / "packed")
    after = records_of(tmp_path / "packed")
    assert report.insertions == 5
    for item, variant in read.items():
        assert [one.box_yxhw for one in after[item].insertions] == [one.box_yxhw for one in variant.insertions]
        pairs = zip(after[item].insertions, variant.insertions, strict=True)
        assert all(torch.equal(first.patch, second.patch) for first, second in pairs)
        assert [r.reason for r in after[item].rejections] == [r.reason for r in variant.rejections]
    assert "ada.secretive" not in repr(after)
    with Cache.open(tmp_path / "packed") as opened:
        assert opened.verify().ok
        assert not opened.journal
    rows = dict(row[:2] for row in table((tmp_path / "packed" / "README.md").read_text(encoding="utf-8"), "reason"))
    assert rows["dropped"] == "3"


def test_objects_that_were_always_rejected_are_counted() -> None:
    header = {
        "key": "a.png",
        "index": 0,
        "insertions": [],
        "rejections": [["no room", "yak", 0, ""], ["black", "yak", 1, ""]],
    }
    counts = RecipeCounts(manifest_of(recipe_of()), made_with="f")
    counts.add(header)
    sheet = datasheet(DatasheetFacts("street", [counts], sizes={}, sums={}))
    assert table(sheet, "object") == [["yak", "0", "2"]]
    assert table(sheet, "recipe")[0][-1] == "100.0%"


def test_frames_of_a_shift_are_shown_if_they_are_asked_for(tmp_path: Path) -> None:
    cache = tmp_path / "a.cache"
    warm_cache(SceneShiftDataset(Frames(2), shift_pipeline(reject=0.0)), cache, workers=0)
    pack_cache(cache, tmp_path / "packed", frames=FramesToShow(Frames(2)))
    assert [path.name for path in (tmp_path / "packed" / "pictures").iterdir()] == ["frames-0.png"]


def test_recipes_that_were_dropped_are_left_out(tmp_path: Path) -> None:
    cache = telling_cache(tmp_path / "a.cache", count=3, writers=1)
    top, member = member_paths(cache)
    for number, path in enumerate((top, member)):
        drop = JournalEntry("drop", Selection(recipe=Manifest.read(path).fingerprint), time_ms=0)
        (path / JOURNAL).mkdir()
        (path / JOURNAL / "a.jsonl").write_bytes(drop.line() + b"\n")
        if number == 0:
            report = pack_cache(cache, tmp_path / "packed")
            assert (report.recipes, report.records) == (1, 3)
            assert Manifest.read(tmp_path / "packed").fingerprint == Manifest.read(member).fingerprint
    with pytest.raises(CacheMissError, match="every recipe"):
        pack_cache(cache, tmp_path / "nothing")


def test_a_dropped_frame_is_left_out(tmp_path: Path) -> None:
    cache = RECORDS[1].cache(tmp_path / "a.cache", count=4)
    drop = JournalEntry("drop", Selection(class_name="dusk"), time_ms=0)
    (cache / JOURNAL).mkdir()
    (cache / JOURNAL / "a.jsonl").write_bytes(drop.line() + b"\n")
    report = pack_cache(cache, tmp_path / "packed")
    assert report.records == 4
    assert report.insertions == 0
    assert all(variant.frame is None for variant in records_of(tmp_path / "packed").values())
    with Cache.open(tmp_path / "packed") as opened:
        assert opened.verify().ok


def test_an_object_on_grey_ground_shows_nothing_around_it() -> None:
    mask = torch.zeros(40, 50, dtype=torch.bool)
    mask[10:30, 15:40] = True
    patch = torch.full((3, 40, 50), 250, dtype=torch.uint8)  # also outside of the mask, as a careless writer has it
    insertion = Insertion((0, 0, 40, 50), patch, (Part("cup", mask),), None, None, "cup", max_sigma_px=3.0)
    pixels = np.asarray(object_picture(insertion))
    assert pixels.shape == (20 * 4, 25 * 4, 3)
    assert (pixels == 250).all()
    mask[10:20, 15:20] = False
    corner = np.asarray(object_picture(insertion))[:40, :20]
    assert (corner == 128).all()


def test_the_same_objects_are_drawn_in_any_order() -> None:
    boxes = {"large": [0, 0, 40, 40], "small": [0, 0, 5, 5]}
    headers: list[dict[str, Any]] = [
        {"key": f"{n}.png", "index": 0, "insertions": [{"name": name, "box": boxes[name]} for name in boxes]}
        for n in range(50)
    ]
    headers.append({"key": "x", "index": 0, "insertions": [{"name": "small", "box": [0, 0, 30, 30]}]})
    first, second = PictureDraw(), PictureDraw()
    for header in headers:
        first.add(header)
    for header in reversed(headers):
        second.add(header)
    chosen = first.chosen(6)
    assert chosen == second.chosen(6)
    assert [choice.name for choice in chosen] == ["large", "small"] * 3
    assert chosen[1].key == "x"  # large enough to be seen comes first


def test_frames_are_shown_only_if_they_are_asked_for(tmp_path: Path) -> None:
    cache = tmp_path / "a.cache"
    warm_cache(Frames(2), cache, insertion_pipeline(reject=0.0), num_variants=1, workers=0)
    pack_cache(cache, tmp_path / "without")
    pack_cache(cache, tmp_path / "with", frames=FramesToShow(Frames(2)))
    pictures = {
        folder: {path.name for path in (tmp_path / folder / "pictures").iterdir()} for folder in ("without", "with")
    }
    assert pictures == {"without": {"objects-0.png"}, "with": {"objects-0.png", "frames-0.png"}}
    with Image.open(tmp_path / "with" / "pictures" / "frames-0.png") as picture:
        assert picture.width == 1800
    sheet = (tmp_path / "with" / "README.md").read_text(encoding="utf-8")
    assert "(pictures/frames-0.png)" in sheet


def test_rejected_pictures_are_packed_only_if_they_are_asked_for(tmp_path: Path) -> None:
    cache = tmp_path / "a.cache"
    warm_cache(Frames(3), cache, insertion_pipeline(reject=0.6), num_variants=2, workers=0, keep_rejected=3)
    kept = sorted(path.relative_to(cache) for path in (cache / "rejected").rglob("*.png"))
    assert kept
    pack_cache(cache, tmp_path / "without")
    assert not (tmp_path / "without" / "rejected").exists()
    pack_cache(cache, tmp_path / "a.tar", rejected=True)
    unpack_cache(tmp_path / "a.tar", tmp_path / "b.cache")
    assert (
        sorted(path.relative_to(tmp_path / "b.cache") for path in (tmp_path / "b.cache").rglob("rejected/*/*.png"))
        == kept
    )
    assert f"pictures of {len(kept)} of them" in (tmp_path / "b.cache" / "README.md").read_text(encoding="utf-8")


def test_licences_of_models() -> None:
    backends = {
        "inserter": {
            "inserter": "diffusion",
            "model": "black-forest-labs/FLUX.1-Fill-dev",
            "lora": "me/mine",
            "vae": None,
        },
        "annotator": {"finder": {"detector": {"checkpoint": "groundingdino_swint_ogc.pth#0123"}}},
        "locator": {"model": "openmmlab-community/mm_grounding_dino_large_all"},
    }
    found = {one.model: one for one in model_licences(backends)}
    assert found["black-forest-labs/FLUX.1-Fill-dev"].non_commercial is True
    assert found["me/mine"].licence == "unknown"
    assert found["me/mine"].non_commercial is None
    assert found["groundingdino_swint_ogc.pth#0123"].licence == "Apache-2.0"
    assert found["openmmlab-community/mm_grounding_dino_large_all"].licence == "unknown"  # nobody has looked it up
    assert {one.role for one in found.values()} == {
        "inserter",
        "inserter lora",
        "annotator finder detector checkpoint",
        "locator",
    }


@pytest.mark.parametrize(
    ("provenance", "inserter", "licence"),
    [
        ({"licence": "CC-BY-2.0"}, {"inserter": "rendered"}, "CC-BY-2.0"),
        ({}, {"inserter": "rendered"}, "none needed: drawn by poc_aug itself"),
        ({}, {"inserter": "diffusion"}, "that of the model"),
        ({}, {"inserter": "paste", "bank": {"kind": "dataset"}}, "that of the dataset they were cut from"),
        ({}, {"inserter": "paste", "bank": {"kind": "coco"}}, "unknown"),
        ({"licence": 5}, {"inserter": ["rendered"]}, "unknown"),
        ({}, {"inserter": "import"}, "unknown"),
    ],
)
def test_licences_of_objects(provenance: dict[str, Any], inserter: dict[str, Any], licence: str) -> None:
    assert licence_of_object(provenance, inserter) == licence


def test_terms_of_licences() -> None:
    assert licence_terms("CC-BY-NC-ND-2.0") == ("non-commercial", "no derivatives")
    assert licence_terms("MIT") == licence_terms("unknown") == licence_terms("FANCY-NC") == ()
    for written in ("CC BY-NC-ND 2.0", "cc by nc nd", "Creative Commons Attribution-NonCommercial-NoDerivatives 4.0"):
        assert licence_terms(written) == ("non-commercial", "no derivatives"), written
    assert licence_terms("Attribution-ShareAlike License") == ("share-alike",)
    assert licence_terms("CC BY 2.0") == licence_terms("Attribution License") == licence_terms("Ranc NC") == ()
