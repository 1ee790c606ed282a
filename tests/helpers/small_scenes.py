"""Real frames as shifters are given them, at sizes that small models paint in a moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from poc_aug.labels.schema import SCHEMAS
from poc_aug.scenes.shifter_protocol import SceneFrame


def street_frame(root: Path, number: int = 0, size_hw: tuple[int, int] = (66, 130), *, severity: int = 3) -> SceneFrame:
    """Frame ``number`` (0 to 3) of Cityscapes with its labelIds; its seed is ``number``."""
    stem = f"train/aachen/aachen_{number:06d}_000019"
    scenes = root / "scenes" / "cityscapes"
    h, w = size_hw
    image = Image.open(scenes / "leftImg8bit" / f"{stem}_leftImg8bit.png").convert("RGB").resize((w, h))
    labels = Image.open(scenes / "gtFine" / f"{stem}_gtFine_labelIds.png").resize((w, h), Image.Resampling.NEAREST)
    return SceneFrame(
        torch.from_numpy(np.array(image)).permute(2, 0, 1),
        torch.from_numpy(np.array(labels)),
        f"aachen_{number}",
        severity,
        number,
        schema=SCHEMAS["cityscapes-labelIds"],
        caption="a street with cars",
    )
