"""Inserts per second of the engine, beside the procedure of POC's public code, same models, same process.

The models are of full size (or small, for a CPU) with random weights: they cost what real ones cost. What they find is
noise, so in every arm the models run in full and then their answer is replaced: every attempt is accepted.

    python benchmarks/generation.py --models full --arms poc,ours,ours-lcm --out benchmarks/results/generation_gpu.json
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from harness import console, options, publish, show
from poc_procedure import PocProcedure
from random_models import Models, build

from poc_aug.backends.diffusion import DiffusionInserter
from poc_aug.backends.finding import Detections, Masks
from poc_aug.backends.grounded import GroundedFinder
from poc_aug.backends.grounding_dino import GroundingDinoDetector
from poc_aug.backends.prompt_annotator import PromptAnnotator
from poc_aug.backends.prompt_locator import PromptLocator
from poc_aug.backends.segment_anything import SegmentAnythingSegmenter
from poc_aug.measure import significant
from poc_aug.pipeline import InsertionPipeline
from poc_aug.recipe import Recipe
from poc_aug.schema import LabelSchema
from poc_aug.statistics import Statistics
from poc_aug.types import Sample

_SCHEMA = LabelSchema("benchmark", {"road": 0, "other": 1}, ground=("road",))
_PROMPTS = ("a dog", "a cat", "a box", "a sheep")
_ARMS = ("poc", "poc-detector-on-gpu", "ours", "ours-located", "ours-compiled", "ours-lcm")


class _ForcedDetector:
    """Grounding DINO runs in full; then the middle of the image is the answer."""

    def __init__(self, detector: GroundingDinoDetector) -> None:
        self.detector = detector

    def describe(self) -> dict[str, Any]:
        return self.detector.describe()

    def text_limit(self, text: str) -> tuple[int, int]:
        return self.detector.text_limit(text)

    def detect(self, images: Sequence[torch.Tensor], texts: Sequence[str]) -> list[Detections]:
        self.detector.detect(images, texts)
        return [Detections(_middle(image), torch.ones(1)) for image in images]


class _ForcedFinder(GroundedFinder):
    """SAM runs in full; then the box itself is the mask."""

    def find(self, images: Sequence[torch.Tensor], texts: Sequence[Sequence[str]]) -> list[list[Masks]]:
        found = super().find(images, texts)
        for image, row in zip(images, found, strict=True):
            for masks in row:
                x0, y0, x1, y1 = _middle(image)[0].int().tolist()
                masks.masks[:] = False
                masks.masks[:, y0:y1, x0:x1] = True
        return found


def _middle(image: torch.Tensor) -> torch.Tensor:
    h, w = image.shape[-2:]
    return torch.tensor([[w / 4, h / 4, 3 * w / 4, 3 * h / 4]])


def frames(count: int, size_hw: tuple[int, int]) -> list[Sample]:
    """Noise over a road that fills the lower half: nothing in the models looks at what is seen."""
    samples = []
    for number in range(count):
        rng = torch.Generator().manual_seed(number)
        image = torch.randint(0, 256, (3, *size_hw), dtype=torch.uint8, generator=rng)
        labels = torch.ones(size_hw, dtype=torch.uint8)
        labels[size_hw[0] // 2 :] = 0
        samples.append(Sample(image, labels, f"frame-{number}"))
    return samples


def recipe_of(side: int, **changes: Any) -> Recipe:
    """Boxes of one size, everything accepted."""
    objects = [{"name": text.split()[-1], "prompts": [text]} for text in _PROMPTS]
    return Recipe.from_dict(
        {
            "objects": objects,
            "size": {"kind": "pixels", "min_px": side, "max_px": side + 1},
            "aspect_min": 1.0,
            "aspect_max": 1.0,
            "margin_px": side // 8,
            "min_inside_box": 0.0,
            "min_area_of_crop": 0.0,
            "attempts": 1,
            "prompt_template": "A good photo of {object}",
            **changes,
        }
    )


def run_poc(
    models: Models, samples: Sequence[Sample], args: argparse.Namespace, detector_device: str
) -> dict[str, Any]:
    """The procedure, after one insertion to warm up."""
    procedure = PocProcedure(models, args.device, args.steps, detector_device, args.detector_px)

    def one(number: int) -> None:
        sample = samples[number % len(samples)]
        procedure.insert(sample.image, sample.labels == 0, _PROMPTS[number % 4], args.side, number)

    one(0)
    procedure.seconds.clear()
    rates = []
    for number in range(args.poc_inserts):
        started = time.perf_counter()
        one(number + 1)
        rates.append(time.perf_counter() - started)
    seconds = sum(rates)
    return {
        "inserts": args.poc_inserts,
        "inserts_per_s": significant(args.poc_inserts / seconds),
        "seconds_per_insert": {
            name: significant(value / args.poc_inserts) for name, value in procedure.seconds.items()
        },
        "slowest_s": significant(max(rates)),
        "fastest_s": significant(min(rates)),
    }


def run_ours(models: Models, samples: Sequence[Sample], args: argparse.Namespace, **changes: Any) -> dict[str, Any]:
    """Our engine, after one batch to warm up."""
    lcm = changes.get("lcm", False)
    inserter = DiffusionInserter(
        models.inpainting,
        device=args.device,
        steps=4 if lcm else args.steps,
        guidance=1.0 if lcm else 7.5,
        scheduler="LCMScheduler" if lcm else None,
        lora=models.lora if lcm else None,
        batch_size=args.batch,
        compile=changes.get("compile", False),
        channels_last=args.device == "cuda",
    )
    detector = GroundingDinoDetector(
        models.detector,
        models.detector_config,
        text_encoder=models.text_encoder,
        device=args.device,
        dtype="float16" if args.device == "cuda" else None,
        size_px=args.detector_px,
        batch_size=args.batch,
    )
    sam = SegmentAnythingSegmenter(models.sam, device=args.device, batch_size=max(1, args.batch // 2))
    finder = _ForcedFinder(_ForcedDetector(detector), sam)
    located = changes.get("located", False)
    pipeline = InsertionPipeline(
        recipe_of(args.side, locate_by="locator" if located else "labels"),
        inserter,
        PromptAnnotator(finder, clean=False, min_inside_box=0, min_area_of_crop=0),
        PromptLocator(finder) if located else None,
        schema=_SCHEMA,
        batch_size=args.batch,
    )

    def jobs(start: int, count: int) -> Iterator[tuple[Sample, int]]:
        for number in range(start, start + count):  # three variants a sample, as in the paper
            base = samples[(number // 3) % len(samples)]
            yield Sample(base.image, base.labels, f"frame-{number // 3}"), number % 3

    list(pipeline.run(jobs(10_000, args.batch)))
    if args.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    statistics = Statistics()
    started = time.perf_counter()
    made = sum(len(variant.insertions) for variant in pipeline.run(jobs(0, args.inserts), statistics=statistics))
    seconds = time.perf_counter() - started
    told: dict[str, Any] = {
        "inserts": made,
        "inserts_per_s": significant(made / seconds),
        "seconds_per_insert": {
            name: significant(value / max(made, 1)) for name, value in statistics.seconds.items() if value > 0
        },
        "statistics": statistics.to_dict(),
        "steps": 4 if lcm else args.steps,
        "batch": args.batch,
        "texts_encoded": inserter.texts.encoded,
    }
    if args.device == "cuda":
        told["peak_memory_gib"] = significant(torch.cuda.max_memory_allocated() / 2**30)
    return told


def main() -> None:
    """Run the arms one after the other; what was measured is written after each."""
    parser = options(__doc__ or "")
    parser.add_argument("--models", choices=("small", "full"), help="default: full on a GPU, small on a CPU")
    parser.add_argument("--arms", default="", help=f"of: {','.join(_ARMS)}")
    parser.add_argument("--sam", default="vit_h", choices=("vit_h", "vit_l", "vit_b"))
    parser.add_argument("--batch", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--inserts", type=int, help="insertions of each of our arms")
    parser.add_argument("--poc-inserts", type=int, help="insertions of the procedure")
    parser.add_argument("--folder", type=Path, help="where the models are kept; default: a temporary folder")
    args = parser.parse_args()
    args.device = "cuda" if torch.cuda.is_available() else "cpu"
    args.models = args.models or ("full" if args.device == "cuda" else "small")
    full = args.models == "full"
    args.batch = args.batch or (16 if full else 4)
    args.steps = args.steps or (50 if full else 2 if args.smoke else 10)
    args.inserts = args.inserts or (96 if full else 8 if args.smoke else 24)
    args.poc_inserts = args.poc_inserts or (6 if full else 2)
    args.side = 300 if full else 60
    args.detector_px = 800 if full else 160
    size_hw = (1024, 2048) if full else (192, 384)
    arms = args.arms.split(",") if args.arms else ["poc", "ours", "ours-located", "ours-lcm"]
    unknown = sorted(set(arms) - set(_ARMS))
    if unknown:
        parser.error(f"unknown arms {unknown}; they are {', '.join(_ARMS)}")
    torch.backends.cudnn.benchmark = True
    results: dict[str, Any] = {
        "models": args.models,
        "sam": args.sam if full else "small",
        "device": torch.cuda.get_device_name() if args.device == "cuda" else "cpu",
        "frame_hw": list(size_hw),
        "box_px": args.side,
        "steps": args.steps,
        "arms": {},
    }
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        models = build(args.folder or Path(scratch), args.models, args.sam)
        console.print(f"models built in {time.perf_counter() - started:.0f} s")
        samples = frames(4, size_hw)
        work: dict[str, Callable[[], dict[str, Any]]] = {
            "poc": lambda: run_poc(models, samples, args, "cpu"),
            "poc-detector-on-gpu": lambda: run_poc(models, samples, args, args.device),
            "ours": lambda: run_ours(models, samples, args),
            "ours-located": lambda: run_ours(models, samples, args, located=True),
            "ours-compiled": lambda: run_ours(models, samples, args, compile=True),
            "ours-lcm": lambda: run_ours(models, samples, args, lcm=True),
        }
        for arm in arms:
            results["arms"][arm] = work[arm]()
            console.print(arm, results["arms"][arm])
            publish("generation", results, args.out)
            if args.device == "cuda":
                torch.cuda.empty_cache()
    _print(results)


def _print(results: dict[str, Any]) -> None:
    arms = results["arms"]
    base = arms.get("poc", {}).get("inserts_per_s")
    rows = [
        [
            name,
            f"{arm['inserts_per_s']:.3g}",
            f"{arm['inserts_per_s'] / base:.1f}x" if base else "-",
            ", ".join(f"{stage} {value:.3g}" for stage, value in arm["seconds_per_insert"].items()),
        ]
        for name, arm in arms.items()
    ]
    show(
        f"Generation, {results['models']} models, {results['device']}", ["arm", "inserts/s", "ratio", "s/insert"], rows
    )


if __name__ == "__main__":
    main()
