"""Tiles of wide frames: they cover, their weights sum to 1, and no seam shows."""

from __future__ import annotations

from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from poc_aug.backends.scene_models import tiles
from poc_aug.backends.scene_models.controlnet_shifter import ControlNetShifter
from poc_aug.backends.scene_models.tiles import in_tiles, tile_starts, tile_weights
from poc_aug.scenes.shifter_protocol import SceneFrame, Shifted
from tests.helpers.small_scenes import street_frame
from tests.helpers.tiny_controlnets import controlnets, use_exact_vae  # noqa: F401

TILE_PX = 32
WIDE_HW = (32, 104)


@given(st.integers(1, 300), st.integers(2, 64), st.floats(0.01, 0.5))
def test_tiles_cover_and_weights_sum_to_one(length: int, tile: int, part: float) -> None:
    overlap = max(1, int(tile * part))
    starts = tile_starts(length, tile, overlap)
    assert starts[0] == 0
    assert starts[-1] + min(tile, length) == length
    assert all(before + tile - after >= overlap for before, after in pairwise(starts))
    total = torch.zeros(length)
    for start, weights in zip(starts, tile_weights(length, tile, starts), strict=True):
        assert bool((weights > 0).all())
        total[start : start + len(weights)] += weights
    assert torch.allclose(total, torch.ones(length), atol=1e-5)


@pytest.fixture(scope="module")
def shifter(controlnets: SimpleNamespace) -> ControlNetShifter:  # noqa: F811
    return ControlNetShifter(
        "night", controlnets.sd, controlnets.sd_seg, steps=2, height_px=32, tile_px=TILE_PX, device="cpu", keep=()
    )


@pytest.fixture(scope="module")
def wide(real_data: Path) -> SceneFrame:
    return street_frame(real_data, 0, WIDE_HW)


def column_steps(shifter: ControlNetShifter, frame: SceneFrame) -> torch.Tensor:
    """The mean step from each column of the shifted frame to the next."""
    (result,) = shifter.shift([frame])
    assert isinstance(result, Shifted)
    columns = result.image.float()
    return (columns[:, :, 1:] - columns[:, :, :-1]).abs().mean((0, 1))


def at_edges(shifter: ControlNetShifter) -> torch.Tensor:
    """Which of the steps between columns lie at an edge of a tile."""
    scale = shifter.loaded.pipe.vae_scale_factor
    tile, overlap = TILE_PX // scale, round(shifter.overlap * TILE_PX / scale)
    starts = tile_starts(WIDE_HW[1] // scale, tile, overlap)
    at = torch.zeros(WIDE_HW[1] - 1, dtype=torch.bool)
    at[[edge * scale - 1 for edge in {*starts[1:], *(start + tile for start in starts[:-1])}]] = True
    return at


def test_the_gradient_at_the_seams_is_that_elsewhere(shifter: ControlNetShifter, wide: SceneFrame) -> None:
    steps = torch.stack([column_steps(shifter, replace(wide, seed=seed)) for seed in range(3)]).mean(0)
    at = at_edges(shifter)
    assert 0.8 < float(steps[at].mean() / steps[~at].mean()) < 1.25


def test_tiles_that_disagree_leave_no_seam(
    shifter: ControlNetShifter, wide: SceneFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every other tile is predicted brighter: where one took over from the next at once, this would be an edge."""
    pipe, calls = shifter.loaded.pipe, count()
    use_exact_vae(pipe, monkeypatch)
    monkeypatch.setattr(pipe.scheduler, "init_noise_sigma", 0.0)  # a flat picture, but for what the tiles make of it
    tiles_in_all = len(tile_starts(WIDE_HW[1] // 2, TILE_PX // 2, 4))

    def disagree(sample: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor]:
        return (torch.full_like(sample, (-1.0) ** (next(calls) % tiles_in_all)),)

    monkeypatch.setattr(pipe.unet, "forward", disagree)
    blended = column_steps(shifter, wide)

    def at_once(length: int, tile: int, starts: list[int]) -> list[torch.Tensor]:
        stops = [*starts[1:], length]
        return [(torch.arange(tile) + start < stop).float() for start, stop in zip(starts, stops, strict=True)]

    monkeypatch.setattr(tiles, "tile_weights", at_once)
    cut = column_steps(shifter, wide)
    assert float(cut.max()) > 20
    assert float(blended.max()) < 0.35 * float(cut.max())


def test_tiles_of_the_whole_frame_change_nothing(shifter: ControlNetShifter, wide: SceneFrame) -> None:
    narrow = replace(wide, image=wide.image[:, :, :32], labels=wide.labels[:, :32])
    (plain,) = shifter.shift([narrow])
    with in_tiles(shifter.loaded.pipe, 16, 4):
        (tiled,) = shifter.shift([narrow])
    assert isinstance(plain, Shifted)
    assert isinstance(tiled, Shifted)
    assert int((plain.image.int() - tiled.image.int()).abs().max()) <= 1


def test_networks_are_as_before_after_an_error(shifter: ControlNetShifter) -> None:
    pipe: Any = shifter.loaded.pipe
    before = pipe.unet.forward, pipe.controlnet.forward
    with pytest.raises(RuntimeError, match="on purpose"), in_tiles(pipe, 16, 4):
        raise RuntimeError("on purpose")
    assert (pipe.unet.forward, pipe.controlnet.forward) == before
    assert not {"forward"} & {*vars(pipe.unet), *vars(pipe.controlnet)}


def test_tiles_see_their_own_part_of_latents_and_condition() -> None:
    """With networks that give back what they see, the blend is exactly what was given in."""

    class Pipe:
        unet = torch.nn.Module()
        controlnet = torch.nn.Module()

    seen: list[tuple[int, ...]] = []

    def condition(sample: torch.Tensor, _: Any, *, controlnet_cond: torch.Tensor) -> tuple[Any, Any]:
        assert torch.equal(controlnet_cond[..., ::8, ::8], sample)
        return ("residuals",), "middle"

    def predict(sample: torch.Tensor, _: Any, **arguments: Any) -> tuple[torch.Tensor]:
        assert arguments == {
            "down_block_additional_residuals": ("residuals",),
            "mid_block_additional_residual": "middle",
        }
        seen.append(tuple(sample.shape))
        return (sample,)

    Pipe.unet.forward, Pipe.controlnet.forward = predict, condition
    latents = torch.randn(2, 4, 40, 100, generator=torch.Generator().manual_seed(0))
    large = latents.repeat_interleave(8, -1).repeat_interleave(8, -2)
    with in_tiles(Pipe, 32, 8):
        residuals, middle = Pipe.controlnet(latents, 0, controlnet_cond=large)
        (whole,) = Pipe.unet(
            latents, 0, down_block_additional_residuals=residuals, mid_block_additional_residual=middle
        )
    assert torch.allclose(whole, latents, atol=1e-5)
    assert seen == [(2, 4, 32, 32)] * 8
    half = latents.half()
    with in_tiles(Pipe, 32, 8):
        Pipe.controlnet(half, 0, controlnet_cond=large.half())
        (whole,) = Pipe.unet(half, 0)
    assert whole.dtype == torch.float16
    assert torch.allclose(whole, half, atol=1e-3)
    assert Pipe.unet.forward is predict
