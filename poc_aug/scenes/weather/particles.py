"""Particles that fall through the viewing volume: drops and flakes, each at its own distance."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from poc_aug.camera_model import Camera

_SAMPLES = 1 << 18
"""Pixels drawn at once: bounds the memory, and stays in the cache."""
_SIDES = (3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)


@dataclass(frozen=True, slots=True)
class Particles:
    """Particles as a camera sees them: capsules, as high as their fall during the exposure. All tensors are ``[n]``.

    Attributes:
        row: row of the centre, in pixels.
        col: column of the centre, in pixels.
        depth_m: distance along the optical axis, in metres.
        fall_px: how far the centre moves during the exposure, in pixels downwards.
        radius_px: half the width, blur included, in pixels.
        opacity: opacity at the centre, 0 to 1.
        slant: pixels to the right per pixel downwards.
        soft: share of the radius over which the edge fades out.
    """

    row: torch.Tensor
    col: torch.Tensor
    depth_m: torch.Tensor
    fall_px: torch.Tensor
    radius_px: torch.Tensor
    opacity: torch.Tensor
    slant: torch.Tensor
    soft: torch.Tensor

    def __len__(self) -> int:
        return len(self.row)


def particles_in_view(
    size_hw: tuple[int, int],
    camera: Camera,
    generator: torch.Generator,
    *,
    per_m3: float,
    reach_m: tuple[float, float],
    size_m: tuple[float, float],
    fall_m: float,
    slant: float,
    scatter: float,
    opacity: float,
    aperture_m: float = 0.004,
    focus_m: float = 15.0,
) -> Particles:
    """Particles spread evenly over the volume that a camera looks through, nearest and farthest distance given.

    Near ones are large, moved far by their fall and out of focus, hence faint; far ones are small, short and many.
    Their light is kept: what blur or a width below a pixel spreads out, it thins.

    Args:
        size_hw: size of the frame in pixels.
        camera: its camera.
        generator: a generator on the CPU.
        per_m3: how many there are per cubic metre.
        reach_m: nearest and farthest distance.
        size_m: least and greatest diameter; small ones are more frequent.
        fall_m: how far they fall during the exposure.
        slant: metres to the right per metre of fall, on average.
        scatter: how far their slants differ, at most.
        opacity: opacity of one that is in focus and wider than a pixel.
        aperture_m: diameter of the lens's opening.
        focus_m: the distance that is in focus.

    Example:
        >>> camera = Camera(horizon_row=200.0, camera_height_m=1.5, focal_px=1000.0, centre_col=512.0)
        >>> flakes = particles_in_view((512, 1024), camera, torch.Generator().manual_seed(1), per_m3=2.0,
        ...     reach_m=(1.0, 9.0), size_m=(0.002, 0.005), fall_m=0.01, slant=0.1, scatter=0.1, opacity=0.8)
        >>> near, far = flakes.depth_m < 4, flakes.depth_m > 7
        >>> bool(near.sum() < far.sum()), bool(flakes.radius_px[near].mean() > flakes.radius_px[far].mean())
        (True, True)
    """
    height, width = size_hw
    near, far = reach_m
    margin = fall_m * camera.focal_px / near / 2
    area = (width / camera.focal_px) * ((height + 2 * margin) / camera.focal_px)
    count = max(round(per_m3 * area * (far**3 - near**3) / 3), 1)
    draws = torch.rand(5, count, generator=generator)
    depth = (near**3 + draws[0] * (far**3 - near**3)) ** (1 / 3)
    row = draws[1] * (height + 2 * margin) - margin
    col = draws[2] * width
    scale = camera.focal_px / depth
    diameter = (size_m[0] + (size_m[1] - size_m[0]) * draws[3] ** 2) * scale
    blur = aperture_m * camera.focal_px * (1 / depth - 1 / focus_m).abs()
    spread = (diameter**2 + blur**2).sqrt()
    seen = spread.clamp(min=1.2)
    thinned = (diameter / spread) * (spread / seen)
    drift = slant + scatter * (2 * draws[4] - 1)
    fall = fall_m * scale
    visible = (row + fall / 2 + seen > 0) & (row - fall / 2 - seen < height)
    soft = 0.5 + 0.5 * (blur / spread)
    values = (row, col, depth, fall, seen / 2 + 0.5, opacity * thinned, drift, soft)
    return Particles(*(value[visible] for value in values))


def particle_cover(particles: Particles, depth_m: torch.Tensor) -> torch.Tensor:
    """How much of each pixel particles hide: those in front of what the pixel shows, never those behind it.

    Args:
        particles: what falls.
        depth_m: float32 ``[H, W]``, distance of what each pixel shows.

    Returns:
        float32 ``[H, W]``, 0 to 1, on the device of ``depth_m``.

    Example:
        >>> one = [torch.tensor([value]) for value in (2.0, 3.0, 5.0, 2.0, 1.0, 0.8, 0.0, 0.5)]
        >>> wall_m = torch.full((5, 9), 20.0)
        >>> wall_m[:3] = 3.0  # nearer than the particle
        >>> (particle_cover(Particles(*one), wall_m) > 0).int()
        tensor([[0, 0, 0, 0, 0, 0, 0, 0, 0],
                [0, 0, 0, 0, 0, 0, 0, 0, 0],
                [0, 0, 0, 0, 0, 0, 0, 0, 0],
                [0, 0, 0, 1, 0, 0, 0, 0, 0],
                [0, 0, 0, 0, 0, 0, 0, 0, 0]], dtype=torch.int32)
    """
    height, width = depth_m.shape
    total = torch.zeros(height * width, device=depth_m.device)
    # Only rows inside the frame: a near streak may be longer than the frame is high.
    half = particles.fall_px / 2 + particles.radius_px
    first = (particles.row - half).ceil().clamp(min=0)
    rows = (particles.row + half).floor().clamp(max=height - 1) - first + 1
    cols = (2 * particles.radius_px).floor() + 1
    # Boxes of similar size are drawn together.
    sizes = torch.tensor((*_SIDES, max(height, width, _SIDES[-1] + 1)))
    tall, wide = torch.bucketize(rows, sizes), torch.bucketize(cols, sizes)
    group = torch.where(rows > 0, tall * len(sizes) + wide, -1)
    for number in torch.unique(group).tolist():
        if number < 0:
            continue
        members = (group == number).nonzero()[:, 0]
        box = int(rows[members].max()), int(cols[members].max())
        for part in members.split(max(_SAMPLES // (box[0] * box[1]), 1)):
            some = Particles(*(getattr(particles, name)[part].to(total.device) for name in Particles.__slots__))
            _draw(total, depth_m, some, first[part].to(total.device), box)
    return 1 - torch.exp(-total).reshape(height, width)


def _draw(
    total: torch.Tensor, depth_m: torch.Tensor, particles: Particles, first: torch.Tensor, box: tuple[int, int]
) -> None:
    """Add the optical depth of particles to ``total``, over boxes of one size, sheared with the particles."""
    height, width = depth_m.shape
    radius = particles.radius_px[:, None, None]
    row = first[:, None, None] + torch.arange(box[0], device=total.device)[None, :, None]
    below = row - particles.row[:, None, None]
    centre = particles.col[:, None, None] + particles.slant[:, None, None] * below
    left = (centre - radius).ceil()
    col = left + torch.arange(box[1], device=total.device)
    along = ((below.abs() - particles.fall_px[:, None, None] / 2).clamp(min=0) / radius) ** 2
    distance = ((col - centre) / radius).square_().add_(along).sqrt_()
    weight = distance.neg_().add_(1).div_(particles.soft[:, None, None]).clamp_(0, 1)
    weight.mul_(-torch.log1p(-particles.opacity)[:, None, None])
    weight.mul_((col >= 0) & (col < width) & (row < height))
    index = row.clamp(max=height - 1) * width + col.clamp_(0, width - 1)
    index = index.reshape(-1).int()  # exact: below 2^24 pixels float32 counts exactly, larger frames are off by a pixel
    seen_m = depth_m.reshape(-1).index_select(0, index).view_as(weight)
    weight.mul_(seen_m > particles.depth_m[:, None, None])
    total.index_add_(0, index, weight.reshape(-1))
