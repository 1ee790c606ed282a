"""What accepting and relabelling changes wherever a cache is read: training, export, info, compact, merge and pack."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poc_aug.cache import Cache, same_variant
from poc_aug.cache.journal import Journal
from poc_aug.cache.journal_files import JOURNAL
from poc_aug.cache.journal_writing import JournalWriter
from poc_aug.cache.selection import Selection
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.errors import CacheCorruptError, CacheMissError, LabelPolicyError, SettingError
from poc_aug.exporting.exporter import export
from poc_aug.labels.policies import NewClassLabels
from poc_aug.reporting import write_report
from poc_aug.sharing.pack_unpacking import unpack_cache
from poc_aug.sharing.packing import pack_cache
from poc_aug.upkeep import compact_cache, decisions, drop, merge_caches, repair, undo_decision, verify_cache
from tests.helpers.cache_cases import RECORDS, make_cache, stored_variant
from tests.helpers.command_line import run
from tests.helpers.fakes import Frames
from tests.helpers.kinds import INSERTIONS
from tests.helpers.upkeep_cases import read_all

LENGTH, VARIANTS = 3, 2
IDS = {"dog": 19, "cat": 20, "car": 21, "horse": 22}
POLICY = NewClassLabels({**IDS, "car": 21}, merge=True)


@pytest.fixture(scope="module")
def warmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("warmed") / "a.cache"
    INSERTIONS.warm(path, LENGTH, num_variants=VARIANTS)
    return path


@pytest.fixture
def cache(warmed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(warmed, tmp_path / "a.cache"))


def items(path: Path, policy: Any = POLICY, **changes: Any) -> list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    with POCAugmentedDataset(Frames(LENGTH), path, policy, variants="all", p=1.0, **changes) as dataset:
        return [(np.array(image), np.array(labels)) for image, labels in (dataset[n] for n in range(len(dataset)))]


def same_items(first: Any, second: Any) -> bool:
    pairs = zip(first, second, strict=True)
    return all(np.array_equal(a, b) for one, other in pairs for a, b in zip(one, other, strict=True))


def test_pixels_stay_and_labels_have_the_new_id(cache: Path) -> None:
    before = items(cache)
    report = drop(cache, class_name="dog", relabel="horse", by="anna")
    assert report.changed == report.insertions == report.kept_after > 0
    after = items(cache)
    for (image, labels), (new_image, new_labels) in zip(before, after, strict=True):
        assert np.array_equal(image, new_image)
        assert np.array_equal(np.where(labels == IDS["dog"], IDS["horse"], labels), new_labels)
    assert not any((labels == IDS["dog"]).any() for _, labels in after)
    assert same_items(items(cache, workers_reset(cache)), after)
    entry = decisions(cache)[0][1]
    undo_decision(cache, entry.id[:6])
    assert same_items(items(cache), before)


def workers_reset(cache: Path) -> NewClassLabels:
    """A policy that needs no more names than there are now."""
    return NewClassLabels({name: label_id for name, label_id in IDS.items() if name != "dog"} | {"dog": 23}, merge=True)


def test_a_policy_without_an_id_for_the_new_class_is_refused_when_the_dataset_is_made(cache: Path) -> None:
    policy = NewClassLabels({name: label_id for name, label_id in IDS.items() if name != "horse"}, merge=True)
    items(cache, policy)
    drop(cache, class_name="cat", relabel="horse")
    with pytest.raises(LabelPolicyError, match="no label id for the inserted classes \\['horse'\\]"):
        POCAugmentedDataset(Frames(LENGTH), cache, policy)
    drop(cache, class_name="cat", relabel="cat")  # back again: only names that hold are asked for
    POCAugmentedDataset(Frames(LENGTH), cache, policy).close()


def test_loader_processes_read_the_names_that_the_policy_was_asked_for(cache: Path) -> None:
    policy = NewClassLabels({name: label_id for name, label_id in IDS.items() if name != "horse"}, merge=True)
    before = items(cache, policy)
    with POCAugmentedDataset(Frames(LENGTH), cache, policy, variants="all", p=1.0) as dataset:
        drop(cache, class_name="dog", relabel="horse")  # while a training runs
        loader: Any = torch.utils.data.DataLoader(
            dataset, batch_size=None, num_workers=1, multiprocessing_context="fork", collate_fn=lambda item: item
        )
        assert same_items([tuple(map(np.array, item)) for item in loader], before)


def test_a_relabelled_export_has_the_ids_and_starts_anew_if_the_names_change(cache: Path, tmp_path: Path) -> None:
    drop(cache, class_name="dog", relabel="horse")
    drop(cache, class_name="cat", accept=True)
    out = tmp_path / "out"

    def write() -> Any:
        return export(Frames(LENGTH), cache, "coco", out, labels=POLICY, split="train", workers=0)

    def instances(name: str) -> int:
        (file,) = out.rglob("instances*.json")
        content = json.loads(file.read_text())
        number = {one["name"]: one["id"] for one in content["categories"]}.get(name)
        return sum(one["category_id"] == number for one in content["annotations"])

    assert write().written > 0
    horses, cats = instances("horse"), instances("cat")
    assert horses > 0
    assert instances("dog") == 0
    assert write().written == 0
    drop(cache, class_name="dog", accept=True, by="bert")  # changes nothing that is shown
    assert write().written == 0
    drop(cache, class_name="cat", relabel="horse")
    assert write().written > 0
    assert (instances("horse"), instances("dog"), instances("cat")) == (horses + cats, 0, 0)
    drop(cache, class_name="car", relabel="zebra")
    with pytest.raises(LabelPolicyError, match="zebra"):
        write()


def test_what_was_relabelled_is_counted_under_its_new_name(cache: Path, tmp_path: Path) -> None:
    arguments: tuple[Any, ...] = (
        "export",
        cache,
        "--dataset",
        "tests.helpers.fakes:Frames",
        f"length={LENGTH}",
        "--layout",
        "coco",
    )
    arguments += ("--labels", "ids", "--split", "train", "--workers", 0, "--out")
    run(*arguments, tmp_path / "before")
    before = json.loads((tmp_path / "before" / "export.json").read_text())["objects"]
    drop(cache, class_name="dog", relabel="horse", by="anna")
    refused = run(*arguments, tmp_path / "before", fails=True)
    assert '"horse"' in refused  # the one difference, not the beginning of all ids
    assert "relabelled" in refused
    assert 'has the class "horse" (id ' in refused
    assert (
        "Next step: give another folder with --out: all frames are written there, with the ids that hold now" in refused
    )
    run(*arguments, tmp_path / "after")  # finds an id for the new name, too
    after = json.loads((tmp_path / "after" / "export.json").read_text())
    expected = {"horse" if name == "dog" else name: count for name, count in before.items()}
    assert after["objects"] == expected
    assert "horse" in after["labels"]["ids"]
    with Cache.open(cache) as opened:
        (report,) = write_report([opened], tmp_path / "report.html", samples=1)
    assert dict(report.classes) == expected
    assert {name for name, _ in report.galleries} == set(expected)


def test_an_export_says_how_many_frames_lost_all_their_objects(cache: Path, tmp_path: Path) -> None:
    arguments: tuple[Any, ...] = ("export", cache, "--dataset", "tests.helpers.fakes:Frames", f"length={LENGTH}")
    arguments += ("--layout", "coco", "--labels", "ids", "--split", "train", "--workers", 0, "--out")
    assert "hold no object" not in run(*arguments, tmp_path / "before")
    with Cache.open(cache) as opened:
        key = opened.keys()[0]
    drop(cache, key=key, variant=0)
    assert "1 of them hold no object" in run(*arguments, tmp_path / "after")


def accepted_and_relabelled(cache: Path) -> None:
    """Some of everything."""
    with Cache.open(cache) as opened:
        several = [name for name in opened if len(stored_variant(opened, *name).insertions) > 1]
    assert several
    for key, variant in several[:1]:
        drop(cache, key=key, variant=variant, insertion=0, by="bert")
        drop(cache, key=key, variant=variant, insertion=1, accept=True, by="anna")
    drop(cache, class_name="dog", relabel="horse", by="anna")
    drop(cache, class_name="cat", accept=True, by="bert")


def test_a_compacted_cache_reads_as_before(cache: Path, tmp_path: Path) -> None:
    accepted_and_relabelled(cache)
    before, shown = read_all(cache), items(cache)
    report = compact_cache(cache, tmp_path / "small.cache")
    assert report.cut == 1
    assert report.decisions == 3
    after = read_all(tmp_path / "small.cache")
    assert all(same_variant(before[name], after[name]) for name in before)  # type: ignore[arg-type]
    assert same_items(items(tmp_path / "small.cache"), shown)
    assert verify_cache(tmp_path / "small.cache").ok
    made = decisions(tmp_path / "small.cache")
    assert [(entry.op, entry.by) for _, entry in made] == [("accept", "anna"), ("relabel", "anna"), ("accept", "bert")]
    assert made[0][1].where.insertion == 0
    again = compact_cache(tmp_path / "small.cache", tmp_path / "smaller.cache")
    assert (again.cut, again.decisions) == (0, 3)
    assert same_items(items(tmp_path / "smaller.cache"), shown)


@pytest.mark.parametrize("form", ["a.tar", "a.zip", "folder"])
def test_a_packed_cache_has_the_names_and_nobody_is_named_unless_asked(cache: Path, tmp_path: Path, form: str) -> None:
    accepted_and_relabelled(cache)
    shown = items(cache)
    pack_cache(cache, tmp_path / form, leave_out=("prompts",))
    unpack_cache(tmp_path / form, tmp_path / "b.cache")
    assert same_items(items(tmp_path / "b.cache"), shown)
    made = decisions(tmp_path / "b.cache")
    assert {entry.op for _, entry in made} == {"accept", "relabel"}
    assert {entry.by for _, entry in made} == {""}
    assert all(entry.where.recipe == fingerprint for fingerprint, entry in made)
    again = tmp_path / f"again-{form}"
    pack_cache(cache, again, leave_out=("prompts",), reviewers=True)
    unpack_cache(again, tmp_path / "c.cache")
    assert {entry.by for _, entry in decisions(tmp_path / "c.cache")} == {"anna", "bert"}


def test_a_damaged_journal_of_an_archive_is_refused(cache: Path, tmp_path: Path) -> None:
    accepted_and_relabelled(cache)
    pack_cache(cache, tmp_path / "folder")
    file = tmp_path / "folder" / JOURNAL / "packed.jsonl"
    file.write_bytes(file.read_bytes().replace(b"horse", b"house"))
    with pytest.raises(CacheCorruptError, match=r"packed\.jsonl"):
        unpack_cache(tmp_path / "folder", tmp_path / "b.cache")


def test_merging_unites_what_was_decided_in_both(cache: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(cache, tmp_path / "b.cache"))
    drop(cache, class_name="dog", relabel="horse", by="anna")
    drop(other, class_name="dog", accept=True, by="bert")
    drop(other, class_name="cat", by="bert")
    entry = decisions(other)[-1][1]
    undo_decision(other, entry.id)
    merge_caches([cache, other], tmp_path / "all.cache")
    made = decisions(tmp_path / "all.cache")
    assert [(one.op, one.by) for _, one in made] == [
        ("relabel", "anna"),
        ("accept", "bert"),
        ("drop", "bert"),
        ("undo", ""),
    ]
    assert same_items(items(tmp_path / "all.cache"), items(cache))


def test_info_says_what_was_decided_and_by_whom(cache: Path) -> None:
    accepted_and_relabelled(cache)
    with Cache.open(cache) as opened:
        key, variant = next(name for name in opened if stored_variant(opened, *name).insertions)
    drop(cache, key=key, variant=variant, insertion=0, by="anna")
    drop(cache, key=key, variant=variant, insertion=0, accept=True, by="bert")
    shown = " ".join(run("info", cache).split())
    for expected in ("accepted", "by bert", "relabelled", "dog to horse", "1 rejected (1 by bert)"):
        assert expected in shown
    assert "conflicts reviewers disagree about 1" in shown


def test_what_cannot_be_relabelled_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 15)
    with pytest.raises(SettingError, match="several parts") as caught:
        drop(path, class_name="gnu", relabel="horse")
    assert "part='part 0'" in caught.value.hint
    with pytest.raises(SettingError, match="part='wheel', which none of these objects has"):
        drop(path, class_name="gnu", relabel="horse", part="wheel")
    with pytest.raises(SettingError, match="without a new name"):
        drop(path, class_name="gnu", part="part 0")
    with pytest.raises(SettingError, match="several decisions at once"):
        drop(path, class_name="gnu", relabel="horse", accept=True)
    for name in ("", "two\nlines", "(ignored)"):
        with pytest.raises(SettingError, match="nothing can be relabelled so"):
            drop(path, class_name="gnu", relabel=name)
    frames = RECORDS[1].cache(tmp_path / "b.cache")
    with pytest.raises(SettingError, match="of shifted frames"):
        drop(frames, class_name="dusk", relabel="dawn")
    assert drop(frames, class_name="dusk", accept=True).changed > 0
    assert not (path / JOURNAL).exists()


def test_decisions_select_by_stored_names_and_say_so(cache: Path) -> None:
    drop(cache, class_name="dog", relabel="horse")
    with pytest.raises(CacheMissError, match="class 'horse'") as caught:
        drop(cache, class_name="horse")
    assert "that was relabelled; decisions select by stored names: 'dog'" in str(caught.value)
    drop(cache, class_name="dog", relabel="cat")
    printed = " ".join(run("drop", cache, "--class", "cat", "--dry-run").split())
    assert "not among them: what was relabelled to 'cat'; --class takes its stored name: 'dog'" in printed
    assert "not among them" not in run("drop", cache, "--class", "dog", "--dry-run")


def test_one_part_of_several(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 15)
    report = drop(path, class_name="gnu", relabel="horse", part="part 1")
    assert 0 < report.changed < report.insertions
    before, after = read_all(path, journal=False), read_all(path)
    for name, whole in before.items():
        got = after[name]
        assert whole is not None
        assert got is not None
        names = [[part.name for part in one.parts] for one in whole.insertions]
        assert [[part.name for part in one.parts] for one in got.insertions] == [
            ["horse" if part == "part 1" else part for part in parts] for parts in names
        ]


def test_restoring_and_accepting_on_the_command_line(cache: Path) -> None:
    assert "relabelled" in run("drop", cache, "--class", "dog", "--relabel", "horse", "--by", "anna")
    assert "accepted; kept" in run("drop", cache, "--class", "cat", "--accept", "--by", "bert")
    assert "would be accepted" in run("drop", cache, "--class", "car", "--accept", "--dry-run")
    run("drop", cache, "--class", "cat")
    run("drop", cache, "--class", "cat", "--restore")
    listed = run("drop", cache, "--list")
    assert "relabel: class 'dog' to 'horse'" in listed
    first = listed.splitlines()[0].partition("id ")[2].rstrip(")")
    assert "undone: " in run("drop", cache, "--undo", first, "--by", "anna")
    assert "id 0123" not in run("drop", cache, "--undo", "0123456789abcdef", fails=True)
    assert "undone" in run("drop", cache, "--list").splitlines()[0]
    assert "one decision that was not undone" in run("drop", cache, "--undo", first, fails=True)
    assert "--undo with --by at most" in run("drop", cache, "--undo", first, "--accept", fails=True)
    assert "--list alone" in run("drop", cache, "--list", "--accept", fails=True)
    with Cache.open(cache) as opened:
        states = [state for entry in opened.journal.counting for state in [entry.op]]
    assert states == ["accept", "drop", "restore"]
    with pytest.raises(CacheMissError):
        undo_decision(cache, "")


def test_damaged_lines_of_new_decisions_are_set_aside_and_the_others_kept(cache: Path) -> None:
    with JournalWriter(cache, by="anna") as writer:
        for name in ("horse", "zebra", "bull"):
            writer.append("relabel", Selection(class_name="dog"), to=name)
    (file,) = (cache / JOURNAL).iterdir()
    file.write_bytes(file.read_bytes().replace(b"zebra", b"zebro"))
    assert not verify_cache(cache).ok
    with pytest.raises(CacheCorruptError, match="line 2"):
        Cache.open(cache)
    repair(cache)
    assert verify_cache(cache).ok
    assert [entry.to for entry in Journal.read(cache).entries] == ["horse", "bull"]


def test_an_object_that_another_person_accepts_is_noted_once_for_each(cache: Path) -> None:
    for by in ("anna", "anna", "bert", "bert"):
        drop(cache, class_name="dog", accept=True, by=by)
    assert [entry.by for _, entry in decisions(cache)] == ["anna", "bert"]


def test_a_decision_about_a_class_holds_for_what_is_stored_later_although_it_changes_nothing_now(cache: Path) -> None:
    with Cache.open(cache, journal=False) as opened:
        stored = [stored_variant(opened, *name) for name in opened]
    for variant in stored:  # as a review does, one by one
        for number, insertion in enumerate(variant.insertions):
            where = {"key": variant.key, "variant": variant.index, "insertion": number}
            if insertion.object_name == "dog":
                drop(cache, **where)  # type: ignore[arg-type]
            elif insertion.object_name == "cat":
                drop(cache, relabel="horse", **where)  # type: ignore[arg-type]
    one_by_one = len(decisions(cache))
    for _ in range(2):  # the second time, it is said already
        assert drop(cache, class_name="dog").changed == 0
        assert drop(cache, class_name="cat", relabel="horse").changed == 0
        assert len(decisions(cache)) == one_by_one + 2
    with pytest.warns(UserWarning, match="'dog' was dropped in recipe"):
        INSERTIONS.warm(cache, LENGTH, num_variants=VARIANTS + 3)
    shown = [
        part.name for variant in read_all(cache).values() if variant for one in variant.insertions for part in one.parts
    ]
    assert "horse" in shown
    assert not {"dog", "cat"} & set(shown)
