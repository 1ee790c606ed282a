"""`write_report`: counts are the cache's, figures are what one computes by hand, and the page is harmless and whole."""

from __future__ import annotations

import os
import re
import struct
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch

from poc_aug.cache import Cache, CacheWriter, Manifest
from poc_aug.errors import CacheCorruptError, CacheDatasetMismatchError, OutputError, SettingError
from poc_aug.files.outputs import writing_whole
from poc_aug.reporting import write_report
from poc_aug.reporting.cache_report import RecipeReport
from poc_aug.reporting.insertion_figures import MAP_HW, InsertionFigures, distance_of
from poc_aug.types import Insertion, Part, Rejection, ShiftedFrame, Variant
from poc_aug.upkeep import drop
from tests.helpers.cache_cases import RECORDS, Records, make_frame_manifest, make_insertion, make_manifest
from tests.helpers.command_line import run
from tests.helpers.fakes import make_recipe
from tests.helpers.review_cases import Streets, placed, street_cache

HOSTILE = "</style><script>alert('x')</script>\"'&\n" + "x" * 900


class Page(HTMLParser):
    """A page; it fails on anything that would load something, run, or was not closed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.names: Counter[str] = Counter()
        self.pictures = 0
        self.text = ""
        self._open: list[str] = []
        self.feed(self.html)
        assert self._open == []
        assert not re.search(r"(?:url\(|@import|https?:|file:|//)", re.sub(r"base64,[A-Za-z0-9+/=]*", "", self.html))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names[tag] += 1
        assert tag not in ("script", "link", "iframe", "object", "embed", "form", "a", "base")
        for name, value in attrs:
            assert not name.startswith("on")
            assert name not in ("href", "srcset", "data", "action")
            if name == "src":
                assert re.fullmatch(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/=]+", value or "")
                self.pictures += 1
        if tag not in ("meta", "img", "line", "rect", "circle"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("line", "rect", "circle"):
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data


def report(path: Path, out: Path, **options: Any) -> tuple[list[RecipeReport], Page]:
    with Cache.open(path) as cache:
        reports = write_report([cache], out, **options)
    page = Page(out)
    assert str(path.parent) not in page.html  # no path of the machine
    return reports, page


@pytest.mark.parametrize("records", RECORDS, ids=lambda records: records.name)
def test_counts_are_those_of_the_cache(records: Records, tmp_path: Path) -> None:
    path = records.cache(tmp_path / "a.cache", 30)
    (made,), page = report(path, tmp_path / "report.html")
    variants = [records.make(number) for number in range(30)]
    frames = Counter(f"{one.frame.domain}, severity {one.frame.severity}" for one in variants if one.frame is not None)
    objects = Counter(one.object_name for variant in variants for one in variant.insertions)
    assert Counter(dict(made.classes)) == (objects or frames)
    assert Counter(dict(made.rejections)) == Counter(one.reason for variant in variants for one in variant.rejections)
    assert (made.samples, made.variants) == (10, 30)
    assert made.empty == sum(variant.is_empty for variant in variants)
    assert made.accepted == sum((objects or frames).values())
    assert made.attempts == made.accepted + sum(len(variant.rejections) for variant in variants)
    for name, count in made.classes:
        assert f"{name}{count}" in page.text
    assert made.measured == 30
    assert "a.cache: report" in page.text
    assert f"{made.acceptance:.0%}of {made.attempts} attempts accepted" in page.text
    licence = "its licence applies" if records.name == "frames" else "holds none of the dataset's pixels"
    assert licence in page.text


def test_what_was_dropped_and_relabelled_is_respected(tmp_path: Path) -> None:
    path = RECORDS[0].cache(tmp_path / "a.cache", 30)
    (before,), _ = report(path, tmp_path / "before.html")
    with Cache.open(path) as cache:
        gone = [name for name in cache if len(variant.insertions if (variant := cache.get(*name)) else ()) == 1][:3]
    for key, index in gone:
        drop(path, key=key, variant=index, insertion=0)
    drop(path, class_name="part 0", relabel="horse", part="part 0")
    (after,), page = report(path, tmp_path / "after.html")
    assert after.accepted == before.accepted - 3
    assert dict(after.classes) == {"gnu": before.accepted - 3}
    assert dict(after.rejections) == dict(before.rejections) | {"dropped": 3}
    assert after.attempts == before.attempts
    with Cache.open(path) as cache:
        kept = [variant for name in cache if (variant := cache.get(*name)) is not None]
    horses = sum(part.name == "horse" for one in kept for insertion in one.insertions for part in insertion.parts)
    assert after.relabelled == [("part 0", "horse", horses)]
    assert f"part 0 → horse{horses}" in page.text
    assert "rejected3" in page.text
    assert "horse" in [name for name, _ in after.galleries]
    assert "part 0" not in [name for name, _ in after.galleries]
    assert len(after.figures.heights_px) == after.accepted


def test_figures_are_those_computed_by_hand(tmp_path: Path) -> None:
    mask = torch.zeros(50, 40, dtype=torch.bool)
    mask[10:40, 10:30] = True  # 30 high, 20 wide, its foot at row 40 of the patch
    patch = torch.zeros(3, 50, 40, dtype=torch.uint8)
    patch[0, mask] = 100
    cup = Insertion((100, 200, 50, 40), patch, (Part("cup", mask),), None, None, "cup", 0.0, {"horizon_row": 40.0})
    digest = struct.pack("<II", 200, 400) + bytes([50, 100, 150] * 256)
    recipe = make_recipe(objects=["cup"], camera={"height_m": 1.5, "focal": 1.2})
    path = tmp_path / "cup.cache"
    with CacheWriter(path, Manifest.create(recipe.to_dict(), {}, {})) as writer:
        writer.put(Variant("a.png", 0, digest, (cup,)))
        writer.put(Variant("a.png", 1, digest, (), (Rejection("too small", "cup"),)))
    (made,), page = report(path, tmp_path / "report.html")
    figures = made.figures
    assert figures.heights_px == [30]
    assert figures.heights == [15.0]
    assert figures.areas == [0.75]  # 600 of 80,000 pixels, in percent
    assert figures.foot_rows == [70.0]  # row 140 of 200
    assert figures.distances_m == [pytest.approx(1.2 * 400 * 1.5 / 100)]
    ((of_object, of_scene),) = figures.brightness
    assert of_object == pytest.approx(29.9, abs=0.01)
    assert of_scene == pytest.approx(0.299 * 50 + 0.587 * 100 + 0.114 * 150, abs=0.01)
    expected = torch.zeros(MAP_HW, dtype=torch.bool)
    expected[110 * 36 // 200 : 139 * 36 // 200 + 1, 210 * 72 // 400 : 229 * 72 // 400 + 1] = True
    assert torch.equal(torch.from_numpy(figures.places) > 0, expected)
    assert figures.frames == 1
    assert made.most_covered() == 1.0
    for text in ("median 30", "median 0.75", "median 70", "median 7.2", "61 levels darker than the scene"):
        assert text in page.text
    assert made.acceptance == 0.5
    assert [title for title, _, _ in made.charts()] == [
        "Height", "Share of the frame", "Foot", "Distance", "Brightness",
    ]  # fmt: skip


def test_distances_are_left_out_without_a_horizon_or_camera() -> None:
    recipe = make_recipe(camera={"height_m": 1.5, "focal": 1.0})
    assert distance_of({"horizon_row": 100}, 200, 1000, recipe) == pytest.approx(15.0)
    unknown: list[dict[str, Any]] = [{}, {"horizon_row": "100"}, {"horizon_row": True}, {"horizon_row": 199.5}]
    for provenance in [*unknown, {"horizon_row": 199}]:  # the last one would be 1500 m away
        assert distance_of(provenance, 200, 1000, recipe) is None
    assert distance_of({"horizon_row": 100}, 200, 1000, None) is None


def test_a_digest_that_says_nothing_is_not_measured() -> None:
    figures = InsertionFigures()
    figures.add(Variant("a", 0, b"", (make_insertion(0),)), None)
    assert figures.frames == 0


def test_several_recipes_have_a_section_each(tmp_path: Path) -> None:
    paths = [RECORDS[0].cache(tmp_path / f"{name}.cache", count) for name, count in (("a", 12), ("b", 6))]
    with Cache.open(paths[0]) as first, Cache.open(paths[1]) as second:
        seen: list[tuple[int, int]] = []
        reports = write_report([first, second], tmp_path / "r.html", progress=lambda *step: seen.append(step))
    page = Page(tmp_path / "r.html")
    assert [made.variants for made in reports] == [12, 6]
    assert seen == [(number, 18) for number in range(1, 19)]
    assert "a.cache: recipe 1 of 2" in page.text
    assert "b.cache: recipe 2 of 2" in page.text


@pytest.mark.parametrize("manifest", [make_manifest, make_frame_manifest])
def test_an_empty_cache_has_a_page(manifest: Any, tmp_path: Path) -> None:
    with CacheWriter(tmp_path / "a.cache", manifest()):
        pass
    (made,), page = report(tmp_path / "a.cache", tmp_path / "report.html")
    assert (made.accepted, made.attempts, made.acceptance, made.charts(), made.places()) == (0, 0, 0.0, [], "")
    assert page.pictures == 0


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    recipe = make_recipe(objects=[HOSTILE], max_sigma_px=3.0).to_dict()
    part = replace(make_insertion(0).parts[0], name=HOSTILE)
    insertion = replace(make_insertion(0), object_name=HOSTILE, parts=(part,), provenance={"horizon_row": 1e308})
    path = tmp_path / "a.cache"
    with CacheWriter(path, Manifest.create(recipe, {"inserter": {"inserter": HOSTILE}}, {})) as writer:
        writer.put(Variant(HOSTILE, 0, b"", (insertion,), (Rejection("too small", HOSTILE, 0, HOSTILE),)))
    _, page = report(path, tmp_path / "report.html")
    assert "</style><script>" in page.text  # as text; an element would have failed
    assert "x" * 300 not in page.text  # shortened
    assert page.pictures == 1


def test_hostile_frames_stay_text(tmp_path: Path) -> None:
    image = torch.zeros(3, 4, 8, dtype=torch.uint8)
    path = tmp_path / "a.cache"
    provenance: dict[str, Any] = {"agreement": 1e300, "agreement_by_class": {HOSTILE: 1.0}}
    with CacheWriter(path, make_frame_manifest()) as writer:
        frame = ShiftedFrame(image, "dusk", 2, provenance)
        writer.put(Variant(f"{HOSTILE}@dusk-2", 0, struct.pack("<II", 4, 8) + bytes(768), (), frame=frame))
    (made,), page = report(path, tmp_path / "report.html")
    assert made.classes == [("dusk, severity 2", 1)]
    assert page.pictures == 1


def test_a_damaged_record_is_the_usual_error(tmp_path: Path) -> None:
    path = RECORDS[0].cache(tmp_path / "a.cache", 6)
    with Cache.open(path) as cache:
        record = cache.raw("street/0000", 1)
    assert record is not None
    shard = next((path / "shards").glob("*.lmdb"))
    data = bytearray(shard.read_bytes())
    data[data.index(record[:200]) + len(record) - 1] ^= 255
    shard.write_bytes(bytes(data))
    out = tmp_path / "report.html"
    with Cache.open(path) as cache, pytest.raises(CacheCorruptError, match="variant 1 of 'street/0000'"):
        write_report([cache], out)
    assert not out.exists()


def test_samples_show_their_frames_if_there_is_a_dataset(tmp_path: Path) -> None:
    path = street_cache(tmp_path / "a.cache")
    (alone,), without = report(path, tmp_path / "without.html", samples=2)
    (framed,), with_frames = report(path, tmp_path / "with.html", samples=2, dataset=Streets())
    assert "its licence applies" in with_frames.text
    assert "holds none of the dataset's pixels" in without.text
    assert [name for name, _ in framed.galleries] == [name for name, _ in alone.galleries] == ["part 0", "part 1"]
    assert all(len(pictures) == 2 for _, pictures in framed.galleries)
    for (_, grey), (_, shown) in zip(alone.galleries, framed.galleries, strict=True):
        assert {text for _, text in grey} == {text for _, text in shown}
        assert {address for address, _ in grey}.isdisjoint(address for address, _ in shown)
    (none,), page = report(path, tmp_path / "none.html", samples=0)
    assert none.galleries == []
    assert page.pictures == 1  # the map of places


def test_objects_without_pixels_for_a_feather_are_shown_in_their_frames(tmp_path: Path) -> None:
    streets = Streets(["a.png", "b.png"])
    path = tmp_path / "hard.cache"
    with CacheWriter(path, make_manifest()) as writer:
        for number, key in enumerate(streets.keys):
            hard = replace(placed(number, 30, 40), max_sigma_px=0.0)
            writer.put(Variant(key, 0, streets.digest(number), (hard,)))
    _, page = report(path, tmp_path / "report.html", dataset=streets)
    assert page.pictures == 3  # the map of places, and both objects


def test_a_dataset_that_lacks_some_frames_is_fine_and_another_one_is_an_error(tmp_path: Path) -> None:
    path = street_cache(tmp_path / "a.cache")
    _, page = report(path, tmp_path / "a.html", samples=20, dataset=Streets(Streets().keys[:1]))
    assert "not in the dataset" in page.text
    shuffled = Streets()
    shuffled.keys.reverse()
    with Cache.open(path) as cache:
        with pytest.raises(CacheDatasetMismatchError, match="of this dataset is"):
            write_report([cache], tmp_path / "b.html", dataset=shuffled)
        with pytest.raises(CacheDatasetMismatchError):
            write_report([cache], tmp_path / "b.html", dataset=Streets(["x.png", "y.png"]))
    assert not (tmp_path / "b.html").exists()


def test_two_reports_of_a_cache_are_equal(tmp_path: Path) -> None:
    path = street_cache(tmp_path / "a.cache")
    pages = []
    for name in ("a.html", "b.html"):
        report(path, tmp_path / name, dataset=Streets())
        pages.append(re.sub(r"Report of \d{4}-\d\d-\d\d", "", (tmp_path / name).read_text(encoding="utf-8")))
    assert pages[0] == pages[1]


def test_many_classes_share_the_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poc_aug.reporting.cache_report._MAX_PICTURES", 40)
    names = [f"class {number}" for number in range(20)]
    path = tmp_path / "a.cache"
    with CacheWriter(path, Manifest.create(make_recipe(objects=names, max_sigma_px=3.0).to_dict(), {}, {})) as writer:
        for number, name in enumerate(names * 3):
            part = replace(make_insertion(number).parts[0], name=name)
            one = replace(make_insertion(number), object_name=name, parts=(part,))
            writer.put(Variant(f"{number}.png", 0, struct.pack("<II", 64, 64) + bytes(768), (one,)))
    (made,), page = report(path, tmp_path / "report.html")
    assert [len(pictures) for _, pictures in made.galleries] == [2] * 20
    assert page.pictures == 41
    assert len(made.classes) == 20


def test_of_a_large_cache_a_part_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poc_aug.reporting.cache_report.MAX_DRAWN", 10)
    (made,), page = report(RECORDS[0].cache(tmp_path / "a.cache", 30), tmp_path / "report.html")
    assert (made.measured, made.variants) == (10, 30)
    assert "Measured on 10 of 30 variants" in page.text


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    out.write_text("before")

    def stop() -> None:
        with writing_whole(out) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert out.read_text() == "before"
    assert os.listdir(tmp_path) == ["report.html"]
    (tmp_path / "link.html").symlink_to(out)
    with writing_whole(tmp_path / "link.html") as file:
        file.write(b"after")
    assert out.read_text() == "after"
    assert (tmp_path / "link.html").is_symlink()
    with writing_whole("/dev/null") as file:
        file.write(b"nothing")
    assert not os.path.isfile("/dev/null")


def test_what_is_asked_for_is_checked_first(tmp_path: Path) -> None:
    path = RECORDS[0].cache(tmp_path / "a.cache")
    with Cache.open(path) as cache:
        with pytest.raises(SettingError, match="no cache"):
            write_report([], tmp_path / "r.html")
        with pytest.raises(SettingError, match="samples=-1"):
            write_report([cache], tmp_path / "r.html", samples=-1)
        with pytest.raises(OutputError, match="is a cache"):
            write_report([cache], path / "r.html")
        (tmp_path / "file").write_text("")
        with pytest.raises(OutputError, match="is a file"):
            write_report([cache], tmp_path / "file" / "r.html")
        write_report([cache], tmp_path / "new" / "folder" / "r.html")
    assert (tmp_path / "new" / "folder" / "r.html").is_file()


def test_an_earlier_report_is_replaced_and_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, out = street_cache(tmp_path / "a.cache"), tmp_path / "report.html"
    monkeypatch.chdir(tmp_path)
    out.touch()
    run("report", path, "--samples", 0)
    written = out.read_text(encoding="utf-8")
    drop(path, key="street/0000")
    run("report", path, "--samples", 0)
    assert out.read_text(encoding="utf-8") != written
    for content in ("<html>of another program", "x" * (1 << 17)):
        out.write_text(content)
        for told in (
            run("report", path, "--dataset", "not.read:Yet", fails=True),
            run("report", path, "--out", out, "--dataset", "not.read:Yet", fails=True),
        ):
            assert "report.html' exists, and is no report of a cache" in told
            assert "--out" in told
        with Cache.open(path) as cache, pytest.raises(OutputError, match="is no report of a cache"):
            write_report([cache], out)
        assert out.read_text() == content


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    path, out = street_cache(tmp_path / "a.cache"), tmp_path / "pages" / "street.html"
    output = run("report", path, "--out", out, "--samples", 1)
    assert "32 objects: " in output
    assert Page(out).pictures == 3
    assert "one that ends in .html" in run("report", path, "--out", "report.txt", fails=True)
    assert "arguments without --dataset: length=3" in run("report", path, "length=3", "--out", out, fails=True)
