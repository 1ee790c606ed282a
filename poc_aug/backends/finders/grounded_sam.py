"""Grounded-SAM as in the paper: Grounding DINO and Segment Anything, original checkpoints (POC §3.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from poc_aug.backends.finders.grounded_finder import GroundedFinder
from poc_aug.backends.finders.grounding_dino import GroundingDinoDetector
from poc_aug.backends.finders.paper_settings import BOX_THRESHOLD, NMS_IOU, TEXT_THRESHOLD
from poc_aug.backends.finders.prompt_annotator import PromptAnnotator
from poc_aug.backends.finders.segment_anything import SegmentAnythingSegmenter


class GroundedSamAnnotator(PromptAnnotator):
    """Annotates with groundingdino-py and segment-anything.

    Args:
        detector_checkpoint: Grounding DINO's ``.pth`` file.
        sam_checkpoint: Segment Anything's ``.pth`` file.
        detector_config: Grounding DINO's ``.py`` configuration; ``None``: Swin-T.
        text_encoder: folder of BERT, or "bert-base-uncased", fetched from the model hub.
        box_threshold: least score of a box (paper: 0.3).
        text_threshold: least score of a token (paper: 0.25).
        nms_iou: of two boxes of one text that overlap more than this, the weaker one is dropped.
        size_px: shorter side of Grounding DINO's input.
        device: "cpu", "cuda", ...; ``None``: CUDA if available.
        dtype: of Segment Anything's encoder; ``None``: float16 on CUDA.
        detector_dtype: of Grounding DINO; ``None``: float32.
        batch_size: most images per run of Grounding DINO.
        options: further arguments of `PromptAnnotator`.

    Raises:
        MissingDependencyError: a package is not installed; the message holds the install line.
        DeviceError: the device is not there, or cannot use the dtype.
        ModelError: a checkpoint is not there, or is not what it should be.
        SettingError: a setting outside its limits.

    Example:
        Needs both checkpoints, so these lines are not run as a test:

        >>> annotator = GroundedSamAnnotator(  # doctest: +SKIP
        ...     "groundingdino_swint_ogc.pth", "sam_vit_h_4b8939.pth"
        ... )

        Settings are checked before anything is loaded:

        >>> GroundedSamAnnotator("groundingdino_swint_ogc.pth", "sam_vit_h_4b8939.pth", box_threshold=1.5)
        Traceback (most recent call last):
        ...
        poc_aug.errors.SettingError: box_threshold=1.5
        Expected: 0 or more, less than 1
    """

    def __init__(
        self,
        detector_checkpoint: str | Path,
        sam_checkpoint: str | Path,
        *,
        detector_config: str | Path | None = None,
        text_encoder: str | Path = "bert-base-uncased",
        box_threshold: float = BOX_THRESHOLD,
        text_threshold: float = TEXT_THRESHOLD,
        nms_iou: float = NMS_IOU,
        size_px: int = 800,
        device: str | None = None,
        dtype: str | None = None,
        detector_dtype: str | None = None,
        batch_size: int = 8,
        **options: Any,
    ) -> None:
        detector = GroundingDinoDetector(
            detector_checkpoint,
            detector_config,
            text_encoder=text_encoder,
            box_threshold=box_threshold,
            text_threshold=text_threshold,
            size_px=size_px,
            device=device,
            dtype=detector_dtype,
            batch_size=batch_size,
        )
        segmenter = SegmentAnythingSegmenter(sam_checkpoint, device=device, dtype=dtype)
        super().__init__(GroundedFinder(detector, segmenter, nms_iou=nms_iou), **options)
