"""Wide frames in overlapping tiles: the model sees tiles of its size, the frame has one noise field and no seam.

The tiles are those of the denoiser alone (MultiDiffusion, Bar-Tal et al. 2023): at every step each tile's prediction is
made from the same latents, and where tiles overlap, predictions are averaged with weights that fall to zero at the
tiles' edges. Noise, scheduler and VAE work on the whole frame, so nothing is ever stitched.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    """First positions of the fewest tiles that cover ``length``, evenly spread, overlapping by ``overlap`` or more.

    Example:
        >>> tile_starts(128, 64, 16), tile_starts(50, 64, 16)
        ([0, 32, 64], [0])
    """
    if length <= tile:
        return [0]
    steps = -(-(length - tile) // (tile - overlap))
    return [round(number * (length - tile) / steps) for number in range(steps + 1)]


def tile_weights(length: int, tile: int, starts: list[int]) -> list[torch.Tensor]:
    """The weights of each tile along one side, float32: over the frame they sum to 1 everywhere.

    Example:
        >>> weights = tile_weights(6, 4, [0, 2])
        >>> [[round(value, 2) for value in row.tolist()] for row in weights]
        [[1.0, 1.0, 0.67, 0.33], [0.33, 0.67, 1.0, 1.0]]
    """
    tile = min(tile, length)
    raw = []
    for number, start in enumerate(starts):
        weights = torch.ones(tile)
        if number > 0:
            weights = torch.minimum(weights, _ramp(tile, starts[number - 1] + tile - start))
        if number + 1 < len(starts):
            weights = torch.minimum(weights, _ramp(tile, start + tile - starts[number + 1]).flip(0))
        raw.append(weights)
    total = torch.zeros(length)
    for start, weights in zip(starts, raw, strict=True):
        total[start : start + tile] += weights
    return [weights / total[start : start + tile] for start, weights in zip(starts, raw, strict=True)]


def _ramp(tile: int, width: int) -> torch.Tensor:
    return ((torch.arange(tile) + 1) / (width + 1)).clamp(max=1)


@contextmanager
def in_tiles(pipe: Any, tile: int, overlap: int) -> Iterator[None]:
    """Within it, the UNet and the ControlNet of a pipeline see tiles of at most ``tile`` latents in height and width.

    Args:
        pipe: a ControlNet pipeline of Stable Diffusion or SDXL.
        tile: side of a tile in latents.
        overlap: how far neighbours overlap at least, in latents.
    """
    unet, controlnet = pipe.unet, pipe.controlnet
    predict, condition = unet.forward, controlnet.forward
    # Usually empty: forward is the class's, unless another library has put a hook in its place.
    hooked = [(model, vars(model)["forward"]) for model in (unet, controlnet) if "forward" in vars(model)]
    asked: dict[str, Any] = {}

    def remember(_: torch.Tensor, __: Any, **arguments: Any) -> tuple[tuple[()], None]:
        # The pipeline asks for the ControlNet's residuals of the whole frame; they are made per tile, in the UNet.
        asked.clear()
        asked.update(arguments)
        return (), None

    def predicted(sample: torch.Tensor, timestep: Any, **arguments: Any) -> tuple[torch.Tensor]:
        height, width = sample.shape[-2:]
        rows, cols = tile_starts(height, tile, overlap), tile_starts(width, tile, overlap)
        across = list(zip(cols, tile_weights(width, tile, cols), strict=True))
        down = list(zip(rows, tile_weights(height, tile, rows), strict=True))
        whole: torch.Tensor | None = None
        for y, weights_y in down:
            for x, weights_x in across:
                part = (..., slice(y, y + len(weights_y)), slice(x, x + len(weights_x)))
                residuals, middle = condition(sample[part], timestep, **_cut(asked, sample, part))
                made = predict(
                    sample[part],
                    timestep,
                    **arguments
                    | {"down_block_additional_residuals": residuals, "mid_block_additional_residual": middle},
                )[0].float()
                if whole is None:
                    whole = made.new_zeros((*made.shape[:-2], height, width))
                whole[part] += made * (weights_y[:, None] * weights_x[None]).to(made.device)
        assert whole is not None  # there is at least one tile
        return (whole.to(sample.dtype),)

    unet.forward, controlnet.forward = predicted, remember
    try:
        yield
    finally:
        for model in (unet, controlnet):
            del model.forward
        for model, forward in hooked:
            model.forward = forward


def _cut(asked: dict[str, Any], sample: torch.Tensor, part: tuple[Any, ...]) -> dict[str, Any]:
    """The ControlNet's arguments for one tile: its part of the condition, which is ``scale`` times as large."""
    conditions = asked["controlnet_cond"]
    several = isinstance(conditions, list)
    pictures = conditions if several else [conditions]
    _, rows, cols = part
    cut = []
    for picture in pictures:
        scale = picture.shape[-1] // sample.shape[-1]
        cut.append(picture[..., rows.start * scale : rows.stop * scale, cols.start * scale : cols.stop * scale])
    return asked | {"controlnet_cond": cut if several else cut[0]}
