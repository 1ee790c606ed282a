"""A training loop that counts iterations, not epochs, as those of mmengine and detectron2 do.

    python examples/loop_without_epochs.py --steps 200

An endless sampler feeds the loader, and nobody ever calls ``set_epoch``. ``redraw="read"`` is all that such a loop
needs: whether a frame shows objects, and which, is drawn anew each time that the frame is read. Streets and objects
are rendered by the package; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Sampler
from torchvision.transforms import v2

from poc_aug import InsertionPipeline, OodLabels, POCAugmentedDataset, RenderedInserter, SyntheticStreet, warm_cache
from poc_aug.presets import load_preset

OOD_ID = 254
WORKERS, BATCH = 2, 4


class EndlessSampler(Sampler[int]):
    """Permutation after permutation, as mmengine's ``InfiniteSampler`` and detectron2's ``TrainingSampler``."""

    def __init__(self, length: int, seed: int = 0) -> None:
        self.length, self.seed = length, seed

    def __iter__(self) -> Iterator[int]:
        """Indices, without an end."""
        rng = torch.Generator().manual_seed(self.seed)
        while True:
            yield from torch.randperm(self.length, generator=rng).tolist()


def to_tensors(image: object, labels: object) -> tuple[torch.Tensor, torch.Tensor]:
    """float32 ``[3, H, W]`` in [0, 1] and bool ``[H, W]``: where an object was inserted."""
    pixels = v2.functional.pil_to_tensor(image).float() / 255
    return pixels, v2.functional.pil_to_tensor(labels)[0] == OOD_ID


def small_model() -> nn.Module:
    """Finds inserted pixels: three convolutions, one logit per pixel."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 5, 2, 2),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, 1, 2, dilation=2),
        nn.ReLU(),
        nn.Conv2d(16, 1, 1),
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--smoke", action="store_true", help="a few frames and steps")
    options = parser.parse_args()
    steps = 16 if options.smoke else options.steps
    base = SyntheticStreet(size=(96, 192), length=6 if options.smoke else 32)
    with tempfile.TemporaryDirectory() as scratch:
        cache = Path(scratch) / "street.cache"
        warm_cache(base, cache, InsertionPipeline(load_preset("obstacles"), RenderedInserter()))
        train = POCAugmentedDataset(base, cache, OodLabels(OOD_ID), p=0.5, redraw="read", transforms=to_tensors)
        loader = DataLoader(train, BATCH, sampler=EndlessSampler(len(train)), num_workers=WORKERS)
        shown = run(loader, steps)
    print(f"{shown:.0%} of the frames showed objects")
    if not 0.3 < shown < 0.7:
        raise SystemExit(f"p=0.5, but {shown:.0%} of the frames showed objects")


def run(loader: DataLoader[tuple[torch.Tensor, torch.Tensor]], steps: int) -> float:
    """Train for some steps; returns the share of frames that showed objects."""
    torch.manual_seed(0)
    model = small_model()
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    losses: list[float] = []
    shown: list[bool] = []
    for step, (images, inserted) in enumerate(itertools.islice(loader, steps), start=1):
        logits = model(images)[:, 0]
        loss = nn.functional.binary_cross_entropy_with_logits(logits, inserted.float(), pos_weight=torch.tensor(20.0))
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        losses.append(float(loss.detach()))
        shown += inserted.flatten(1).any(dim=1).tolist()
        if step % 8 == 0:
            print(f"step {step}: loss {sum(losses[-8:]) / 8:.3f}")
    return sum(shown) / len(shown)


if __name__ == "__main__":
    main()
