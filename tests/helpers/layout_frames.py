"""Composed frames for the tests of export layouts, and an export of them without a cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from poc_aug.exporting.exported_frame import ExportedFrame
from poc_aug.exporting.layout_protocol import ExportLayout, ExportPlan
from poc_aug.labels.policies import NewClassLabels, OodLabels
from poc_aug.labels.policy_protocol import LabelPolicy
from poc_aug.reading.compose import compose
from poc_aug.recipe import IGNORED
from poc_aug.types import Insertion
from tests.helpers.edit_cases import TRAIN_IDS, base_sample, blob

IDS = NewClassLabels({"dog": 19, "gnu": 20, "bicycle": 18, "rider": 12}, merge=True)
OOD = OodLabels(254)
NAMES = ("dog", "gnu", "car", "rider", "bicycle", IGNORED)


def make_frame(
    number: int, insertions: Sequence[Insertion] | None = None, *, split: str = "train", policy: LabelPolicy = IDS
) -> ExportedFrame:
    """Frame ``number``: with 0, 1 or 3 insertions unless they are given; nearer ones cover others in part."""
    base = base_sample(number, (33, 47 + number % 3), key=f"{split}/city/frame.{number:04d}.png")
    forms = [
        blob(number, ["dog"], (4, 5, 15, 17), alpha=True),
        blob(number + 1, ["rider", "bicycle"], (8, 12, 17, 15), shade=True),
        blob(number + 2, ["gnu"], (16, 20, 11, 19)),
    ]
    placed = tuple(forms[: (0, 1, 3)[number % 3]] if insertions is None else insertions)
    ids = policy.resolve(NAMES, TRAIN_IDS)
    composed = compose(base, placed, ids)
    return ExportedFrame(
        split=split,
        group="city",
        name=f"city_frame.{number:04d}_v{number % 2}",
        variant=number % 2,
        base=base,
        image=composed.image,
        labels=composed.labels,
        insertions=placed,
        ids=ids,
        schema=TRAIN_IDS,
        ood_ids=frozenset((254,)) if policy is OOD else frozenset((19, 20)),
    )


def plan_of(frames: Sequence[ExportedFrame], policy: LabelPolicy = IDS) -> ExportPlan:
    return ExportPlan(
        schema=TRAIN_IDS,
        policy=policy,
        ids=policy.resolve(NAMES, TRAIN_IDS),
        frames=len(frames),
        splits=tuple(dict.fromkeys(frame.split for frame in frames)),
        has_instances=False,
        provenance={},
    )


def write_all(
    layout: ExportLayout, frames: Sequence[ExportedFrame], folder: Path, policy: LabelPolicy = IDS
) -> list[dict[str, Any]]:
    """Export frames as the exporter does; returns what the layout recorded of each."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = plan_of(frames, policy)
    layout.check(plan)
    records = [layout.write(frame, folder) for frame in frames]
    for frame in frames:
        assert all((folder / name).is_file() for name in layout.files(frame.name, frame.split, frame.group))
    layout.finish(folder, plan, records)
    return records


def ids_in(path: Path) -> npt.NDArray[np.uint8]:
    with Image.open(path) as picture:
        assert picture.mode == "L"
        return np.array(picture)


def pixels_in(path: Path) -> torch.Tensor:
    with Image.open(path) as picture:
        assert picture.mode == "RGB"
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def files_of(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
