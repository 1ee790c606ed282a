"""A real training of mmengine on the CPU, and a record of what the model was given."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from mmengine.model import BaseModel  # type: ignore[import-untyped]
from mmengine.registry import MODELS, TRANSFORMS  # type: ignore[import-untyped]
from mmengine.runner import Runner  # type: ignore[import-untyped]

Recorded: TypeAlias = tuple[str, dict[str, Any]]
"""Key of a frame, and its image and labels as results of a pipeline have them."""

_seen: list[Recorded] = []


@TRANSFORMS.register_module(force=True)
class PackForATest:
    """What a model gets: the image as a tensor, the labels, and the name of the frame."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        image = torch.from_numpy(np.ascontiguousarray(results["img"].transpose(2, 0, 1)))
        return {"inputs": image, "labels": results["gt_seg_map"], "key": Path(results["img_path"]).stem}


@MODELS.register_module(force=True)
class RecordingModel(BaseModel):  # type: ignore[misc]
    """A model of one weight that keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs: Any, labels: Any, key: list[str], mode: str = "tensor") -> Any:
        """The loss; ``mode`` is as in mmengine."""
        assert mode == "loss"
        for image, ids, name in zip(inputs, labels, key, strict=True):
            _seen.append((name, {"img": image.permute(1, 2, 0).numpy(), "gt_seg_map": np.asarray(ids)}))
        return {"loss": self.weight.sum()}


def run_training(
    folder: Path, dataset: dict[str, Any], loop: str, passes: int, length: int, workers: int
) -> list[Recorded]:
    """Train for some passes over a dataset; returns what the model was given, in its order."""
    _seen.clear()
    dataset = {**dataset, "pipeline": [*dataset.get("pipeline", ()), {"type": "PackForATest"}]}
    by_epoch = loop == "EpochBasedTrainLoop"
    runner = Runner(
        model={"type": "RecordingModel"},
        work_dir=str(folder),
        train_dataloader={
            "dataset": dataset,
            # Not shuffled without epochs: with workers, two of them could read one frame at the same moment.
            "sampler": {"type": "DefaultSampler" if by_epoch else "InfiniteSampler", "shuffle": by_epoch},
            "batch_size": 1,
            "num_workers": workers,
            "persistent_workers": workers > 0,
            "collate_fn": {"type": "pseudo_collate"},
        },
        train_cfg={"type": loop, "max_epochs" if by_epoch else "max_iters": passes * (1 if by_epoch else length)},
        optim_wrapper={"type": "OptimWrapper", "optimizer": {"type": "SGD", "lr": 0.1}},
        default_hooks={"checkpoint": None, "logger": None},
        experiment_name=folder.name,
        log_level="ERROR",
    )
    runner.train()
    if workers:  # collected as garbage, the loader would wait five seconds for each of them
        runner.train_dataloader._iterator._shutdown_workers()
    return list(_seen)
