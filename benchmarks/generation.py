"""Inserts per second of the engine, alongside the procedure of POC's public code, same models, same process.

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

from poc_aug.backends.diffusion.diffusion_inserter import DiffusionInserter
from poc_aug.backends.finders.finder_protocols import Detections, Masks
from poc_aug.backends.finders.grounded_finder import GroundedFinder
from poc_aug.backends.finders.grounding_dino import GroundingDinoDetector
from poc_aug.backends.finders.prompt_annotator import PromptAnnotator
from poc_aug.backends.finders.prompt_locator import PromptLocator
from poc_aug.backends.finders.segment_anything import SegmentAnythingSegmenter
from poc_aug.benchmarking.timing import Spread, interleaved, ratios, significant
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.statistics import Statistics
from poc_aug.labels.schema import LabelSchema
from poc_aug.recipe import Recipe
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
        detections = super().find(images, texts)
        for image, row in zip(images, detections, strict=True):
            for masks in row:
                x0, y0, x1, y1 = _middle(image)[0].int().tolist()
                masks.masks[:] = False
                masks.masks[:, y0:y1, x0:x1] = True
        return detections


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


class PocArm:
    """POC's procedure."""

    def __init__(
        self, models: Models, samples: Sequence[Sample], args: argparse.Namespace, detector_device: str
    ) -> None:
        self.procedure = PocProcedure(models, args.device, args.steps, detector_device, args.detector_px)
        self.samples, self.side, self.count = samples, args.side, args.poc_inserts
        self.done = 0

    def __call__(self) -> float:
        """Inserts per second of one measurement."""
        self.procedure.seconds.clear()
        started = time.perf_counter()
        for _ in range(self.count):
            sample = self.samples[self.done % len(self.samples)]
            text = _PROMPTS[self.done % len(_PROMPTS)]
            self.procedure.insert(sample.image, sample.labels == 0, text, self.side, self.done)
            self.done += 1
        rate: float = self.count / (time.perf_counter() - started)
        return rate

    def details(self) -> dict[str, Any]:
        """Of the last measurement."""
        stages = self.procedure.seconds.items()
        return {
            "inserts": self.count,
            "steps": self.procedure.steps,
            "seconds_per_insert": {name: significant(value / self.count) for name, value in stages},
        }


class OurArm:
    """Our engine."""

    def __init__(
        self,
        models: Models,
        samples: Sequence[Sample],
        args: argparse.Namespace,
        *,
        lcm: bool = False,
        located: bool = False,
        compiled: bool = False,
    ) -> None:
        self.samples, self.args, self.done = samples, args, 0
        self.steps = 4 if lcm else args.steps
        self.inserter = DiffusionInserter(
            models.inpainting,
            device=args.device,
            steps=self.steps,
            guidance=1.0 if lcm else 7.5,
            scheduler="LCMScheduler" if lcm else None,
            lora=models.lora if lcm else None,
            batch_size=args.batch,
            compile=compiled,
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
        self.locator = PromptLocator(finder) if located else None
        self.pipeline = InsertionPipeline(
            recipe_of(args.side, locate_by="locator" if located else "labels"),
            self.inserter,
            PromptAnnotator(finder, clean=False, min_inside_box=0, min_area_of_crop=0),
            self.locator,
            schema=_SCHEMA,
            batch_size=args.batch,
        )
        self.statistics = Statistics()
        self.made = 0
        self.working_memory_gib: float | None = None

    def __call__(self) -> float:
        """Inserts per second of one measurement."""
        before = 0
        if self.args.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
        self.statistics = Statistics()
        started = time.perf_counter()
        variants = self.pipeline.run(self._jobs(), statistics=self.statistics)
        self.made = sum(len(variant.insertions) for variant in variants)
        seconds = time.perf_counter() - started
        if self.args.device == "cuda":
            self.working_memory_gib = significant((torch.cuda.max_memory_allocated() - before) / 2**30)
        return self.made / seconds

    def _jobs(self) -> Iterator[tuple[Sample, int]]:
        """Three variants per sample, as in the paper; samples that no measurement had before."""
        for number in range(self.args.inserts):
            base = self.samples[(number // 3) % len(self.samples)]
            yield Sample(base.image, base.labels, f"frame-{self.done + number // 3}"), number % 3
        self.done += self.args.inserts

    def details(self) -> dict[str, Any]:
        """Of the last measurement."""
        stages = self.statistics.seconds.items()
        return {
            "inserts": self.made,
            "steps": self.steps,
            "batch": self.args.batch,
            "seconds_per_insert": {name: significant(value / self.made) for name, value in stages if value > 0},
            "statistics": self.statistics.to_dict(),
            "texts_encoded": self.inserter.texts.encoded,
            "locations_searched": 0 if self.locator is None else self.locator.searched,
            "working_memory_gib": self.working_memory_gib,
        }


def main() -> None:
    """Load every arm, then measure them in turn."""
    parser = options(__doc__ or "")
    parser.add_argument("--models", choices=("small", "full"), help="default: full on a GPU, small on a CPU")
    parser.add_argument("--arms", default="", help=f"of: {','.join(_ARMS)}")
    parser.add_argument("--sam", default="vit_h", choices=("vit_h", "vit_l", "vit_b"))
    parser.add_argument("--batch", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--inserts", type=int, help="insertions of each of our arms in one measurement")
    parser.add_argument("--poc-inserts", type=int, help="insertions of the procedure in one measurement")
    parser.add_argument("--folder", type=Path, help="folder to keep the models in; default: a temporary folder")
    args = parser.parse_args()
    args.device = "cuda" if torch.cuda.is_available() else "cpu"
    args.models = args.models or ("full" if args.device == "cuda" else "small")
    full = args.models == "full"
    args.batch = args.batch or (16 if full else 4)
    args.steps = args.steps or (50 if full else 2 if args.smoke else 10)
    args.inserts = args.inserts or (48 if full else 8 if args.smoke else 24)
    args.poc_inserts = args.poc_inserts or (3 if full else 2)
    args.side = 300 if full else 60
    args.detector_px = 800 if full else 160
    size_hw = (1024, 2048) if full else (192, 384)
    names = args.arms.split(",") if args.arms else ["poc", "ours", "ours-located", "ours-lcm"]
    unknown = sorted(set(names) - set(_ARMS))
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
        samples = frames(4, size_hw)
        make: dict[str, Callable[[], PocArm | OurArm]] = {
            "poc": lambda: PocArm(models, samples, args, "cpu"),
            "poc-detector-on-gpu": lambda: PocArm(models, samples, args, args.device),
            "ours": lambda: OurArm(models, samples, args),
            "ours-located": lambda: OurArm(models, samples, args, located=True),
            "ours-compiled": lambda: OurArm(models, samples, args, compiled=True),
            "ours-lcm": lambda: OurArm(models, samples, args, lcm=True),
        }
        arms = {name: make[name]() for name in names}
        console.print(f"models built and loaded in {time.perf_counter() - started:.0f} s")
        rates = interleaved(arms, args.repeats or (1 if args.smoke else 3))
        for name, arm in arms.items():
            measurement = {"inserts_per_s": Spread.of(rates[name]).to_dict(), **arm.details()}
            if "poc" in rates:
                measurement["ratio_to_poc"] = ratios(rates[name], rates["poc"]).to_dict()
            results["arms"][name] = measurement
        publish("generation", results, args.out)
    _print(results)


def _print(results: dict[str, Any]) -> None:
    rows = [
        [
            name,
            f"{arm['inserts_per_s']['median']:.3g}",
            f"{arm['ratio_to_poc']['median']:.1f}x" if "ratio_to_poc" in arm else "-",
            ", ".join(f"{stage} {value:.3g}" for stage, value in arm["seconds_per_insert"].items()),
        ]
        for name, arm in results["arms"].items()
    ]
    show(
        f"Generation, {results['models']} models, {results['device']}", ["arm", "inserts/s", "ratio", "s/insert"], rows
    )


if __name__ == "__main__":
    main()
