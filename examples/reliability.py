"""Does evaluation on weather without weights predict evaluation on real shifted frames, and does it calibrate?

The idea of GenVal (Loiseau et al., ECCV 2024), with few models and frames. ERFNet, trained on Cityscapes, and small
networks that are trained here, of several widths, lengths of training and seeds, are evaluated on fog, night, rain,
snow and low sun over Cityscapes and CamVid frames, and on IDD-Lite, KITTI, BDD100K and CamVid at dusk, in the seven
classes that all of them share. Then: the correlation of the two mIoUs over the models, with intervals and n; and
temperatures that are fitted on shifted frames, and what they do to the calibration error on the real ones.

    python examples/reliability.py --data DATA --out OUT
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import Dataset, Subset
from torchvision.transforms.v2 import functional

sys.path.insert(0, str(Path(__file__).parent))  # as `examples.reliability` this file would not find its neighbours
from erfnet import load_erfnet
from ood_proof import HELD_OUT, TRAINED, cityscapes

from poc_aug import SceneShiftDataset
from poc_aug.datasets import PairedFolder, camvid, idd
from poc_aug.environment import environment, write_json
from poc_aug.evaluation.inference import evaluating, resize_logits, resize_pair
from poc_aug.evaluation.reliability import Reliability, reliability
from poc_aug.evaluation.temperature import ClusteredTemperatureScaling, TemperatureScaling, image_statistics
from poc_aug.labels.schema import SCHEMAS
from poc_aug.metrics import SegmentationCalibration
from poc_aug.scenes.shift_names import WEATHER_DOMAINS
from poc_aug.seeding import generator

# What each dataset calls the seven classes of IDD-Lite, which has the fewest.
COMMON: Mapping[str, tuple[str, ...]] = {
    "road": ("road",),
    "sidewalk": ("sidewalk", "terrain", "non-drivable"),
    "living": ("person", "rider", "pedestrian", "bicyclist", "living"),
    "vehicle": ("car", "truck", "bus", "train", "motorcycle", "bicycle", "vehicle"),
    "roadside": ("wall", "fence", "pole", "traffic light", "traffic sign", "sign", "roadside"),
    "far": ("building", "vegetation", "tree", "far"),
    "sky": ("sky",),
}
CLASSES = tuple(COMMON)
IGNORED = 255
HEIGHT = 256
"""Frames are shown to the networks at this height."""
CROP_HW = (192, 256)
BATCH = 8
CLUSTERS = 4
DUSK = "0001TP"
"""CamVid's sequence at dusk, which no network is trained on."""
ECES = ("as trained", "T, clean frames", "T, shifted frames", f"{CLUSTERS} clusters, shifted frames")

Frame: TypeAlias = tuple[torch.Tensor, torch.Tensor]  # uint8 [3, H, W], and places of CLASSES, uint8 [H, W]


@dataclass(frozen=True)
class Small:
    """A small network, and how it is trained."""

    width: int
    steps: int
    seed: int
    jitter: bool

    @property
    def name(self) -> str:
        """Says all four."""
        return f"small-{self.width}-{self.steps}{'-jitter' if self.jitter else ''}-{self.seed}"


SMALL = tuple(
    Small(width, steps, seed, jitter)
    for seed, (width, steps, jitter) in enumerate(
        [
            *((8, 60, False), (8, 240, False), (8, 240, True), (16, 120, False), (16, 240, True)),
            *((16, 480, False), (24, 60, False), (24, 240, False), (24, 480, True), (32, 240, False)),
        ]
    )
)


class SmallNetwork(nn.Module):
    """To an eighth of the size with strided convolutions, two dilated ones for context, and back bilinearly."""

    def __init__(self, width: int) -> None:
        super().__init__()

        def block(inputs: int, outputs: int, stride: int, dilation: int = 1) -> list[nn.Module]:
            convolution = nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False)
            return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]

        self.layers = nn.Sequential(
            *block(3, width, 2),
            *block(width, 2 * width, 2),
            *block(2 * width, 4 * width, 2),
            *block(4 * width, 4 * width, 1, 2),
            *block(4 * width, 4 * width, 1, 4),
            nn.Conv2d(4 * width, len(CLASSES), 1),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Float ``[B, 3, H, W]`` -> logits ``[B, 7, H, W]``."""
        return resize_logits(self.layers(images), images.shape[-2:])


class CommonClasses(nn.Module):
    """ERFNet's 19 classes as the seven: a class has the probability of all that it is made of.

    It sees frames at twice the size, which is about that on which it was trained.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        names = tuple(SCHEMAS["cityscapes-trainIds"].ids)
        self.parts = [[names.index(name) for name in theirs if name in names] for theirs in COMMON.values()]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Float ``[B, 3, H, W]`` -> logits ``[B, 7, H, W]``."""
        size = [2 * side // 8 * 8 for side in images.shape[-2:]]
        logits = self.network(F.interpolate(images, size, mode="bilinear", align_corners=False))
        common = torch.stack([logits[:, part].logsumexp(dim=1) for part in self.parts], dim=1)
        return resize_logits(common, images.shape[-2:])


def common_frames(dataset: Dataset[Any], schema_name: str, limit: int | None = None) -> list[Frame]:
    """Frames of a dataset at `HEIGHT`, labels as places of `CLASSES`, matched by name; kept in memory."""
    schema = SCHEMAS[schema_name]
    places = torch.full((max(*schema.ids.values(), IGNORED) + 1,), IGNORED, dtype=torch.uint8)
    for place, theirs in enumerate(COMMON.values()):
        for name in theirs:
            if name in schema and (label_id := schema.id_of(name)) not in schema.ignore:
                places[label_id] = place
    frames = []
    count = len(dataset)  # type: ignore[arg-type]
    for index in range(count if limit is None else min(limit, count)):
        image, labels = (functional.pil_to_tensor(part) for part in dataset[index])
        height, width = labels.shape[-2:]
        size = (HEIGHT, round(HEIGHT * width / height / 8) * 8)
        frames.append(resize_pair(image, places[labels[0].long()], size))
    return frames


def day(frames: PairedFolder, *, dusk: bool = False) -> Subset[Any]:
    """CamVid's frames without those at dusk, or those alone."""
    return Subset(frames, [i for i, key in enumerate(frames.keys()) if (DUSK in key) == dusk])


def real_sets(scenes: Path, limit: int | None) -> dict[str, list[Frame]]:
    """Real frames of other places, cameras and light."""
    kitti = PairedFolder(scenes / "kitti5_cropped", "image_2/*.png", "semantic/*.png", schema="cityscapes-labelIds")
    bdd = PairedFolder(scenes / "bdd_pair", "*.jpg", "*_train_id.png", schema="cityscapes-trainIds")
    lite = idd(scenes / "idd20k_lite")
    sets: dict[str, tuple[Dataset[Any], str]] = {
        "IDD-Lite": (Subset(lite, range(0, len(lite), 5)), "idd-lite"),
        "KITTI": (kitti, "cityscapes-labelIds"),
        "BDD100K": (bdd, "cityscapes-trainIds"),
        "CamVid at dusk": (day(camvid(scenes / "camvid"), dusk=True), "camvid"),
    }
    return {name: common_frames(frames, schema, limit) for name, (frames, schema) in sets.items()}


def shifted_sets(scenes: Path, domains: Sequence[str], severity: int, limit: int | None) -> dict[str, list[Frame]]:
    """Held-out frames, clean and in each domain; weather is made at the frames' own size."""
    val = day(camvid(scenes / "camvid", "val"))
    bases = [
        (cityscapes(scenes / "cityscapes", HELD_OUT), "cityscapes-trainIds", "cityscapes"),
        (Subset(val, range(0, len(val), 3)), "camvid", None),
    ]
    sets: dict[str, list[Frame]] = {}
    for domain in ("clean", *domains):
        sets[domain] = []
        for base, schema, camera in bases:
            shown: Dataset[Any] = base
            if domain != "clean":
                shown = SceneShiftDataset(base, domain, severity=severity, camera=camera, schema=schema)
            sets[domain] += common_frames(shown, schema, limit)
        print(f"{domain}: {len(sets[domain])} frames", flush=True)
    return sets


def training_frames(scenes: Path, limit: int | None) -> list[Frame]:
    """CamVid's frames by day, and two frames of Cityscapes, repeated until they are a quarter of all."""
    streets = common_frames(cityscapes(scenes / "cityscapes", TRAINED), "cityscapes-trainIds", limit)
    frames = common_frames(day(camvid(scenes / "camvid")), "camvid", limit)
    return frames + streets * max(1, len(frames) // 6)


def train(small: Small, frames: Sequence[Frame], steps: int) -> SmallNetwork:
    """Train on random crops, in one cycle of the learning rate."""
    rng = generator("reliability example", small.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(small.seed)
        network = SmallNetwork(small.width).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.01, total_steps=max(2, steps))
    for _ in range(steps):
        crops = [crop(frames[int(i)], rng, small.jitter) for i in torch.randint(len(frames), (BATCH,), generator=rng)]
        images, labels = (torch.stack(parts) for parts in zip(*crops, strict=True))
        loss = F.cross_entropy(network(images), labels.long(), ignore_index=IGNORED)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network.eval()


def crop(frame: Frame, rng: torch.Generator, jitter: bool) -> Frame:
    """A random crop, mirrored at random; with jitter its brightness, contrast and colours change."""
    image, labels = frame
    height, width = CROP_HW
    y = int(torch.randint(labels.shape[0] - height + 1, (), generator=rng))
    x = int(torch.randint(labels.shape[1] - width + 1, (), generator=rng))
    pixels, part = image[:, y : y + height, x : x + width].float() / 255, labels[y : y + height, x : x + width]
    drawn = torch.rand(5, generator=rng)
    if drawn[0] < 0.5:
        pixels, part = pixels.flip(-1), part.flip(-1)
    if jitter:
        gain = (0.4 + 1.2 * drawn[1]) * (0.85 + 0.3 * torch.rand(3, generator=rng))
        mean = pixels.mean()
        pixels = (((pixels - mean) * (0.4 + drawn[2]) + mean) * gain[:, None, None]).clamp(0, 1)
    return pixels, part


class Stored(nn.Module):
    """Gives the logits that were computed already: `fit` gets logits and images side by side."""

    def forward(self, both: torch.Tensor) -> torch.Tensor:
        """``[B, 7 + 3, H, W]`` -> ``[B, 7, H, W]``."""
        return both[:, : len(CLASSES)]


def image_part(both: torch.Tensor) -> torch.Tensor:
    """Brightness and contrast of the images behind the logits."""
    return image_statistics(both[:, len(CLASSES) :])


@torch.inference_mode()
def run_network(network: nn.Module, frames: Sequence[Frame]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Logits and images side by side, ``[1, 7 + 3, H, W]``, with labels ``[1, H, W]``."""
    found = []
    with evaluating(network):
        for image, labels in frames:
            pixels = image[None].float() / 255
            found.append((torch.cat([network(pixels), pixels], dim=1), labels[None]))
    return found


def mean_iou(found: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Mean IoU over all pixels of the frames, of the classes that occur."""
    count = len(CLASSES)
    confusion = torch.zeros(count, count, dtype=torch.float64)
    for both, labels in found:
        predicted = both[:, :count].argmax(dim=1)
        known = labels != IGNORED
        pairs = labels[known].long() * count + predicted[known]
        confusion += torch.bincount(pairs, minlength=count**2).reshape(count, count)
    labelled, hits = confusion.sum(dim=1), confusion.diagonal()
    ious = hits / (labelled + confusion.sum(dim=0) - hits)
    return float(ious[labelled > 0].mean())


def calibration_error(found: Sequence[tuple[torch.Tensor, torch.Tensor]], scaling: nn.Module | None) -> float:
    """ECE over all pixels of the frames, with a scaling or without."""
    metric = SegmentationCalibration(ignore_index=IGNORED)
    with torch.inference_mode():
        for both, labels in found:
            logits = both[:, : len(CLASSES)]
            if isinstance(scaling, ClusteredTemperatureScaling):
                logits = scaling(logits, images=both)
            elif scaling is not None:
                logits = scaling(logits)
            metric.update(logits, labels)
    return float(metric.compute()["ECE"])


def measure(
    network: nn.Module, synthetic: Mapping[str, Sequence[Frame]], real: Mapping[str, Sequence[Frame]]
) -> dict[str, Any]:
    """Mean IoU on each set, the fitted temperatures, and ECE on each real set, before and after."""
    run = {name: run_network(network, frames) for name, frames in synthetic.items()}
    clean, shifted = run["clean"], [pair for name, found in run.items() if name != "clean" for pair in found]
    clusters = min(CLUSTERS, len(shifted))
    once, on_shifted = (TemperatureScaling().fit(Stored(), pairs, ignore=IGNORED) for pairs in (clean, shifted))
    clustered = ClusteredTemperatureScaling(clusters, image_part).fit(Stored(), shifted, ignore=IGNORED)
    scalings = (None, once, on_shifted, clustered)
    miou = {name: mean_iou(found) for name, found in run.items()}
    del run, clean, shifted
    ece: dict[str, dict[str, float]] = {}
    for name, frames in real.items():
        found = run_network(network, frames)
        miou[name] = mean_iou(found)
        ece[name] = {how: calibration_error(found, scaling) for how, scaling in zip(ECES, scalings, strict=True)}
    temperatures = [float(each.temperature) for each in (once, on_shifted)]
    return {
        "mIoU": miou,
        "ECE": ece,
        "temperatures": {
            "clean": temperatures[0],
            "shifted": temperatures[1],
            "clusters": clustered.temperatures.tolist(),
        },
    }


def agreement(results: Mapping[str, Any], synthetic: Sequence[str], real: Sequence[str]) -> Reliability:
    """Correlation over the models of mean mIoU on some synthetic and some real sets."""
    sides = [
        {model: fmean(result["mIoU"][name] for name in names) for model, result in results.items()}
        for names in (synthetic, real)
    ]
    return reliability(sides[0], sides[1])


def markdown(results: Mapping[str, Any], domains: Sequence[str], real: Mapping[str, Sequence[Frame]]) -> str:
    """The tables."""
    sets = ("clean", *domains, *real)
    lines = [f"| mIoU, % | {' | '.join(sets)} |", "|---|" + "---:|" * len(sets)]
    for model, result in results.items():
        figures = [f"{100 * result['mIoU'][name]:.1f}" for name in sets]
        lines.append(f"| {model} | {' | '.join(figures)} |")
    lines += ["", f"| mIoU on, n = {len(results)} models | mIoU on | Pearson | Spearman |", "|---|---|---|---|"]
    pairs = [(("clean",), tuple(real)), (tuple(domains), tuple(real))]
    pairs += [((domain,), tuple(real)) for domain in domains if len(domains) > 1]
    pairs += [(given, (name,)) for name in real for given in (("clean",), tuple(domains))]
    for ours, theirs in pairs:
        found = agreement(results, ours, theirs)
        texts = [f"{c.value:.2f} ({c.interval_text(2)})" for c in (found.pearson, found.spearman)]
        names = ["all weather" if ours == tuple(domains) else ours[0], "all real" if len(theirs) > 1 else theirs[0]]
        lines.append(f"| {' | '.join(names + texts)} |")
    lines += ["", f"| ECE, %, mean of {len(results)} models | {' | '.join(ECES)} |", "|---|" + "---:|" * len(ECES)]
    for name, frames in real.items():
        means = [100 * fmean(result["ECE"][name][how] for result in results.values()) for how in ECES]
        lines.append(f"| {name} ({len(frames)} frames) | {' | '.join(f'{mean:.1f}' for mean in means)} |")
    lines += [
        "",
        "| models whose ECE is lower than as trained | " + " | ".join(ECES[1:]) + " |",
        "|---|---:|---:|---:|",
    ]
    for name in real:
        better = [sum(r["ECE"][name][how] < r["ECE"][name][ECES[0]] for r in results.values()) for how in ECES[1:]]
        lines.append(f"| {name} | {' | '.join(f'{count} of {len(results)}' for count in better)} |")
    return "\n".join(lines)


def main() -> None:
    default = Path(os.environ.get("POC_AUG_DATA", "data"))
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder that holds scenes/ and weights/; default: POC_AUG_DATA")
    parser.add_argument("--weights", type=Path, help="ERFNet's; default: weights/erfnet_cityscapes_fp16.pth there")
    parser.add_argument("--out", type=Path, help="folder for results.json, reliability.csv and the plot")
    parser.add_argument("--severity", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="three networks of a few steps, one domain, few frames")
    options = parser.parse_args()
    scenes = (options.data or default) / "scenes"
    if not (scenes / "cityscapes").is_dir():
        if options.data is None:
            print(f"not run: no frames in {scenes}; set POC_AUG_DATA, or give --data, to the folder that holds scenes/")
            return
        raise SystemExit(f"--data {options.data}: no folder {scenes / 'cityscapes'}")
    weights = options.weights or scenes.parent / "weights" / "erfnet_cityscapes_fp16.pth"
    limit, domains = (1, ("fog",)) if options.smoke else (None, WEATHER_DOMAINS)
    synthetic = shifted_sets(scenes, domains, options.severity, limit)
    real = real_sets(scenes, limit)
    trained = training_frames(scenes, 4 if options.smoke else None)
    results: dict[str, Any] = {}
    if not options.smoke:
        results["erfnet"] = measure(CommonClasses(load_erfnet(weights)), synthetic, real)
        print(f"erfnet: {results['erfnet']['mIoU']}", flush=True)
    for small in SMALL[:3] if options.smoke else SMALL:
        steps = 3 + 3 * small.seed if options.smoke else small.steps
        results[small.name] = measure(train(small, trained, steps), synthetic, real)
        print(f"{small.name}: {results[small.name]['mIoU']}", flush=True)
    print("\n" + markdown(results, domains, real))
    if options.out is not None:
        frames = {name: len(found) for name, found in (synthetic | real).items()}
        settings = {"severity": options.severity, "frames": frames, "classes": list(CLASSES)}
        write_json(
            options.out / "results.json", {"settings": settings, "models": results, "environment": environment()}
        )
        overall = agreement(results, domains, tuple(real))
        overall.plot(options.out / "reliability.png", label="mIoU")
        with (options.out / "reliability.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(("model", "synthetic", "real"))
            writer.writerows(zip(overall.models, overall.synthetic, overall.real, strict=True))


if __name__ == "__main__":
    main()
