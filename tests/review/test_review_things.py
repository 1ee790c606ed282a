"""What a review lists, from headers alone, and how it is found, filtered and forgotten."""

from __future__ import annotations

import io
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Subset
from torchvision.datasets import Cityscapes

from poc_aug.cache import Cache, CacheWriter
from poc_aug.cache.review_state import ReviewState
from poc_aug.cache.selection import StoredThings
from poc_aug.errors import CacheCorruptError, CacheDatasetMismatchError, CacheError, SettingError
from poc_aug.generation.warming import warm_cache
from poc_aug.items.image_digest import digest_of
from poc_aug.items.open_item import Adapt, open_item
from poc_aug.keys import dataset_keys
from poc_aug.reporting import write_report
from poc_aug.review import Review
from poc_aug.review.recent_items import RecentItems
from poc_aug.review.review_index import ReviewIndex, ThingFilter
from poc_aug.review.review_things import Thing, ThingScan, thing_id
from poc_aug.types import Variant
from tests.helpers.cache_cases import RECORDS, Records, make_insertion, make_manifest, make_variant
from tests.helpers.fakes import Frames
from tests.helpers.kinds import insertion_pipeline
from tests.helpers.review_cases import Streets, key_digest, opened_review, placed, street_cache


def scanned(path: Path) -> list[Thing]:
    with Cache.open(path, journal=False) as cache:
        return [thing for batch in ThingScan(cache, 0) for thing in batch]


@pytest.fixture(params=RECORDS, ids=lambda records: records.name)
def records(request: pytest.FixtureRequest) -> Records:
    kind: Records = request.param
    return kind


def test_all_that_is_stored_is_listed_once(records: Records, tmp_path: Path) -> None:
    path = records.cache(tmp_path / "a.cache", 20, writers=3)
    with CacheWriter(path, records.manifest(), writer="local-9") as writer:  # some of it again
        writer.put_many([records.make(number) for number in range(5)])
    things = scanned(path)
    variants = [records.make(number) for number in range(20)]
    expected = [
        *((v.key, v.index, "insertions", number) for v in variants for number in range(len(v.insertions))),
        *((v.key, v.index, "frames", 0) for v in variants if v.frame is not None),
        *((v.key, v.index, "rejected attempts", number) for v in variants for number in range(len(v.rejections))),
    ]
    assert sorted((t.key, t.variant, t.kind, t.insertion) for t in things) == sorted(expected)
    assert len({thing.id for thing in things}) == len(things)
    for thing in things:
        assert thing.id != thing_id(1, "other", thing.kind, thing.key, thing.variant, thing.insertion)


def test_more_records_than_a_batch(tmp_path: Path) -> None:
    one = make_insertion(0)
    with CacheWriter(tmp_path / "a.cache", make_manifest()) as writer:
        writer.put_many(Variant(f"{n:04d}", 0, key_digest(99, 99), (one,)) for n in range(450))
    assert [thing.key for thing in scanned(tmp_path / "a.cache")] == [f"{n:04d}" for n in range(450)]


def test_no_picture_is_decoded(records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = records.cache(tmp_path / "a.cache", 9)

    def refuse(*_: object) -> Any:
        raise AssertionError("decoded")

    for name in ("decode_patch", "decode_map"):
        monkeypatch.setattr(f"poc_aug.cache.record.{name}", refuse)
    assert scanned(path)


def test_a_shard_that_cannot_be_listed_is_told(tmp_path: Path) -> None:
    path = street_cache(tmp_path / "a.cache", variants=40)
    with Cache.open(path) as cache:
        assert len(cache) == 320
    (shard,) = (path / "shards").glob("*.lmdb")
    data = bytearray(shard.read_bytes())
    for at in range(8192, len(data), 4096):
        data[at : at + 16] = bytes(16)
    shard.write_bytes(data)
    with pytest.raises(CacheError):
        scanned(path)
    with opened_review([path]) as client:
        state = client.get("/api/state").json
    assert "cannot be" in state["failure"]["error"] or "damaged" in state["failure"]["error"]
    assert str(tmp_path) not in str(state)


def things(count: int) -> list[Thing]:
    return [
        Thing(f"{n}", 0, f"{n:03d}", 0, 0, "insertions", "cow", StoredThings((f"{n:03d}",), 0, (), ()), score=n / count)
        for n in range(count)
    ]


def test_the_index_can_be_asked_while_it_grows() -> None:
    index = ReviewIndex(["3f2a"], lambda thing: ReviewState())
    every, counted = things(2000), []

    def ask() -> None:
        while not index.complete:
            counted.append(len(index.select(ThingFilter(sort="score"))))
            assert index.counts()["all"] >= counted[-1]

    thread = threading.Thread(target=ask)
    thread.start()
    for start in range(0, 2000, 50):
        index.add(every[start : start + 50])
    index.complete = True
    thread.join()
    assert counted == sorted(counted)
    assert len(index.select(ThingFilter())) == 2000
    assert index.changed_since(index.version) == []


def test_recent_items_are_bounded() -> None:
    kept: RecentItems[int, bytes] = RecentItems(10, len)
    for number in range(20):
        kept.put(number, bytes(4))
        kept.get(0)
    assert [number for number in range(20) if kept.get(number) is not None] == [0, 19]
    kept.put(50, bytes(100))
    assert kept.get(50) is not None
    kept.put(50, bytes(1))
    kept.put(51, bytes(9))
    assert kept.get(50) is not None
    assert kept.get(51) is not None


def test_what_cannot_be_reviewed_is_told_at_once(tmp_path: Path) -> None:
    path = street_cache(tmp_path / "a.cache")
    with pytest.raises(SettingError, match="no cache"):
        Review([])
    with pytest.raises(SettingError, match="given twice"):
        Review([path, tmp_path / "." / "a.cache"])
    with pytest.raises(CacheDatasetMismatchError):
        Review([path], Frames(length=2, size_hw=(8, 8)))
    with pytest.raises(SettingError, match="sigma_px=nan"):
        Review([path], sigma_px=float("nan"))
    (path / "journal").mkdir()
    (path / "journal" / "a.jsonl").write_text("damaged\n")
    with pytest.raises(CacheCorruptError):
        Review([path])


def test_pictures_of_rejected_attempts(tmp_path: Path) -> None:
    base = Frames(length=4, size_hw=(60, 81))
    path = tmp_path / "a.cache"
    warm_cache(base, path, insertion_pipeline(reject=0.6), num_variants=3, workers=0, keep_rejected=3)
    kept = sorted((path / "rejected").rglob("*.png"))
    assert kept
    with opened_review([path], base) as client:
        attempts = client.things(kind="rejected attempts")
        pictured = [each for each in attempts if each["picture"]]
        assert len(pictured) == len(kept)
        for each in pictured:
            assert client.get(f"/picture/{each['id']}/close").status == 200
        reasons = {each["reason"] for each in pictured}
        assert {path.parent.name.replace("-", " ") for path in kept} == reasons
    # Pictures of a run that was killed before it stored its record; others that are none of ours.
    with Cache.open(path) as cache:
        empty = tmp_path / "b.cache"
        with CacheWriter(empty, cache.manifest) as writer:
            writer.put(make_variant(0))
    folder = empty / "rejected" / kept[0].parent.name
    folder.mkdir(parents=True)
    (folder / kept[0].name).write_bytes(kept[0].read_bytes())
    (folder / kept[0].name.replace(".png", "0.png")).write_bytes(b"no picture")
    Image.new("RGB", (9, 9)).save(folder / "other.png")
    with opened_review([empty]) as client:
        (found,) = [each for each in client.things(kind="rejected attempts") if each["picture"]]
        assert client.get(f"/picture/{found['id']}/after").status == 200


@pytest.fixture(scope="module")
def real(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """Two frames of Cityscapes, and what was put into them."""
    every = Cityscapes(real_data / "scenes" / "cityscapes", split="train", mode="fine", target_type="semantic")
    base = Subset(every, [0, 2])
    path = tmp_path_factory.mktemp("real") / "frames.cache"
    with CacheWriter(path, make_manifest()) as writer:
        for number, key in enumerate(dataset_keys(base)):
            digest = digest_of(open_item(base[number], key=key).image)
            pair = (
                placed(number, 700, 300, size_hw=(170, 110)),
                placed(number + 5, 400, 1900, size_hw=(20, 30), shade=True),
            )
            writer.put(Variant(key, 0, digest, pair))
    return base, path


def test_real_frames(real: tuple[Any, Path]) -> None:
    base, path = real
    with opened_review([path], base) as client:
        state = client.get("/api/state").json
        assert state["counts"]["all"] == 4
        assert "road" in state["relabel_classes"]  # of the dataset's schema
        assert "unlabeled" not in state["relabel_classes"]  # ignored there: it would be no label
        for thing in client.things():
            sizes = {}
            for view in ("before", "after", "mask", "close", "close-mask", "thumb"):
                answered = client.get(f"/picture/{thing['id']}/{view}", **({"width": 1000} if view == "after" else {}))
                assert answered.status == 200
                sizes[view] = Image.open(_file(answered.body)).size
            assert sizes["before"] == (2048, 1024)
            assert sizes["after"] == (1000, 500)
            assert sizes["close"] == sizes["close-mask"]
            assert min(sizes["close"]) >= min(224, thing["width"])
            assert sizes["thumb"][0] <= 192
            client.decide([thing], "reject")
    with Cache.open(path) as cache:
        assert not any(variant.insertions for variant in map(lambda name: _stored(cache, name), cache))


def _file(data: bytes) -> Any:
    return io.BytesIO(data)


def _stored(cache: Cache, name: tuple[str, int]) -> Variant:
    variant = cache.get(*name)
    assert variant is not None
    return variant


def test_frames_are_shown_with_their_labels_borders(tmp_path: Path) -> None:
    streets = Streets()
    image = torch.full((3, 96, 128), 200, dtype=torch.uint8)
    with CacheWriter(tmp_path / "a.cache", RECORDS[1].manifest()) as writer:
        for number, key in enumerate(streets.keys):
            made = RECORDS[1].make(0)
            assert made.frame is not None
            frame = replace(made.frame, image=image)
            writer.put(replace(made, key=f"{key}@dusk-2", digest=streets.digest(number), frame=frame))
    with opened_review([tmp_path / "a.cache"], streets) as client:
        thing = client.things()[3]
        drawn = {
            view: np.asarray(Image.open(_file(client.get(f"/picture/{thing['id']}/{view}").body))).astype(int)
            for view in ("before", "after", "mask", "close-before")
        }
    assert np.abs(drawn["after"] - 200).max() <= 3
    assert drawn["before"].std() > 20
    rows = np.abs(drawn["mask"] - drawn["after"]).mean(axis=(1, 2))
    assert rows.argmax() == 48  # where the labels change
    assert rows[:40].max() < 3


def test_items_of_another_form_in_a_concatenated_dataset_are_compared(tmp_path: Path) -> None:
    path = street_cache(tmp_path / "part.cache")  # made for the second part alone

    class Parts(Streets):
        """Two parts of the same names, whose items only `adapt` can take apart."""

        def __init__(self) -> None:
            super().__init__([f"{part}/street/{number:04d}" for part in range(2) for number in range(8)])

        def __getitem__(self, number: int) -> Any:
            image, labels = super().__getitem__((number + 8) % 16)
            return {"camera": {"front": image}, "ids": labels}

    adapt = Adapt(
        get=lambda item: (item["camera"]["front"], item["ids"]),
        put=lambda item, image, labels: {"camera": {"front": image}, "ids": labels},
    )
    parts = Parts()
    with opened_review([path], parts, keys=parts.keys, adapt=adapt) as client:
        assert client.get(f"/picture/{client.things()[0]['id']}/after").status == 200
    with Cache.open(path) as cache:
        write_report([cache], tmp_path / "report.html", dataset=parts, keys=parts.keys, adapt=adapt)
