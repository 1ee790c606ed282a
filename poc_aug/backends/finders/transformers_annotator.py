"""Annotation with models of transformers: a zero-shot detector and one of the Segment Anything family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from poc_aug.backends.common.device import resolve_device, resolve_dtype
from poc_aug.backends.finders.grounded_finder import GroundedFinder
from poc_aug.backends.finders.paper_settings import BOX_THRESHOLD, NMS_IOU, TEXT_THRESHOLD
from poc_aug.backends.finders.prompt_annotator import PromptAnnotator
from poc_aug.backends.finders.transformers_detector import TransformersDetector
from poc_aug.backends.finders.transformers_load import model_kind
from poc_aug.backends.finders.transformers_segmenter import SEGMENTER, TransformersSegmenter


class TransformersAnnotator(PromptAnnotator):
    """Annotates with a detector and a segmenter of transformers.

    Args:
        detector: folder or hub id of Grounding DINO, MM-Grounding-DINO, LLMDet, OWLv2 or OWL-ViT.
        segmenter: folder or hub id of SAM, SAM-HQ, SAM 2 or SAM 2.1.
        box_threshold: least score of a box (paper: 0.3 for Grounding DINO; OWL models score lower).
        text_threshold: least score of a token (paper: 0.25); Grounding DINO family only.
        nms_iou: of two boxes of one text that overlap more than this, the weaker one is dropped.
        device: "cpu", "cuda", ...; ``None``: CUDA if available.
        dtype: of the segmenter's encoder; ``None``: float16 on CUDA.
        detector_dtype: of the detector; ``None``: float32.
        batch_size: most images per run of the detector.
        options: further arguments of `PromptAnnotator`.

    Raises:
        MissingDependencyError: transformers is not installed; the message holds the install line.
        DeviceError: the device is not there, or cannot use the dtype.
        ModelError: a model is not there, not reachable, of another kind, or incomplete.
        SettingError: a setting outside its limits.

    Example:
        Needs the models' weights, so these lines are not run as a test:

        >>> annotator = TransformersAnnotator(  # doctest: +SKIP
        ...     "IDEA-Research/grounding-dino-tiny", "facebook/sam2.1-hiera-large"
        ... )

        What is wrong is reported before anything is loaded:

        >>> TransformersAnnotator("IDEA-Research/grounding-dino-tiny", "./no-such-folder")
        Traceback (most recent call last):
        ...
        poc_aug.errors.ModelError: no segmenter at './no-such-folder'
        Expected: SAM, SAM-HQ, SAM 2: a folder or hub id such as facebook/sam2.1-hiera-large
        Next step: check the path or the spelling
    """

    def __init__(
        self,
        detector: str | Path,
        segmenter: str | Path,
        *,
        box_threshold: float = BOX_THRESHOLD,
        text_threshold: float = TEXT_THRESHOLD,
        nms_iou: float = NMS_IOU,
        device: str | None = None,
        dtype: str | None = None,
        detector_dtype: str | None = None,
        batch_size: int = 8,
        **options: Any,
    ) -> None:
        # What the segmenter needs is checked before the detector's weights are read.
        resolve_dtype(dtype, resolve_device(device))
        model_kind(segmenter, SEGMENTER)
        boxes = TransformersDetector(
            detector,
            box_threshold=box_threshold,
            text_threshold=text_threshold,
            device=device,
            dtype=detector_dtype,
            batch_size=batch_size,
        )
        masks = TransformersSegmenter(segmenter, device=device, dtype=dtype)
        super().__init__(GroundedFinder(boxes, masks, nms_iou=nms_iou), **options)
