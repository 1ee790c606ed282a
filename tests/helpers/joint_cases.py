"""What the workers of the tests of joint transforms load: little, for a spawned one imports this file."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils.data import get_worker_info

from tests.helpers.fakes import Frames


class Same(Frames):
    """Every item has the same pixels, so that only the transform tells two items apart."""

    def __getitem__(self, index: int) -> Any:
        return super().__getitem__(0)


def halved(image: Any, labels: Any) -> Any:
    return torch.from_numpy(np.array(image)), torch.from_numpy(np.array(labels)) / 2


def wrong_in_worker_1(image: Any, labels: Any) -> Any:
    worker = get_worker_info()
    return np.array(image), np.array(labels) + (worker is not None and worker.id == 1)
