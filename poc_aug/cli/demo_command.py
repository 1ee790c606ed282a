"""``poc-aug demo``: from rendered streets to augmented batches, with nothing to download."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch.utils.data import DataLoader

from poc_aug.cache import Cache
from poc_aug.cli.arguments import parse_size
from poc_aug.cli.console import console
from poc_aug.cli.object_sources import load_objects
from poc_aug.cli.progress import print_report, warm_progress
from poc_aug.cli.run_report import with_report
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.files.outputs import check_outputs, writing
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.inspection.contact_sheet import contact_sheet, tiles_of
from poc_aug.labels.policies import OodLabels

_OOD_ID = 254
_VARIANTS = 2


@with_report("demo")
def demo_command(
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder for the demo's files.")] = Path("poc-aug-demo"),
    size: Annotated[str, typer.Option("--size", help="Height and width of the frames.")] = "384,768",
    length: Annotated[int, typer.Option("--length", min=1, max=100_000, help="Number of frames.")] = 6,
    reported: dict[str, Any],
) -> None:
    """Render streets, insert objects into them, load batches, and draw a contact sheet. Downloads nothing."""
    from poc_aug.datasets.synthetic import SyntheticStreet  # its package loads torchvision, which takes a second

    size_hw = parse_size(size)
    started = time.perf_counter()
    check_outputs(out, "contact_sheet.png")
    path = out / "street.cache"
    base = SyntheticStreet(size=size_hw, length=length)
    console.print(f"1. a dataset: {base!r}", markup=False)
    recipe, inserter = load_objects("rendered")
    console.print(f"2. warm_cache: {_VARIANTS} variants per sample, {len(recipe.objects)} kinds of objects")
    with warm_progress(console) as show:
        report = warm_cache(base, path, InsertionPipeline(recipe, inserter), num_variants=_VARIANTS, on_progress=show)
    reported.update(report.to_dict(), out=out)
    print_report(console, report, path)

    augmented = POCAugmentedDataset(base, path, label_policy=OodLabels(_OOD_ID), p=1.0, transforms=_to_tensors)
    console.print(f"3. the wrapper:\n{augmented!r}", markup=False)
    images, labels = next(iter(DataLoader(augmented, batch_size=min(4, length))))
    share = float((labels == _OOD_ID).float().mean())
    console.print(
        f"4. a batch: images {tuple(images.shape)} {images.dtype}, labels {tuple(labels.shape)} {labels.dtype}; "
        f"{share:.2%} of the pixels have the OOD id {_OOD_ID}"
    )
    sheet = out / "contact_sheet.png"
    with Cache.open(path) as cache:
        drawn = contact_sheet(tiles_of(base, cache, length), width_px=2000)
    with writing(sheet):
        drawn.save(sheet)
    console.print(f"5. look at it: {sheet}   ({time.perf_counter() - started:.0f} s in all)", markup=False)


def _to_tensors(image: object, labels: object) -> tuple[torch.Tensor, torch.Tensor]:
    from torchvision.transforms.v2 import functional

    return functional.pil_to_tensor(image), functional.pil_to_tensor(labels)[0]
