"""What a shift must not change: exact inside, mixed around it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from poc_aug.backends.scene_models.keep import kept_mask, paste_kept
from poc_aug.errors import SchemaError
from poc_aug.labels.schema import LabelSchema
from poc_aug.scenes.shifter_protocol import SceneFrame
from tests.helpers.small_scenes import street_frame


@pytest.mark.parametrize("feather_px", [0.0, 1.0, 5.0, 12.0])
def test_inside_every_bit_stays_and_the_feather_ends_in_time(feather_px: float) -> None:
    rng = torch.Generator().manual_seed(0)
    before, after = (torch.randint(0, 256, (3, 64, 80), dtype=torch.uint8, generator=rng) for _ in range(2))
    mask = torch.zeros(64, 80, dtype=torch.bool)
    mask[20:40, 30:50] = True
    copies = before.clone(), after.clone()
    pasted = paste_kept(before, after, mask, feather_px)
    assert torch.equal(pasted[:, mask], before[:, mask])
    far = torch.ones_like(mask)
    reach = int(feather_px) + 2
    far[20 - reach : 40 + reach, 30 - reach : 50 + reach] = False
    assert torch.equal(pasted[:, far], after[:, far])
    assert torch.equal(before, copies[0])
    assert torch.equal(after, copies[1])


def test_the_feather_falls_without_a_step() -> None:
    before, after = torch.zeros(3, 9, 60, dtype=torch.uint8), torch.full((3, 9, 60), 255, dtype=torch.uint8)
    mask = torch.zeros(9, 60, dtype=torch.bool)
    mask[:, :30] = True
    row = paste_kept(before, after, mask, 12)[0, 4].int()
    steps = row[1:] - row[:-1]
    assert (int(row[0]), int(row[-1])) == (0, 255)
    assert int(steps.min()) >= 0
    assert int(steps.max()) < 70


def test_which_pixels_are_kept(real_data: Path) -> None:
    frame = street_frame(real_data, 0)
    schema = frame.schema
    assert schema is not None
    labels = frame.labels.clone()
    labels[:4], labels[-4:] = 200, schema.id_of("ego vehicle")
    frame = replace(frame, labels=labels)
    road = labels == schema.id_of("road")
    assert torch.equal(kept_mask(frame, None, inserted=True), (labels == 200) | (labels == 1))
    assert torch.equal(kept_mask(frame, ["road"], inserted=True), (labels == 200) | road)
    with pytest.raises(SchemaError, match="200"):
        kept_mask(frame, [], inserted=False)
    known = replace(frame, labels=street_frame(real_data, 0).labels)
    assert torch.equal(kept_mask(known, ["road"], inserted=False), known.labels == schema.id_of("road"))


def test_anomalies_of_the_schema_are_inserted_objects() -> None:
    schema = LabelSchema("s", {"road": 0, "anomaly": 1}, ignore=(255,), ood=("anomaly",))
    labels = torch.tensor([[0, 1, 255]], dtype=torch.uint8)
    image = torch.zeros(3, 1, 3, dtype=torch.uint8)
    frame = street_stub(image, labels, schema)
    assert kept_mask(frame, None, inserted=True).tolist() == [[False, True, False]]
    assert not kept_mask(frame, None, inserted=False).any()
    assert not kept_mask(replace(frame, schema=None), None, inserted=True).any()
    with pytest.raises(SchemaError, match="label schema is not known"):
        kept_mask(replace(frame, schema=None), ["road"], inserted=True)


def street_stub(image: torch.Tensor, labels: torch.Tensor, schema: LabelSchema) -> SceneFrame:
    return SceneFrame(image, labels, "k", 3, 0, schema=schema)
