"""mmengine's Runner, with insertions by two lines of its config.

    python examples/mmengine_config.py --iterations 200

``custom_imports`` and the transform ``PocInsert`` after the one that loads labels are all that differs from a training
without insertions; in mmsegmentation's configs they are the same two lines. The loop counts iterations, and each frame
is drawn anew each time that it is read. Streets and objects are rendered by the package; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from poc_aug import InsertionPipeline, RenderedInserter, SyntheticStreet, warm_cache
from poc_aug.presets import load_preset

if missing := [name for name in ("mmcv", "mmengine") if importlib.util.find_spec(name) is None]:
    sys.exit(f"examples/mmengine_config.py needs {' and '.join(missing)}: pip install mmengine mmcv-lite")

from mmengine.config import Config  # type: ignore[import-untyped]
from mmengine.dataset import BaseDataset  # type: ignore[import-untyped]
from mmengine.model import BaseModel  # type: ignore[import-untyped]
from mmengine.registry import DATASETS, MODELS, TRANSFORMS  # type: ignore[import-untyped]
from mmengine.runner import Runner  # type: ignore[import-untyped]

CONFIG = """
custom_imports = dict(imports=["poc_aug.integrations.mmsegmentation"])
train_dataloader = dict(
    batch_size=2,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="FoldersOfFrames",
        data_root="{root}",
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations", with_bbox=False, with_label=False, with_seg=True),
            dict(type="PocInsert", cache="{root}/street.cache", schema="cityscapes-trainIds", p=0.5),
            dict(type="RandomFlip", prob=0.5),
            dict(type="PackFrame"),
        ],
    ),
)
model = dict(type="ObjectFinder")
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=3e-3))
train_cfg = dict(type="IterBasedTrainLoop", max_iters={iterations})
default_hooks = dict(checkpoint=None)
log_level = "WARNING"
randomness = dict(seed=0)
work_dir = "{root}/work"
"""
OOD_ID = 254  # of PocInsert's default label policy, OodLabels(254)


@DATASETS.register_module()
class FoldersOfFrames(BaseDataset):  # type: ignore[misc]
    """Images and label maps of the same names, as mmsegmentation's datasets list them."""

    def load_data_list(self) -> list[dict[str, Any]]:
        """One dict per frame."""
        images = sorted(Path(self.data_root, "images").glob("*.png"))
        labels = Path(self.data_root, "labels")
        return [{"img_path": str(image), "seg_map_path": str(labels / image.name)} for image in images]


@TRANSFORMS.register_module()
class PackFrame:
    """What the model takes: tensors."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """float32 ``[3, H, W]`` in [0, 1], and int64 ``[H, W]``."""
        image = np.ascontiguousarray(results["img"].transpose(2, 0, 1), np.float32) / 255
        return {"inputs": torch.from_numpy(image), "labels": torch.from_numpy(results["gt_seg_map"].astype(np.int64))}


@MODELS.register_module()
class ObjectFinder(BaseModel):  # type: ignore[misc]
    """Finds inserted pixels: three convolutions, one logit per pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 5, 2, 2),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, 1, 2, dilation=2),
            nn.ReLU(),
            nn.Conv2d(16, 1, 1),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
        )
        self.frames = self.frames_with_objects = 0

    def forward(self, inputs: torch.Tensor, labels: torch.Tensor, mode: str = "loss") -> dict[str, torch.Tensor]:
        """The loss of a batch."""
        inserted = labels == OOD_ID
        self.frames += len(inserted)
        self.frames_with_objects += int(inserted.flatten(1).any(dim=1).sum())
        logits = self.layers(inputs)[:, 0]
        weight = torch.tensor(20.0)
        return {"loss": nn.functional.binary_cross_entropy_with_logits(logits, inserted.float(), pos_weight=weight)}


def write_streets(root: Path, count: int) -> None:
    """Frames and labels as files, and the cache of their insertions."""
    streets = SyntheticStreet(size=(96, 192), length=count)
    for folder in ("images", "labels"):
        (root / folder).mkdir()
    for number, key in enumerate(streets.keys()):
        image, labels = streets[number]
        image.save(root / "images" / f"{key}.png")
        labels.save(root / "labels" / f"{key}.png")
    warm_cache(streets, root / "street.cache", InsertionPipeline(load_preset("obstacles"), RenderedInserter()))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--smoke", action="store_true", help="a few frames and iterations")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        write_streets(root, 6 if options.smoke else 32)
        text = CONFIG.format(root=root.as_posix(), iterations=30 if options.smoke else options.iterations)
        runner = Runner.from_cfg(Config.fromstring(text, ".py"))
        model = runner.train()
    shown = model.frames_with_objects / model.frames
    print(f"{shown:.0%} of the frames showed objects")
    if not 0.3 < shown < 0.7:
        raise SystemExit(f"p=0.5, but {shown:.0%} of the frames showed objects")


if __name__ == "__main__":
    main()
