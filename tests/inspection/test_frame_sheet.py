"""Sheets and summaries of shifted frames: which are shown, where they stand, and what is counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from poc_aug.cache import Cache
from poc_aug.cache.record_summary import RecordSummary
from poc_aug.errors import CacheDatasetMismatchError, SettingError
from poc_aug.generation.shift_pipeline import ShiftPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.inspection.frame_sheet import FrameRow, frame_sheet, rows_of
from poc_aug.inspection.frame_summary import summaries_of
from poc_aug.scenes.scene_recipe import SceneRecipe
from poc_aug.types import Rejection, Sample, ShiftedFrame, Variant
from tests.helpers.fakes import Frames
from tests.helpers.kinds import DOMAINS, SEVERITIES, NoiseShifter


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three samples, two domains, two severities, two variants; some are rejected."""
    out = tmp_path_factory.mktemp("frames") / "frames.cache"
    recipe = SceneRecipe(domains=DOMAINS, severities=SEVERITIES, attempts=1, seed=4)
    shifters = [NoiseShifter(DOMAINS[0]), NoiseShifter(DOMAINS[1], reject=0.5)]
    warm_cache(Frames(3), out, ShiftPipeline(recipe, shifters), num_variants=2, workers=0)
    return out


def flat(value: int) -> torch.Tensor:
    return torch.full((3, 40, 80), value, dtype=torch.uint8)


def a_row(*severities: int, rejected: int = 0) -> FrameRow:
    variants = {
        severity: Variant("a", 0, b"", (), frame=ShiftedFrame(flat(40 * severity), "dusk", severity, {}))
        for severity in severities
    }
    if rejected:
        variants[rejected] = Variant("a", 0, b"", (), (Rejection("black", "dusk"),) * 3)
    return FrameRow(Sample(flat(240), torch.zeros(40, 80, dtype=torch.uint8), "a"), "dusk", variants)


def test_the_original_stands_left_of_its_severities_in_order() -> None:
    pixels = np.asarray(frame_sheet([a_row(5, 2), a_row(3)], width_px=306).convert("L"))
    column = [pixels[:, left : left + 80] for left in (10, 110, 210)]
    flats = [[value for value in (240, 200, 120, 80) if (own == value).sum() >= 0.9 * 80 * 40] for own in column]
    assert flats == [[240], [120, 80], [200]]
    first, second = ((column[1] == value).any(axis=1).argmax() for value in (80, 120))
    assert first < second  # rows are below each other


def test_a_rejected_frame_is_left_empty_and_said() -> None:
    row = a_row(2, rejected=4)
    assert row.title == "a  dusk   rejected: 3"
    pixels = np.asarray(frame_sheet([row], width_px=306).convert("L"))
    assert not (pixels[-40:, 220:290] > 60).any()


def test_no_row_is_an_error() -> None:
    with pytest.raises(SettingError, match="no frame to show"):
        frame_sheet([])


def test_rows_show_all_severities_and_different_domains_and_samples(path: Path) -> None:
    with Cache.open(path) as cache:
        rows = rows_of(Frames(3), cache, 4)
        assert [(row.sample.key, row.domain) for row in rows] == [("frame-000", "dusk"), ("frame-001", "haze")]
        assert all(list(row.variants) == [2, 4] for row in rows)
        assert [len(row.variants) for row in rows_of(Frames(3), cache, 3)] == [2, 1]
        every = rows_of(Frames(3), cache, 100)
        shown = {(row.sample.key, row.domain) for row in every}
        assert len(shown) == len(every)
        assert {key for key, domain in shown if domain == "dusk"} == {"frame-000", "frame-001", "frame-002"}
        for row in every:
            assert any(variant.frame is not None for variant in row.variants.values())


def test_frames_of_another_dataset_are_not_drawn(path: Path) -> None:
    with Cache.open(path) as cache, pytest.raises(CacheDatasetMismatchError):
        rows_of(Frames(3, size_hw=(48, 64)), cache, 4)


def test_the_summary_counts_frames_and_rejections(path: Path) -> None:
    with Cache.open(path) as cache:
        summaries = summaries_of(cache)
        assert [(one.domain, one.severity) for one in summaries] == [(d, s) for d in DOMAINS for s in SEVERITIES]
        for one in summaries:
            variants = [cache.get(*name) for name in cache if name[0].endswith(f"@{one.domain}-{one.severity}")]
            counts = one.counts
            assert len(variants) == 6 == counts.frames + counts.rejected
            assert counts.frames == sum(variant is not None and variant.frame is not None for variant in variants)
            assert counts.agreement.value is None
        every = [one.counts for one in summaries]
        assert every[0].rejected == 0
        assert 0 < sum(counts.rejections["black"] for counts in every) == sum(counts.rejected for counts in every)


def test_agreement_is_the_mean_over_frames() -> None:
    checked = {"agreement": 0.5, "agreement_by_class": {"car": 0.25, "road": 0.75}}
    other = {"agreement": 1.0, "agreement_by_class": {"car": 1.0}}
    summary = RecordSummary()
    for provenance in (checked, other, {"agreement": "?", "agreement_by_class": 3}):
        frame = {"domain": "dusk", "severity": 3, "provenance": provenance}
        summary.add({"insertions": [], "rejections": [], "frame": frame}, ("dusk", 3))
    (counts,) = summary.shifts.values()
    assert (counts.frames, counts.agreement.value) == (3, 0.75)
    assert {name: (mean.total, mean.count) for name, mean in counts.by_class.items()} == {
        "car": (1.25, 2),
        "road": (0.75, 1),
    }
