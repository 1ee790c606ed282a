"""Noise that lies on the ground: it recedes with it, and does not depend on where the picture's border is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from poc_aug.camera_model import Camera

_CELLS = 64
_FARTHEST_M = 500.0


@dataclass(frozen=True, slots=True)
class GroundGrid:
    """Where on a flat ground the pixels of a coarse grid look, at every ``step``-th row and column.

    Attributes:
        z_m: float32 ``[h, 1]``, distance ahead; very far at and above the horizon.
        x_m: float32 ``[h, w]``, metres to the right of the optical axis.
        rise_m: float32 ``[h, 1]``, metres ahead between one row of the grid and the next.
    """

    z_m: torch.Tensor
    x_m: torch.Tensor
    rise_m: torch.Tensor


def ground_grid(
    size_hw: tuple[int, int], camera: Camera, step: int, device: torch.device, first: int = 0
) -> GroundGrid:
    """The ground under the pixels of a grid, from its row ``first`` on.

    Example:
        >>> camera = Camera(horizon_row=0.5, camera_height_m=1.5, focal_px=10.0, centre_col=2.0)
        >>> ground_grid((6, 4), camera, 2, torch.device("cpu")).z_m[:, 0]
        tensor([500.0000,   7.5000,   3.7500])
    """
    height, width = (-(-side // step) for side in size_hw)
    middle = (step - 1) / 2
    rows = torch.arange(first, height, dtype=torch.float32, device=device)[:, None] * step + middle
    cols = torch.arange(width, dtype=torch.float32, device=device)[None] * step + middle
    below = rows - camera.horizon_row
    reach = camera.focal_px * camera.camera_height_m
    z = (reach / below.clamp(min=reach / _FARTHEST_M)).clamp(max=_FARTHEST_M)
    x = (cols - camera.centre_col) * z / camera.focal_px
    return GroundGrid(z, x, step * z * z / reach)


class GroundNoise:
    """Value noise over the ground from one table of random numbers.

    Example:
        >>> noise = GroundNoise(torch.Generator().manual_seed(1))
        >>> camera = Camera(horizon_row=0.0, camera_height_m=1.5, focal_px=100.0, centre_col=32.0)
        >>> values = noise.at(ground_grid((64, 64), camera, 2, torch.device("cpu")), cell_xz_m=(0.8, 2.0))
        >>> values.shape, bool((values >= 0).all() and (values <= 1).all())
        (torch.Size([32, 32]), True)
    """

    def __init__(self, generator: torch.Generator) -> None:
        table = torch.rand(_CELLS, _CELLS, generator=generator)
        self._table = torch.cat([table, table[:1]])
        self._table = torch.cat([self._table, self._table[:, :1]], dim=1)

    def at(self, grid: GroundGrid, cell_xz_m: tuple[float, float], *, shift: float = 0.0) -> torch.Tensor:
        """Noise of one size of cell, fading to its mean where the cells are smaller than the grid's pixels.

        Args:
            grid: where to look.
            cell_xz_m: size of a cell across and ahead, in metres.
            shift: moves the pattern, in cells.

        Returns:
            float32 ``[h, w]``, 0 to 1.
        """
        cell_x, cell_z = cell_xz_m
        noise = self.sample(grid.z_m / cell_z + shift, grid.x_m / cell_x + shift)
        fade = 1 / (1 + (grid.rise_m / cell_z) ** 2)
        return 0.5 + (noise - 0.5) * fade

    def sample(self, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Noise at coordinates in cells, ``[h, w]`` each, or ``[h, 1]``."""
        coordinates = []
        for value in (x, y):
            cell = torch.remainder(value, _CELLS)
            low = cell.floor()
            t = cell - low
            coordinates.append((low + t * t * (3 - 2 * t)) * (2 / _CELLS) - 1)
        table = self._table.to(x.device)
        shape = max(x.shape[0], y.shape[0]), max(x.shape[1], y.shape[1])
        grid = torch.stack([values.expand(shape) for values in coordinates], dim=-1)[None]
        return F.grid_sample(table[None, None], grid, padding_mode="border", align_corners=True)[0, 0]
