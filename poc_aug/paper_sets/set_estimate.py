"""What filling a cache takes, before anything is made: counts, disk, and hours of a GPU from measured rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from poc_aug.cache import Codec
from poc_aug.errors import SettingError
from poc_aug.paper_sets.measured_rates import (
    CUT_OUT_BYTES,
    MEASURED_MODELS,
    OBJECT_BYTES,
    RATES,
    RENDERED_BYTES,
    STEPS,
)
from poc_aug.recipe import Recipe

HOUR = 3600.0


@dataclass(frozen=True)
class GpuHours:
    """Hours of a device.

    Attributes:
        device: the device, or "your device" for a rate that is given.
        seconds: seconds per attempt.
        least: hours if the first attempt at each object is accepted.
        most: hours if each object needs all attempts of the recipe.
        basis: where the rate comes from.

    Example:
        >>> from poc_aug.paper_sets import load_set
        >>> from poc_aug.paper_sets.set_estimate import estimate
        >>> hours = estimate(load_set("acdc-poc").recipe(), 200, 3, rate=3.0).hours[0]
        >>> hours.least, hours.most
        (0.5, 1.5)
    """

    device: str
    seconds: float
    least: float
    most: float
    basis: str


@dataclass(frozen=True)
class FillingEstimate:
    """What filling a cache takes.

    Attributes:
        samples: frames.
        variants: variants of all frames together.
        objects: objects that are placed if each attempt at one succeeds in the end; a mean if a recipe draws how many.
        disk_bytes: bytes of the cache; ``None``: not measured for such objects and this codec.
        disk_basis: what was measured.
        hours: hours of a GPU, by device; empty: not measured, or no model is needed.

    Example:
        >>> from poc_aug.paper_sets import load_set
        >>> from poc_aug.paper_sets.set_estimate import estimate
        >>> found = estimate(load_set("poc-alt").recipe(), 2975, 3)
        >>> found.variants, found.objects
        (8925, 8925.0)
    """

    samples: int
    variants: int
    objects: float
    disk_bytes: float | None
    disk_basis: str
    hours: tuple[GpuHours, ...]


def estimate(
    recipe: Recipe,
    samples: int,
    num_variants: int,
    *,
    painted_by: str | None = "diffusion",
    model: str | None = None,
    steps: int | None = None,
    codec: Codec = "delta-zstd",
    rate: float | None = None,
) -> FillingEstimate:
    """What filling a cache takes.

    Args:
        recipe: the recipe.
        samples: frames.
        num_variants: variants per frame.
        painted_by: "diffusion", "text-to-image" or another backend with a model; "rendered", "paste"; ``None``:
            unknown.
        model: the model.
        steps: its denoising steps; ``None``: its own.
        codec: codec of the cache.
        rate: seconds of your device per attempt, in place of the measured rates.

    Raises:
        SettingError: a rate that is not a positive number.

    Example:
        >>> from poc_aug.paper_sets import load_set
        >>> paper_set = load_set("poc-a-t2i-full")
        >>> estimate(paper_set.recipe(), 3475, 3, painted_by="text-to-image").hours  # never measured
        ()
    """
    if rate is not None and not 0 < rate < float("inf"):
        raise SettingError(f"rate={rate}", expected="seconds per attempt at an object, more than 0")
    variants = samples * num_variants
    objects = variants * sum(recipe.objects_per_variant) / 2
    tables: dict[Any, Any] = {"rendered": RENDERED_BYTES, "paste": CUT_OUT_BYTES}
    each = tables.get(painted_by, OBJECT_BYTES).get(codec)
    what = {"rendered": "rendered objects in real sizes", "paste": "cut-outs in real sizes"}
    basis = f"{what.get(painted_by or '', 'objects of 400 px')} on 2048×1024 frames, {codec}"
    needs_model = painted_by not in ("rendered", "paste")

    def hours(device: str, seconds: float, basis: str) -> GpuHours:
        least = objects * seconds / HOUR
        return GpuHours(device, seconds, least, least * recipe.attempts, basis)

    found: list[GpuHours] = []
    if rate is not None:
        found.append(hours("your device", rate, "the rate that was given"))
    elif painted_by == "diffusion" and _as_measured(recipe, model, steps):
        located = "locator" if recipe.locate_by == "locator" else "labels"
        found += [hours(row.device, row.seconds, row.setting) for row in RATES if row.located == located]
    disk = None if each is None else objects * each
    return FillingEstimate(samples, variants, objects, disk, basis, tuple(found) if needs_model else ())


def _as_measured(recipe: Recipe, model: str | None, steps: int | None) -> bool:
    """Whether the rates were measured for this: one pass of 50 steps of a model of that size."""
    of_pass = recipe.passes[0].steps
    return model in MEASURED_MODELS and len(recipe.passes) == 1 and {steps, of_pass} <= {STEPS, None}
