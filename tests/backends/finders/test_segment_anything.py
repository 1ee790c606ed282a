"""Segment Anything with small random weights in its original format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from poc_aug.backends.finders.finder_protocols import Segmenter
from poc_aug.backends.finders.segment_anything import SegmentAnythingSegmenter, build_sam
from poc_aug.errors import ModelError, SettingError
from tests.helpers.grounded_sam_cases import Files, picture, segmenter  # noqa: F401
from tests.helpers.tiny_grounded_sam import grounding_dino_files, segment_anything_path  # noqa: F401


def test_masks_are_those_of_the_librarys_own_call(segmenter: SegmentAnythingSegmenter) -> None:  # noqa: F811
    from segment_anything import SamPredictor

    image = picture(97, 131)
    boxes = torch.tensor([[20.0, 10.0, 90.0, 80.0], [0.0, 0.0, 131.0, 97.0]])
    masks = segmenter.segment([image, picture(50, 60)], [boxes, torch.zeros(0, 4)])
    assert [tuple(each.shape) for each in masks] == [(2, 97, 131), (0, 50, 60)]
    predictor = SamPredictor(segmenter.model)
    predictor.set_image(image.permute(1, 2, 0).numpy())
    for box, mask in zip(boxes, masks[0], strict=True):
        reference, quality, _ = predictor.predict(box=box.numpy(), multimask_output=True)
        # They resize in 8-bit levels, we in floating point.
        assert float(np.mean(reference[quality.argmax()] == mask.numpy())) > 0.98
        assert 0.01 < float(mask.float().mean()) < 0.99


def test_masks_do_not_depend_on_the_batch(segment_anything_path: Path, segmenter: SegmentAnythingSegmenter) -> None:  # noqa: F811
    images = [picture(97, 131, 1), picture(40, 33, 2), picture(128, 128, 3)]
    boxes = [torch.tensor([[5.0, 6.0, 30.0, 31.0]] * n) for n in (1, 3, 2)]
    single = SegmentAnythingSegmenter(segment_anything_path, device="cpu", batch_size=1)
    for image, own, masks in zip(images, boxes, segmenter.segment(images, boxes), strict=True):
        assert (masks.dtype, tuple(masks.shape)) == (torch.bool, (len(own), *image.shape[-2:]))
        (alone,) = single.segment([image], [own])
        assert float((alone == masks).float().mean()) > 0.99


def test_the_encoder_in_half_precision_finds_nearly_the_same(
    segment_anything_path: Path,  # noqa: F811
    segmenter: SegmentAnythingSegmenter,  # noqa: F811
) -> None:
    half = SegmentAnythingSegmenter(segment_anything_path, device="cpu", dtype="bfloat16")
    assert isinstance(half, Segmenter)
    assert half.describe() == {**segmenter.describe(), "dtype": "bfloat16"}
    boxes = [torch.tensor([[20.0, 10.0, 90.0, 80.0]])]
    (full,), (rounded,) = segmenter.segment([picture(97, 131)], boxes), half.segment([picture(97, 131)], boxes)
    assert float((full == rounded).float().mean()) > 0.95


@pytest.mark.parametrize(
    ("kind", "depth", "heads", "all_seeing"),
    [("vit_b", 12, 12, [2, 5, 8, 11]), ("vit_l", 24, 16, [5, 11, 17, 23]), ("vit_h", 32, 16, [7, 15, 23, 31])],
)
def test_the_published_models_are_known_by_their_tensors(
    kind: str, depth: int, heads: int, all_seeing: list[int]
) -> None:
    from segment_anything import sam_model_registry

    with torch.device("meta"):
        original = sam_model_registry[kind]()
        sam = build_sam(original.state_dict(), kind)
    encoder = sam.image_encoder
    assert (encoder.img_size, len(encoder.blocks), encoder.blocks[0].attn.num_heads) == (1024, depth, heads)
    windows = [block.window_size for block in encoder.blocks]
    assert windows == [0 if i in all_seeing else 14 for i in range(depth)]
    assert str(sam) == str(original.eval())


def test_what_is_not_segment_anything_is_told(grounding_dino_files: Files, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(ModelError, match="is not a Segment Anything checkpoint"):
        SegmentAnythingSegmenter(grounding_dino_files[1], device="cpu")
    (tmp_path / "text.pth").write_text("no tensors")
    with pytest.raises(ModelError, match="is not a checkpoint"):
        SegmentAnythingSegmenter(tmp_path / "text.pth", device="cpu")
    torch.save({"image_encoder.pos_embed": 3}, tmp_path / "number.pth")
    with pytest.raises(ModelError, match="is not a Segment Anything checkpoint"):
        SegmentAnythingSegmenter(tmp_path / "number.pth", device="cpu")
    with pytest.raises(SettingError, match=r"batch_size=0(.|\n)*1 or more"):
        SegmentAnythingSegmenter(tmp_path / "number.pth", device="cpu", batch_size=0)
