"""What the processes that `tests.helpers.quick_start` forks have imported already: most of what the tests need."""

from __future__ import annotations

import importlib
from contextlib import suppress

import torch

torch.set_num_threads(1)
for _name in (
    "torch.distributed",
    "torch.utils.data",
    "torchvision.transforms.v2",
    "kornia",
    "poc_aug.cli",
    "poc_aug.evaluation.inference",
    "poc_aug.generation.warming",
    "poc_aug.live.server",
    "poc_aug.metrics",
    "poc_aug.dataset",
    "tests.helpers.joint_cases",
    "tests.helpers.live_cases",
):
    with suppress(ImportError):  # an optional package: whoever needs it says so
        importlib.import_module(_name)
