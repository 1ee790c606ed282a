"""The import job: what it stores, how it goes on, and what it skips."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from poc_aug.cache import Cache, Manifest
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.errors import CacheMismatchError, ImportFilesError, SampleReadError, SchemaError, SettingError
from poc_aug.importing import ImportReport, classes_of_preset, import_edits, import_pairs, poc_release_pairs
from poc_aug.importing.edited_pairs import EditedPairs
from poc_aug.items.image_digest import digest_of_sample
from poc_aug.labels.label_digest import label_digest_of_sample
from poc_aug.labels.policies import NewClassLabels, OodLabels
from poc_aug.types import Sample
from tests.helpers.cache_cases import stored_variant
from tests.helpers.edit_cases import TRAIN_IDS, Edit, base_sample, blob, edit_of, save_edit, with_noise

ALT = classes_of_preset("poc-alt")
KEYS = [f"leftImg8bit/train/aachen/aachen_{number:06d}_000019_leftImg8bit.png" for number in range(3)]


class Streets(Dataset[Any]):
    """Three frames that the edits are of."""

    schema = TRAIN_IDS

    def __init__(self) -> None:
        self.samples = [base_sample(number, key=key) for number, key in enumerate(KEYS)]

    def keys(self) -> list[str]:
        return KEYS

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        sample = self.samples[number]
        return sample.image, sample.labels


def edits_of(samples: list[Sample]) -> dict[tuple[str, int], tuple[str, Edit]]:
    """An edited frame per key and variant, with the name of its file."""
    made: dict[tuple[str, int], tuple[str, Edit]] = {}
    for number, sample in enumerate(samples):
        frame = Path(sample.key).stem
        dog = edit_of(sample, blob(number, ["dog"], (10, 20, 15, 15), alpha=True, shade=True), classes=ALT)
        rider = edit_of(sample, blob(number, ["rider", "bicycle"], (5, 9, 21, 15)), classes=ALT)
        made[sample.key, 0] = f"{frame}_A-good-photo-of-a-bicycle-with-rider_4", rider
        made[sample.key, 1] = f"{frame}_A-good-photo-of-a-dog_2", dog if number else with_noise(dog, 2)
    return made


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("release") / "poc_alt"
    for name, edit in edits_of(Streets().samples).values():
        save_edit(root, edit, name)
    return root


def listed(root: Path) -> EditedPairs:
    return poc_release_pairs(root, KEYS, ALT)


def records(path: Path) -> dict[tuple[str, int], bytes]:
    from poc_aug.cache.record import encode_record

    with Cache.open(path) as cache:
        return {name: encode_record(stored_variant(cache, *name), "delta-zstd") for name in cache}


@pytest.fixture(scope="module")
def imported(release: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ImportReport]:
    path = tmp_path_factory.mktemp("imported") / "alt.cache"
    return path, import_pairs(Streets(), listed(release), path, ALT, workers=0)


def test_composing_shows_the_edited_frames(imported: tuple[Path, ImportReport]) -> None:
    path, report = imported
    assert (report.total, report.stored, report.objects, report.lost) == (6, 6, 6, 0)
    assert report.by_object == {"bicycle": 3, "dog": 3}
    for variant in (0, 1):
        dataset = POCAugmentedDataset(Streets(), path, NewClassLabels(ALT.new), p=1.0, variant=variant)
        for number, key in enumerate(KEYS):
            image, labels = dataset[number]
            edited = edits_of(Streets().samples)[key, variant][1].edited
            assert torch.equal(image, edited.image)
            assert torch.equal(labels, edited.labels)


def test_other_labels_can_be_chosen_when_reading(imported: tuple[Path, ImportReport]) -> None:
    dataset = POCAugmentedDataset(Streets(), imported[0], OodLabels(254), p=1.0, variant=1)
    edited = edits_of(Streets().samples)[KEYS[2], 1][1].edited
    assert ((dataset[2][1] == 254) == (edited.labels == ALT.ids["dog"])).all()


def test_the_cache_is_a_whole_one(imported: tuple[Path, ImportReport], release: Path) -> None:
    with Cache.open(imported[0]) as cache:
        assert cache.verify().ok
        variant = stored_variant(cache, KEYS[1], 1)
        base = Streets().samples[1]
        assert variant.digest == digest_of_sample(base)
        assert variant.label_digest == label_digest_of_sample(base, TRAIN_IDS)
        (dog,) = variant.insertions
        assert dog.provenance["source"] == listed(release).pairs[3].name
        edit: Any = dog.provenance["edit"]
        assert edit["objects"] == int(dog.mask.sum())
        manifest = cache.manifest
    assert manifest.has_own_fingerprint()
    assert manifest.samples == 3
    backend = manifest.backends["inserter"]
    assert (backend["inserter"], backend["layout"], backend["source"]) == ("import", "poc", "poc_alt")
    assert "bicycle" in [spec["name"] for spec in manifest.recipe["objects"]]


def test_what_reaches_beyond_is_reported_per_frame(imported: tuple[Path, ImportReport]) -> None:
    report = imported[1]
    assert report.beyond > 0
    name, reach = report.farthest[0]
    assert "aachen_000000" in name  # the one with noise over the whole frame
    assert "dog" in name
    assert reach.share_beyond > 0.7
    assert report.to_dict()["farthest"][0]["file"] == name
    assert report.to_dict()["share_beyond"] == round(report.beyond / report.changed, 6)


def test_loader_processes_store_the_same(imported: tuple[Path, ImportReport], release: Path, tmp_path: Path) -> None:
    import_pairs(Streets(), listed(release), tmp_path / "a.cache", ALT, workers=2)
    assert records(tmp_path / "a.cache") == records(imported[0])


def test_the_same_call_continues(imported: tuple[Path, ImportReport], release: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    first = import_pairs(Streets(), listed(release), path, ALT, workers=0, limit=4)
    assert (first.total, first.stored) == (4, 4)
    seen: list[int] = []
    second = import_pairs(
        Streets(), listed(release), path, ALT, workers=0, on_progress=lambda report: seen.append(report.stored)
    )
    assert (second.total, second.present, second.stored) == (6, 4, 2)
    assert seen[0] == 0
    assert seen[-1] == 2
    third = import_pairs(Streets(), listed(release), path, ALT, workers=0)
    assert (third.present, third.stored) == (6, 0)
    assert records(path) == records(imported[0])


def test_what_came_before_an_error_is_stored(release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Any, number: int) -> Any:
        if number == 2:
            raise RuntimeError("a broken file")
        sample = self.samples[number]
        return sample.image, sample.labels

    monkeypatch.setattr(Streets, "__getitem__", fails)
    report = ImportReport()
    with pytest.raises(SampleReadError, match="a broken file"):
        import_pairs(Streets(), listed(release), tmp_path / "a.cache", ALT, workers=0, report=report)
    assert report.stored == 4
    assert len(records(tmp_path / "a.cache")) == 4
    skipped = import_pairs(Streets(), listed(release), tmp_path / "a.cache", ALT, workers=0, on_error="skip")
    assert [KEYS[2].split("/")[-1].partition("_leftImg8bit")[0] in name for name, _ in skipped.skipped] == [True, True]
    monkeypatch.undo()
    assert import_pairs(Streets(), listed(release), tmp_path / "a.cache", ALT, workers=0).stored == 2


def test_a_killed_import_loses_nothing_that_it_committed(
    release: Path, imported: tuple[Path, ImportReport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_edits, "_COMMIT_EVERY", 2)

    def stop(report: ImportReport) -> None:
        if report.stored >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_pairs(Streets(), listed(release), tmp_path / "a.cache", ALT, workers=0, on_progress=stop)
    assert len(records(tmp_path / "a.cache")) == 2
    import_pairs(Streets(), listed(release), tmp_path / "a.cache", ALT, workers=0)
    assert records(tmp_path / "a.cache") == records(imported[0])


def test_files_that_cannot_be_imported(release: Path, tmp_path: Path) -> None:
    import shutil

    root = tmp_path / "poc_alt"
    shutil.copytree(release, root)
    names = sorted((root / "leftImg8bit/train/aachen").glob("*dog*.npz"))
    names[0].write_bytes(b"")
    np.savez(names[1], img=np.zeros((3, 3, 3), np.uint8))
    labels = root / "gtFine/train/aachen" / f"{names[2].stem}.png"
    labels.unlink()
    with pytest.raises(ImportFilesError) as caught:
        import_pairs(Streets(), listed(root), tmp_path / "a.cache", ALT, workers=0)
    assert names[0].name in caught.value.problem
    assert "on_error='skip'" in caught.value.hint
    assert "--on-error skip" in caught.value.command
    report = import_pairs(Streets(), listed(root), tmp_path / "a.cache", ALT, workers=0, on_error="skip")
    assert (report.stored + report.present, len(report.skipped)) == (3, 3)
    shutil.copytree(release, root, dirs_exist_ok=True)
    assert import_pairs(Streets(), listed(root), tmp_path / "a.cache", ALT, workers=0).stored == 3


def test_names_that_do_not_fit_are_counted_or_raised(release: Path, tmp_path: Path) -> None:
    fewer = poc_release_pairs(release, KEYS[:2], ALT)
    assert (len(fewer.pairs), len(fewer.problems)) == (4, 2)
    with pytest.raises(ImportFilesError, match="2 of 6 files cannot be imported"):
        import_pairs(Streets(), fewer, tmp_path / "a.cache", ALT, workers=0)
    report = import_pairs(Streets(), fewer, tmp_path / "a.cache", ALT, workers=0, on_error="skip")
    assert (report.total, report.stored, len(report.skipped)) == (6, 4, 2)


def test_a_wrong_preset_is_noticed(release: Path, tmp_path: Path) -> None:
    coco = classes_of_preset("poc-coco")
    found = poc_release_pairs(release, KEYS, coco)
    with pytest.raises(ImportFilesError, match="its name says 'dog'"):
        import_pairs(Streets(), found, tmp_path / "a.cache", coco, workers=0)


def test_a_cache_of_other_frames_is_refused(imported: tuple[Path, ImportReport], release: Path, tmp_path: Path) -> None:
    fewer = poc_release_pairs(release, KEYS[:2], ALT)
    with pytest.raises(CacheMismatchError, match=r"backends\.inserter\.files"):
        import_pairs(Streets(), fewer, imported[0], ALT, workers=0, on_error="skip")
    with pytest.raises(CacheMismatchError, match=r"backends\.inserter\.beyond"):
        import_pairs(Streets(), listed(release), imported[0], ALT, workers=0, beyond="drop")
    assert isinstance(Manifest.read(imported[0]), Manifest)


def test_wrong_arguments(release: Path, tmp_path: Path) -> None:
    found = listed(release)
    for wrong in ({"beyond": "all"}, {"codec": "png"}, {"limit": 0}, {"workers": -1}, {"on_error": "pass"}):
        with pytest.raises(SettingError, match=next(iter(wrong))):
            import_pairs(Streets(), found, tmp_path / "a.cache", ALT, **wrong)
    with pytest.raises(SettingError, match="edited is of type str"):
        import_pairs(Streets(), cast(Any, str(release)), tmp_path / "a.cache", ALT)
    with pytest.raises(SettingError, match="classes is of type dict"):
        import_pairs(Streets(), found, tmp_path / "a.cache", cast(Any, {"dog": 19}))
    with pytest.raises(ImportFilesError, match="no sample of the dataset"):
        import_pairs(Streets(), found, tmp_path / "a.cache", ALT, keys=["a", "b", "c"], workers=0)
    with pytest.raises(SchemaError, match="schema"):
        import_pairs(cast(Any, [Streets()[0]]), found, tmp_path / "a.cache", ALT, keys=KEYS[:1], workers=0)
    assert not (tmp_path / "a.cache").exists()
