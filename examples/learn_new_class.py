r"""Teach a trained network a class that its dataset does not have, from inserted objects alone.

CamVid has no animals, and ERFNet, trained on Cityscapes, has never seen one labelled. Cut-out animals are inserted into
CamVid's frames under a new label id; the network learns to say so in its unused void channel, and to agree with its
former self on all other pixels. It is tested on photographs of real animals on roads (RoadAnomaly, frames 0 to 30).

    python examples/learn_new_class.py --data DATA --out animals.pth
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import torch
from PIL import Image
from torch import nn
from torch.utils.data import Subset

sys.path.insert(0, str(Path(__file__).parent))  # as `examples.learn_new_class` this file would not find its neighbours
from erfnet import SIZE_HW, load_erfnet
from finetune_ood import KNOWN, ObjectCrop, finetune, load_model, save
from ood_proof import StreetFrames

from poc_aug import InsertionPipeline, NewClassLabels, ObjectBank, PasteInserter, POCAugmentedDataset, warm_cache
from poc_aug.backends.paste.bank_recipe import paste_recipe
from poc_aug.datasets import road_anomaly
from poc_aug.evaluation.closed_set import evaluate_classes
from poc_aug.labels.schema import SCHEMAS, LabelSchema
from poc_aug.recipe import CAMERAS

ANIMAL = KNOWN
"""The new label id, and the channel of ERFNet's logits that training left unused."""
ANIMALS = ("bird", "cow", "dog", "elephant", "horse")
REAL = range(31)
"""RoadAnomaly's frames of animals; those behind are of cones, rocks and tyres."""

# All that is no animal is one class: a pixel of it that is called an animal counts as an error.
CLASSES = (*SCHEMAS["cityscapes-trainIds"].ids, "animal")
TEST_SCHEMA = LabelSchema("animals", {"other": 0, "animal": 2})
OTHER = dict.fromkeys(CLASSES[:KNOWN], "other")


def named(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the new class, on its pixels."""
    inserted = labels == ANIMAL
    if not inserted.any():
        return logits.sum() * 0
    return -torch.log_softmax(logits, dim=1)[:, ANIMAL][inserted].mean()


def with_channel(weights: Path, out: Path) -> None:
    """The same network, its void channel started as the mean of all others.

    As it comes, void is so unlikely everywhere that 100 steps do not raise it to a single pixel.
    """
    network = load_erfnet(weights)
    last = network.decoder.output_conv
    with torch.no_grad():
        last.weight[:, ANIMAL] = last.weight[:, :KNOWN].mean(dim=1)
        assert last.bias is not None
        last.bias[ANIMAL] = last.bias[:KNOWN].mean()
    save(network, out)


def test(weights: Path, data: Path, limit: int | None) -> float:
    """IoU of "animal" on real photographs."""
    frames = road_anomaly(data / "anomaly" / "RoadAnomaly")
    # Files sort as text: 0, 1, 10, 11, ...
    numbers = [i for i, key in enumerate(frames.keys()) if int(Path(key).stem) in REAL]
    animals: Subset[tuple[Image.Image, Image.Image]] = Subset(frames, numbers[:limit])
    model: nn.Module = load_model(weights, channels=KNOWN + 1)
    result = evaluate_classes(model, animals, CLASSES, merge=OTHER, schema=TEST_SCHEMA, size_hw=SIZE_HW)
    print(f"{weights.name}: IoU of animals on {result.frames} photographs {100 * result.iou['animal']:.1f}%")
    return result.iou["animal"]


def main() -> None:
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("POC_AUG_DATA", default)))
    parser.add_argument("--weights", type=Path, help="ERFNet's state dict; default: of DATA")
    parser.add_argument("--out", type=Path, help="file to write the fine-tuned weights to")
    parser.add_argument("--cache", type=Path, help="default: in a temporary folder")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="one step, two photographs")
    options = parser.parse_args()
    if options.out is None and not options.smoke:
        parser.error("needed: --out")
    weights = options.weights or options.data / "weights" / "erfnet_cityscapes_fp16.pth"
    few = 4 if options.smoke else None
    base = StreetFrames(options.data)
    bank = ObjectBank.from_folder(options.data / "objects", include=ANIMALS)
    pipeline = InsertionPipeline(paste_recipe(bank, camera=CAMERAS["cityscapes"].model_dump()), PasteInserter(bank))
    with tempfile.TemporaryDirectory() as scratch:
        cache, out = options.cache or Path(scratch) / "animals.cache", options.out or Path(scratch) / "animals.pth"
        print(warm_cache(base, cache, pipeline, num_variants=1 if options.smoke else 4, limit=few, workers=0))
        frames = POCAugmentedDataset(
            base,
            cache,
            NewClassLabels(dict.fromkeys(ANIMALS, ANIMAL), merge=True),
            p=1.0,
            redraw="epoch",
            seed=options.seed,
            transforms=ObjectCrop([ANIMAL]),
        )
        start = Path(scratch) / "start.pth"
        with_channel(weights, start)
        model, summary = finetune(
            start,
            [frames],
            steps=1 if options.smoke else options.steps,
            seed=options.seed,
            inserted_loss=named,
            inserted=[ANIMAL],
            weight=1.0,
            sampling=[weight if few is None or i < few else 0.0 for i, weight in enumerate(base.weights)],
        )
        save(model, out)
        print(f"{summary['inserted_share']:.1%} of the pixels were inserted, {summary['seconds']:.0f} s")
        for file in (weights, out):
            test(file, options.data, 2 if options.smoke else None)


if __name__ == "__main__":
    main()
