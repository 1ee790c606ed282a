"""Train a small segmentation model on objects that are inserted while it trains, or on the same ones from a cache.

    python examples/live_training.py --mode generate      # each item waits for its insertions
    python examples/live_training.py --mode background    # none waits: they are made alongside the training
    python examples/live_training.py --mode prebuilt      # all are made before: the losses of "generate"
    python examples/live_training.py --backend diffusion --model stable-diffusion-v1-5/stable-diffusion-inpainting

Model, loss and crop are those of ``train_camvid.py``. Nothing is downloaded for the first three: the frames are
rendered, the objects are drawn here. Training runs on the CPU; diffusion models use a GPU if there is one, and equal
their prebuilt insertions up to the order of floating-point sums, which depends on how requests were batched.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw
from torch.utils.data import DataLoader, Dataset
from train_camvid import OOD_ID, Crop, loss_of, small_model

from poc_aug import (
    DiffusionInserter,
    InsertionPipeline,
    LiveSettings,
    OodLabels,
    POCAugmentedDataset,
    SyntheticStreet,
    TransformersAnnotator,
    warm_cache,
)
from poc_aug.backends.finders.mask_cleaning import clean_mask
from poc_aug.cli.object_sources import load_objects, load_recipe
from poc_aug.datasets import camvid
from poc_aug.labels.schema import SCHEMAS
from poc_aug.protocols import Annotator
from poc_aug.types import Annotation, Filled, Part, Rejection
from poc_aug.types import Crop as SceneCrop

VARIANTS = 3
SEED = 0


def draw_cutouts(folder: Path) -> Path:
    """Draw a suitcase, a box and a chair as RGBA pictures; their names give them real sizes."""
    shapes: dict[str, list[tuple[tuple[int, int, int, int], tuple[int, int, int]]]] = {
        "suitcase": [
            ((34, 4, 62, 10), (40, 40, 45)),
            ((8, 12, 88, 124), (150, 40, 50)),
            ((8, 60, 88, 66), (90, 25, 30)),
        ],
        "box": [
            ((4, 40, 92, 124), (170, 130, 85)),
            ((4, 40, 92, 56), (195, 155, 105)),
            ((44, 40, 52, 124), (215, 195, 150)),
        ],
        "chair": [
            ((16, 4, 26, 124), (95, 60, 30)),
            ((16, 8, 80, 56), (130, 85, 45)),
            ((16, 66, 80, 80), (150, 100, 55)),
            ((70, 66, 80, 124), (95, 60, 30)),
        ],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, parts in shapes.items():
        picture = Image.new("RGBA", (96, 128))
        draw = ImageDraw.Draw(picture)
        for corners, colour in parts:
            draw.rounded_rectangle(corners, radius=3, fill=(*colour, 255))
        picture.save(folder / f"{name}.png")
    return folder


class ChangeAnnotator:
    """Takes the largest patch of the box that the inpainting changed clearly as the object.

    Enough for a model with random weights, which paints nothing that a detector would know. With real weights it would
    take repainted road for a part of the object: use `TransformersAnnotator` or `GroundedSamAnnotator` there.

    Args:
        threshold: least change of a channel, in levels of 255.
    """

    def __init__(self, threshold: int = 24) -> None:
        self.threshold = threshold

    def describe(self) -> dict[str, Any]:
        """Everything that determines the result."""
        return {"annotator": "change", "version": 1, "threshold": self.threshold}

    def annotate(self, crops: Sequence[SceneCrop], filled: Sequence[Filled]) -> list[Annotation | Rejection]:
        """One result per crop, in order."""
        return [self._find(crop, picture) for crop, picture in zip(crops, filled, strict=True)]

    def _find(self, crop: SceneCrop, picture: Filled) -> Annotation | Rejection:
        y, x, h, w = crop.box_yxhw
        change = (picture.image.int() - crop.image.int()).abs().amax(dim=0)
        mask = torch.zeros_like(change, dtype=torch.bool)
        mask[y : y + h, x : x + w] = change[y : y + h, x : x + w] >= self.threshold
        # An island as large as the largest one is the only one that is no speck.
        mask = clean_mask(mask, speck_fraction=1.0, hole_fraction=0.2)
        if not bool(mask.any()):
            return Rejection(
                "not detected", crop.object_name, detail=f"no change of {self.threshold} levels in the box"
            )
        return Annotation((Part(crop.parts[0], mask),))


def diffusion_pipeline(
    model: str, objects: str, detector: str | None, segmenter: str | None, steps: int | None
) -> InsertionPipeline:
    """Load the models. The generation process calls this: no other process ever holds them, or touches CUDA."""
    annotator: Annotator = ChangeAnnotator()
    if detector is not None and segmenter is not None:
        annotator = TransformersAnnotator(detector, segmenter)
    return InsertionPipeline(load_recipe(objects), DiffusionInserter(model, steps=steps), annotator)


def make_pipeline(options: argparse.Namespace, scratch: Path) -> InsertionPipeline | Callable[[], InsertionPipeline]:
    """A pipeline, or for models a function that builds it: at module level, since another process has to import it."""
    if options.backend == "diffusion":
        steps = 2 if options.smoke else None
        objects = options.objects or "poc-alt"
        return partial(diffusion_pipeline, options.model, objects, options.detector, options.segmenter, steps)
    if options.backend == "rendered":
        return InsertionPipeline(*load_objects("rendered"))
    objects = options.objects or str(draw_cutouts(scratch / "cutouts"))
    return InsertionPipeline(*load_objects(objects, schema=SCHEMAS["cityscapes-trainIds"]))  # CamVid has streets too


def open_dataset(options: argparse.Namespace, base: Dataset[Any], crop: Crop, scratch: Path) -> POCAugmentedDataset:
    """The augmented dataset; for "prebuilt", after its cache is filled."""
    cache = options.cache or scratch / "live.cache"
    pipeline = make_pipeline(options, scratch)
    if options.mode == "prebuilt":
        built = pipeline if isinstance(pipeline, InsertionPipeline) else pipeline()
        report = warm_cache(base, cache, built, num_variants=VARIANTS)
        print(f"{report.made} variants, {report.objects} objects, {report.seconds:.1f} s")
        return POCAugmentedDataset(base, cache, OodLabels(OOD_ID), p=0.7, transforms=crop, seed=SEED)
    return POCAugmentedDataset(
        base,
        cache,
        OodLabels(OOD_ID),
        pipeline=pipeline,
        on_miss=options.mode,
        live=LiveSettings(num_variants=VARIANTS, refresh=options.refresh),
        p=0.7,
        transforms=crop,
        seed=SEED,
    )


def train_model(train: POCAugmentedDataset, options: argparse.Namespace) -> None:
    # The insertions follow from the dataset's seed, order and crops from these two: workers get their seeds from the
    # loader's generator.
    torch.manual_seed(SEED)
    loader = DataLoader(
        train,
        batch_size=4,
        shuffle=True,
        drop_last=True,
        num_workers=options.workers,
        persistent_workers=options.workers > 0,
        multiprocessing_context=options.start_method if options.workers else None,
        generator=torch.Generator().manual_seed(SEED),
    )
    model = small_model().train()
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3)
    writer = None
    if options.tensorboard is not None:
        from torch.utils.tensorboard import SummaryWriter

        writer = SummaryWriter(options.tensorboard)
    for epoch in range(options.epochs):
        train.set_epoch(epoch)
        losses = []
        for images, labels in loader:
            loss = loss_of(model(images), labels)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            losses.append(float(loss.detach()))
        print(f"epoch {epoch}: loss {sum(losses) / len(losses):.6f}")
        statistics = train.stats()
        print(f"  {statistics}")
        if writer is not None:
            writer.add_scalar("loss", sum(losses) / len(losses), epoch)
            statistics.write_to(writer)
    if writer is not None:
        writer.close()


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mode", choices=("generate", "background", "prebuilt"), default="generate")
    parser.add_argument("--backend", choices=("paste", "rendered", "diffusion"), default="paste")
    parser.add_argument(
        "--camvid", type=Path, help="folder of CamVid, as for train_camvid.py; default: rendered streets"
    )
    parser.add_argument("--objects", help="what `warm_cache --objects` takes; for diffusion a preset or a recipe file")
    parser.add_argument("--model", help="inpainting model: a folder, or an id of the Hugging Face hub")
    parser.add_argument("--detector", help="with --segmenter: models of transformers that find what was painted")
    parser.add_argument("--segmenter")
    parser.add_argument("--cache", type=Path, help="kept and continued; default: in a temporary folder")
    parser.add_argument("--refresh", type=float, default=0.0, help="share of the variants made anew each epoch")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--start-method", choices=("fork", "spawn", "forkserver"), default="fork")
    parser.add_argument("--tensorboard", type=Path, metavar="DIR", help="write losses and statistics there")
    parser.add_argument("--smoke", action="store_true", help="a few small frames and two epochs")
    options = parser.parse_args()
    if options.backend == "diffusion" and options.model is None:
        parser.error("--backend diffusion needs --model")
    if (options.detector is None) != (options.segmenter is None):
        parser.error("--detector and --segmenter come together")
    if options.mode == "prebuilt" and options.refresh:
        parser.error("--refresh makes variants while training: not with --mode prebuilt")
    options.epochs = options.epochs or (2 if options.smoke else 5)
    return options


def main() -> None:
    options = parse_options()
    base: Dataset[Any]
    if options.camvid is not None:
        base, crop = camvid(options.camvid, "train"), Crop((256, 320))
    elif options.smoke:
        base, crop = SyntheticStreet(size=(128, 256), length=8), Crop((96, 192))
    else:
        base, crop = SyntheticStreet(size=(256, 512), length=128), Crop((192, 384))
    with tempfile.TemporaryDirectory() as scratch, open_dataset(options, base, crop, Path(scratch)) as train:
        if options.mode != "prebuilt":
            train.start()  # reports models that cannot be loaded, and the first item need not wait for them
        train_model(train, options)


# The generation process imports this file: what is not under this line would run there too.
if __name__ == "__main__":
    main()
