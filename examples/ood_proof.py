"""Compare no fine-tuning, naive pasting and our insertion on real anomalies: the tables of docs/results.md.

The same cut-outs, the same budget, several seeds: examples/finetune_ood.py on Cityscapes and CamVid frames, then
Fishyscapes Static and RoadAnomaly, never trained on. ``--cache`` adds a cache of one's own to the comparison (of
diffusion, say: ``warm_cache --dataset examples.ood_proof:StreetFrames root=DATA ...``). What is in ``--out`` already is
not done again.

    python examples/ood_proof.py --data DATA --out OUT
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional

sys.path.insert(0, str(Path(__file__).parent))  # as `examples.ood_proof` this file would not find its neighbours
from erfnet import SIZE_HW
from finetune_ood import BATCH, CROP_HW, ObjectCrop, finetune, load_model, save

from poc_aug import InsertionPipeline, ObjectBank, OodLabels, PasteInserter, POCAugmentedDataset, warm_cache
from poc_aug.backends.paste.bank import CITYSCAPES_COCO_CLASSES
from poc_aug.backends.paste.bank_recipe import paste_recipe
from poc_aug.datasets import PairedFolder, camvid, fishyscapes, road_anomaly
from poc_aug.environment import environment, write_json
from poc_aug.evaluation.anomalies import Frame, evaluate
from poc_aug.evaluation.closed_set import evaluate_classes
from poc_aug.labels.schema import SCHEMAS
from poc_aug.losses import OOD_ID
from poc_aug.recipe import CAMERAS, FrameSize, PerspectiveSize, Rung

SCORES = ("msp", "max-logit", "entropy")
FIGURES = ("AuPRC", "FPR95", "F1")
VARIANTS = {"camvid": 8, "cityscapes": 64}
"""Of a frame: half of all crops are of the two frames of Cityscapes."""
TRAINED = ("aachen_000000_000019", "aachen_000001_000019")
HELD_OUT = ("aachen_000002_000019", "aachen_000003_000019")
CLASSES = tuple(SCHEMAS["cityscapes-trainIds"].ids)

# CamVid's labels in trainIds, and what CamVid calls classes that it does not distinguish.
_CAMVID_TO_TRAIN = torch.tensor([10, 2, 5, 0, 1, 8, 7, 4, 13, 11, 12, 255], dtype=torch.uint8)
_CAMVID_NAMES = {
    **{"wall": "building", "terrain": "tree", "traffic light": "sign", "motorcycle": "bicyclist"},
    **{"bicycle": "bicyclist", "truck": "car", "bus": "car", "train": "car"},
}

Arm: TypeAlias = Literal["before", "naive", "real", "ours", "cache"]
Part: TypeAlias = Literal["naive", "real", "any"]
PARTS: Mapping[Arm, Mapping[Part, float]] = {
    "naive": {"naive": 1.0},
    "real": {"real": 1.0},
    "ours": {"real": 0.9, "any": 0.1},
}
"""What the crops of an arm are taken from: shares of its caches."""
ANY_SIZE = PerspectiveSize(size_m=1.45, jitter=0.72, measure="longest")
"""0.4 to 2.5 m long, for every class: an unknown object may be larger or smaller than what it resembles."""
Run: TypeAlias = dict[str, Any]
Items: TypeAlias = torch.utils.data.Subset[tuple[Image.Image, Image.Image]]


class StreetFrames(Dataset[tuple[Image.Image, Image.Image]]):
    """What is trained on: two frames of Cityscapes, CamVid's training frames; labels in trainIds; kept in memory.

    Args:
        root: folder that holds ``scenes/cityscapes`` and ``scenes/camvid``.
        cityscapes_share: how often a frame of Cityscapes is drawn, of all: `weights`.
    """

    schema = SCHEMAS["cityscapes-trainIds"]

    def __init__(self, root: str | Path, *, cityscapes_share: float = 0.5) -> None:
        scenes = Path(root) / "scenes"
        self._cityscapes = cityscapes(scenes / "cityscapes", TRAINED)
        self._camvid = camvid(scenes / "camvid", "train")
        self._kept: dict[int, tuple[Image.Image, Image.Image]] = {}
        counts = (len(self._cityscapes), len(self._camvid))
        shares = (cityscapes_share, 1 - cityscapes_share)
        self.weights = [share / count for share, count in zip(shares, counts, strict=True) for _ in range(count)]

    def keys(self) -> list[str]:
        """Paths within the two datasets."""
        return [*(f"cityscapes/{k}" for k in self._cityscapes.keys()), *(f"camvid/{k}" for k in self._camvid.keys())]

    def __len__(self) -> int:
        return len(self._cityscapes) + len(self._camvid)

    def __getitem__(self, index: int) -> tuple[Image.Image, Image.Image]:
        if index not in self._kept:
            first = len(self._cityscapes)
            if index < first:
                image, labels = self._cityscapes[index]
            else:
                image, labels = self._camvid[index - first]
                labels = Image.fromarray(_CAMVID_TO_TRAIN[functional.pil_to_tensor(labels)[0].long()].numpy())
            self._kept[index] = image, labels
        image, labels = self._kept[index]
        return image.copy(), labels.copy()


def cityscapes(root: Path, names: Sequence[str]) -> PairedFolder:
    """Some of Cityscapes' training frames, with trainIds."""
    images = [f"leftImg8bit/train/aachen/{name}_leftImg8bit.png" for name in names]
    labels = [f"gtFine/train/aachen/{name}_gtFine_labelTrainIds.png" for name in names]
    return PairedFolder(root, images, labels, schema="cityscapes-trainIds")


def pipeline_of(part: Part, objects: Path) -> InsertionPipeline:
    """The same cut-outs, pasted as papers do ("naive"), or with all that this library adds ("real" sizes, "any" sizes).

    "real" has more objects per frame, since a cup on a road is small: about as many inserted pixels as "naive" then.
    """
    bank = ObjectBank.from_folder(objects, exclude=CITYSCAPES_COCO_CLASSES)
    if part == "naive":
        anywhere = (Rung(min_overlap=0).model_dump(),)
        recipe = paste_recipe(bank, sizes=FrameSize(), location=(), ladder=anywhere)
        plain = PasteInserter(bank, harmonise=0, shadow=False, sharpness=False, grain=False, edge="feather")
        return InsertionPipeline(recipe, plain)
    camera = CAMERAS["cityscapes"].model_dump()
    if part == "real":
        recipe = paste_recipe(bank, camera=camera, objects_per_variant=(3, 6))
    else:
        recipe = paste_recipe(bank, sizes=ANY_SIZE, camera=camera, objects_per_variant=(2, 4))
    return InsertionPipeline(recipe, PasteInserter(bank))


def measure(weights: Path, original: Path, options: argparse.Namespace) -> Run:
    """Anomaly figures by set and score, and mIoU by set, in percent. No frame was fine-tuned on.

    "mIoU" is that of the classes of the original network (see `load_model`), "mIoU alone" that of the fine-tuned one
    without it; anomaly scores are the same for both.
    """
    model, anomalies = load_model(weights), {}
    limit, device = 1 if options.smoke else None, options.device
    for name, frames in anomaly_sets(options.data).items():
        evaluation = evaluate(
            model, frames, SCORES, size_hw=options.size_hw, anomalous_only=True, limit=limit, device=device
        )
        anomalies[name] = {
            score: {figure: 100 * result.pixels[figure] for figure in FIGURES}
            for score, result in evaluation.scores.items()
        }
    known: dict[str, dict[str, float]] = {}
    for kind, network in (("mIoU", load_model(weights, original)), ("mIoU alone", model)):
        known[kind] = {}
        for name, (frames, names) in known_sets(options.data).items():
            result = evaluate_classes(
                network, frames, CLASSES, merge=names, size_hw=options.size_hw, limit=limit, device=device
            )
            known[kind][name] = 100 * result.mean_iou
    return {"anomalies": anomalies, **known}


def anomaly_sets(data: Path) -> dict[str, PairedFolder]:
    """The sets with real ground truth of anomalies."""
    folder = data / "anomaly"
    return {"fs_static": fishyscapes(folder / "fs_static"), "RoadAnomaly": road_anomaly(folder / "RoadAnomaly")}


def known_sets(data: Path) -> dict[str, tuple[PairedFolder, dict[str, str]]]:
    """Labelled frames for mIoU, and how they call the network's classes."""
    scenes = data / "scenes"
    kitti = PairedFolder(scenes / "kitti5_cropped", "image_2/*.png", "semantic/*.png", schema="cityscapes-labelIds")
    return {
        "Cityscapes": (cityscapes(scenes / "cityscapes", HELD_OUT), {}),
        "CamVid": (camvid(scenes / "camvid", "val"), _CAMVID_NAMES),
        "KITTI": (kitti, {}),
    }


def run_arm(arm: Arm, seed: int, options: argparse.Namespace) -> Run:
    """Fine-tune and evaluate once; what is in the output folder already is read from there."""
    out: Path = options.out
    result, weights = out / f"{arm}-{seed}.json", out / f"{arm}-{seed}.pth"
    if result.is_file():
        run: Run = json.loads(result.read_text(encoding="utf-8"))
        if arm != "before" and (steps := run["training"].get("steps")) != options.steps:
            raise SystemExit(
                f"{result} is of {steps} steps, --steps is {options.steps}: give another --out, or delete it"
            )
        return run
    base, few = StreetFrames(options.data), 6 if options.smoke else None
    if arm == "before":
        run = measure(options.weights, options.weights, options)
        write_json(result, run)
        return run
    shares = PARTS.get(arm, {})
    caches = [out / f"{part}.cache" for part in shares] or [options.cache]
    for part, cache in zip(shares, caches, strict=False):
        pipeline = pipeline_of(part, options.data / "objects")
        for variants, limit in ((VARIANTS["camvid"], few), (VARIANTS["cityscapes"], len(TRAINED))):
            report = warm_cache(base, cache, pipeline, num_variants=1 if few else variants, limit=limit, workers=0)
            print(f"{part}: {report.made} variants made, {report.objects} objects, {report.seconds:.0f} s", flush=True)
    frames = [
        POCAugmentedDataset(base, cache, OodLabels(OOD_ID), p=1.0, redraw="epoch", seed=seed, transforms=ObjectCrop())
        for cache in caches
    ]
    model, training = finetune(
        options.weights,
        frames,
        steps=options.steps,
        seed=seed,
        shares=list(shares.values()) or None,
        sampling=[weight if few is None or i < few else 0.0 for i, weight in enumerate(base.weights)],
        device=options.device,
        workers=options.workers,
        tell=lambda text: print(f"{arm} {seed}: {text}", flush=True),
    )
    save(model, weights)
    run = {"training": training, **measure(weights, options.weights, options)}
    write_json(result, run)
    return run


def prove(options: argparse.Namespace) -> None:
    """The arms that are asked for, over the seeds; then table, JSON and pictures."""
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    runs: dict[str, list[Run]] = {}
    for seed in options.seeds:
        for arm in options.arms:
            if arm != "before" or arm not in runs:
                runs.setdefault(arm, []).append(run_arm(arm, seed, options))
    table = markdown(runs)
    print(table)
    (out / "results.md").write_text(table, encoding="utf-8")
    settings = {"steps": options.steps, "batch": BATCH, "crop_hw": CROP_HW, "variants": VARIANTS}
    write_json(out / "results.json", {"environment": environment(), "settings": settings, "runs": runs})
    draw(options)


def markdown(runs: dict[str, list[Run]]) -> str:
    """Medians with least and greatest over the seeds: a table of anomalies and one of mIoU."""
    arms = list(runs)
    some = next(iter(runs.values()))[0]
    lines = [f"| set | score | figure | {' | '.join(arms)} |", f"|---|---|---|{'---:|' * len(arms)}"]
    for name in some["anomalies"]:
        for score in SCORES:
            for figure in FIGURES:
                cells = [_cell([run["anomalies"][name][score][figure] for run in runs[arm]], 1) for arm in arms]
                lines.append(f"| {name} | {score} | {figure} | {' | '.join(cells)} |")
    lines += ["", f"| set | figure | {' | '.join(arms)} |", f"|---|---|{'---:|' * len(arms)}"]
    for kind in ("mIoU", "mIoU alone"):
        for name in some[kind]:
            cells = [_cell([run[kind][name] for run in runs[arm]], 2) for arm in arms]
            lines.append(f"| {name} | {kind} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(values: Sequence[float], digits: int) -> str:
    median = f"{statistics.median(values):.{digits}f}"
    return median if len(values) == 1 else f"{median} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def draw(options: argparse.Namespace) -> None:
    """Score maps (MSP) of the first seed: image, ground truth, and each arm in turn."""
    names: list[Arm] = options.arms
    files = [options.weights if name == "before" else options.out / f"{name}-{options.seeds[0]}.pth" for name in names]
    models = [load_model(file) for file in files]
    for name, frames in anomaly_sets(options.data).items():
        picked: Items = torch.utils.data.Subset(frames, range(0, len(frames), max(1, len(frames) // 8)))
        rows: list[torch.Tensor] = []
        for number in range(1 if options.smoke else len(picked)):
            seen: list[Frame] = []
            for model in models:
                one: Items = torch.utils.data.Subset(picked, [number])
                evaluate(
                    model,
                    one,
                    ("msp",),
                    size_hw=options.size_hw,
                    schema=frames.schema,
                    device=options.device,
                    on_frame=seen.append,
                )
            truth = torch.stack([(seen[0].labels == value).to(torch.uint8) * 255 for value in (1, 255, 255)])
            panels = [seen[0].image, truth, *(heat(frame.scores["msp"]) for frame in seen)]
            rows.append(torch.cat([panel[:, ::2, ::2] for panel in panels], dim=2))
        sheet = torch.cat(rows, dim=1).permute(1, 2, 0).numpy()
        path = options.out / f"maps-{name}.png"
        Image.fromarray(np.ascontiguousarray(sheet)).save(path)
        print(f"{path}: image, ground truth (red; ignored: cyan), {', '.join(names)}")


def heat(score: torch.Tensor) -> torch.Tensor:
    """A score in [0, 1], ``[H, W]``, as colours from black over red and yellow to white: uint8 ``[3, H, W]``."""
    bands = torch.stack([3 * score, 3 * score - 1, 3 * score - 2])
    return (bands.clamp(0, 1) * 255).to(torch.uint8)


def main() -> None:
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    data = Path(os.environ.get("POC_AUG_DATA", default))
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=data, help="default: POC_AUG_DATA")
    parser.add_argument("--weights", type=Path, help="ERFNet's state dict; default: of DATA")
    parser.add_argument("--out", type=Path, help="a folder outside of the repository")
    parser.add_argument("--cache", type=Path, help="one more arm: a cache of examples.ood_proof:StreetFrames")
    parser.add_argument("--arms", nargs="+", choices=get_args(Arm), help="default: all but real")
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=0, help="processes that read frames")
    parser.add_argument("--smoke", action="store_true", help="one step, a frame of each set, half as large")
    options = parser.parse_args()
    options.arms = options.arms or ["before", "naive", "ours", *(["cache"] if options.cache else [])]
    if "cache" in options.arms and options.cache is None:
        parser.error("--arms cache needs --cache")
    options.weights = options.weights or options.data / "weights" / "erfnet_cityscapes_fp16.pth"
    options.size_hw = SIZE_HW
    if options.smoke:
        options.size_hw = (SIZE_HW[0] // 2, SIZE_HW[1] // 2)
        with tempfile.TemporaryDirectory() as scratch:
            options.out, options.steps, options.seeds = options.out or Path(scratch), 1, [0]
            prove(options)
    elif options.out is None:
        parser.error("needed: --out")
    else:
        prove(options)


if __name__ == "__main__":
    main()
