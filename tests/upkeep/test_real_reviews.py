"""Decisions on real street scenes: rejected, relabelled, undone, replaced and compacted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Subset
from torchvision.datasets import Cityscapes

from poc_aug.backends.rendered.rendered_inserter import RenderedInserter
from poc_aug.cache import Cache
from poc_aug.cache.journal_entry import JournalEntry
from poc_aug.cache.journal_writing import JournalWriter
from poc_aug.cache.selection import Selection
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.labels.policies import OodLabels
from poc_aug.recipe import Recipe
from poc_aug.upkeep import compact_cache
from tests.helpers.cache_cases import stored_variant

VARIANTS, PERSON = 2, 24


def items(base: Any, cache: Path) -> list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    with POCAugmentedDataset(base, cache, OodLabels(254), variants="all", p=1.0) as dataset:
        return [(np.array(image), np.array(labels)) for image, labels in (dataset[n] for n in range(len(dataset)))]


def test_a_review_of_real_frames(real_data: Path, tmp_path: Path) -> None:
    root = str(real_data / "scenes" / "cityscapes")
    base = Subset(Cityscapes(root, split="train", mode="fine", target_type="semantic"), [0])
    recipe = Recipe.from_dict(
        {"objects": ["suitcase", "traffic cone"], "camera": "cityscapes", "objects_per_variant": [2, 2]}
    )
    pipeline, path = InsertionPipeline(recipe, RenderedInserter()), tmp_path / "a.cache"
    warm_cache(base, path, pipeline, num_variants=VARIANTS, workers=0)
    before = items(base, path)
    with Cache.open(path) as cache:
        stored = {name: stored_variant(cache, *name) for name in cache}
        places = {
            Selection(recipe=cache.manifest.fingerprint, key=key, variant=index, insertion=number): one
            for (key, index), variant in stored.items()
            for number, one in enumerate(variant.insertions)
        }
    assert len(places) > 2
    rejected, renamed, *others = places
    with JournalWriter(path, by="anna") as writer:
        relabels = [
            JournalEntry("relabel", renamed, 0, to="person"),
            *(JournalEntry("accept", one, 0) for one in others),
        ]
        (relabel, *_) = writer.append_all(relabels)
        drop = writer.append("drop", rejected)
    after = items(base, path)
    changed = [
        (number, pair)
        for number, pair in enumerate(zip(before, after, strict=True))
        if not all(map(np.array_equal, *pair))
    ]
    assert 1 <= len(changed) <= 2
    ids = {int(label_id) for _, (old, new) in changed for label_id in np.unique(new[1][old[1] != new[1]])}
    assert PERSON in ids  # of the dataset's schema
    assert np.sum(after[changed[-1][0]][1] == PERSON) > np.sum(before[changed[-1][0]][1] == PERSON)

    compact_cache(path, tmp_path / "small.cache")
    assert all(
        all(map(np.array_equal, *pair)) for pair in zip(after, items(base, tmp_path / "small.cache"), strict=True)
    )

    report = warm_cache(base, path, pipeline, num_variants=VARIANTS, workers=0, replace_dropped=True)
    assert (report.replacements, report.made, report.unreplaced) == (1, 1, 0)
    with Cache.open(path) as cache:
        assert cache.variants(str(rejected.key)) == tuple(range(VARIANTS + 1))
    with JournalWriter(path, by="anna") as writer:
        writer.undo([relabel, drop])
    shown = items(base, path)
    first = [pair for number, pair in enumerate(shown) if number % (VARIANTS + 1) < VARIANTS]
    assert all(all(map(np.array_equal, *pair)) for pair in zip(before, first, strict=True))
