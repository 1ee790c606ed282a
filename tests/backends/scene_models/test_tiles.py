"""Tiles of wide frames: they cover, their weights sum to 1, and no seam shows."""

from __future__ import annotations

from dataclasses import replace
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
from tests.helpers.tiny_controlnets import controlnets  # noqa: F401

TILE_PX = 32
WIDE_HW = (32, 104)


@given(st.integers(1, 300), st.integers(2, 64), st.floats(0.01, 0.5))
def test_tiles_cover_and_weights_sum_to_one(length: int, tile: int, part: float) -> None:
    overlap = max(1, int(tile * part))
    starts = tile_starts(length, tile, overlap)
    assert starts[0] == 0
    assert starts[-1] + min(tile, length) == length
    assert all(before + tile - after >= overlap for before, after in zip(starts, starts[1:], strict=False))
    total = torch.zeros(length)
    for start, weights in zip(starts, tile_weights(length, tile, starts), strict=True):
        assert bool((weights > 0).all())
        total[start : start + len(weights)] += weights
    assert torch.allclose(total, torch.ones(length), atol=1e-5)


@pytest.fixture(scope="module")
def shifter(controlnets: SimpleNamespace) -> ControlNetShifter:  # noqa: F811
    return ControlNetShifter(
        "night", controlnets.sd, controlnets.sd_seg, steps=3, height_px=32, tile_px=TILE_PX, device="cpu", keep=()
    )


@pytest.fixture(scope="module")
def wide(real_data: Path) -> SceneFrame:
    return street_frame(real_data, 0, WIDE_HW)


def seam_ratio(shifter: ControlNetShifter, frame: SceneFrame) -> float:
    """The mean step between columns at the tiles' edges, over that at all other columns; averaged over seeds."""
    scale = shifter.loaded.pipe.vae_scale_factor
    tile, overlap = TILE_PX // scale, round(shifter.overlap * TILE_PX / scale)
    starts = tile_starts(WIDE_HW[1] // scale, tile, overlap)
    edges = {start * scale for start in starts[1:]} | {(start + tile) * scale for start in starts[:-1]}
    results = shifter.shift([replace(frame, seed=seed) for seed in range(8)])
    steps = torch.zeros(WIDE_HW[1] - 1)
    for result in results:
        assert isinstance(result, Shifted)
        steps += (result.image[:, :, 1:].float() - result.image[:, :, :-1].float()).abs().mean((0, 1))
    at = torch.zeros(WIDE_HW[1] - 1, dtype=torch.bool)
    at[[edge - 1 for edge in edges]] = True
    return float(steps[at].mean() / steps[~at].mean())


def test_no_seam_shows_in_a_wide_frame(
    shifter: ControlNetShifter, wide: SceneFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 0.8 < seam_ratio(shifter, wide) < 1.2

    def hard(length: int, tile: int, starts: list[int]) -> list[torch.Tensor]:
        """Each position from the last tile that has it: what one would get by painting tiles one after another."""
        stops = [*starts[1:], length]
        return [
            (torch.arange(min(tile, length)) + start < stop).float() for start, stop in zip(starts, stops, strict=True)
        ]

    blended = seam_ratio(shifter, wide)
    monkeypatch.setattr(tiles, "tile_weights", hard)
    print("SEAM", blended, seam_ratio(shifter, wide))


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

    Pipe.unet.forward, Pipe.controlnet.forward = predict, condition  # type: ignore[method-assign]
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
