"""Charts of a report as SVG and PNG within the page; they follow its colours, light or dark."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from html import escape

import numpy as np
import numpy.typing as npt
from PIL import Image

_W, _H = 420, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 26, 40
_BINS = 24
# Viridis at 9 places, from matplotlib's documentation of colour maps.
_COLOURS = (
    (68, 1, 84), (72, 40, 120), (62, 74, 137), (49, 104, 142), (38, 130, 142), (31, 158, 137), (53, 183, 121),
    (110, 206, 88), (253, 231, 37),
)  # fmt: skip


def histogram(values: Sequence[float], unit: str, *, logarithmic: bool = False) -> str:
    """A histogram, with its median; "" without values.

    Args:
        values: finite numbers.
        unit: what the horizontal axis says.
        logarithmic: whether bins grow with the values, which are above 0.

    Example:
        >>> histogram([1.0, 2.0, 2.0], "px").startswith("<svg")
        True
    """
    array = np.asarray([value for value in values if math.isfinite(value) and (value > 0 or not logarithmic)])
    if not array.size:
        return ""
    low, high = float(array.min()), float(array.max())
    if high <= low:
        low, high = (low * 0.9, high * 1.1 or 1.0) if low > 0 else (low - 1, high + 1)
    edges = np.geomspace(low, high, _BINS + 1) if logarithmic else np.linspace(low, high, _BINS + 1)
    counts, _ = np.histogram(array, edges)
    most = int(counts.max())

    def at(value: float) -> float:
        share = math.log(value / low) / math.log(high / low) if logarithmic else (value - low) / (high - low)
        return _LEFT + share * (_W - _LEFT - _RIGHT)

    bars = []
    for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        height = (_H - _TOP - _BOTTOM) * count / most
        title = f"{left:.3g} to {right:.3g} {unit}: {count}"
        bars.append(
            f'<rect class="bar" x="{at(left) + 0.5:.1f}" y="{_H - _BOTTOM - height:.1f}" '
            f'width="{max(0.5, at(right) - at(left) - 1):.1f}" height="{height:.1f}">'
            f"<title>{escape(title)}</title></rect>"
        )
    median = float(np.median(array))
    ticks = [low, math.sqrt(low * high) if logarithmic else (low + high) / 2, high]
    body = "".join(bars) + _axes(most, [(at(tick), f"{tick:.3g}") for tick in ticks], unit)
    body += (
        f'<line class="median" x1="{at(median):.1f}" x2="{at(median):.1f}" y1="{_TOP - 6}" y2="{_H - _BOTTOM}"/>'
        f'<text class="median" x="{min(at(median) + 4, _W - 90):.1f}" y="{_TOP - 8}">median {median:.3g}</text>'
    )
    return _svg(body, f"histogram of {len(array)} values, {unit}, median {median:.3g}")


def scatter(points: Sequence[tuple[float, float]], across: str, up: str) -> str:
    """Points in a square of 0 to 255, with the line where both are equal; "" without any.

    Args:
        points: pairs of what is read up, and across.
        across: name of the horizontal axis.
        up: name of the vertical axis.

    Example:
        >>> scatter([(120.0, 80.0)], "scene", "object").count("<circle")
        1
    """
    if not points:
        return ""
    width, height = _W - _LEFT - _RIGHT, _H - _TOP - _BOTTOM

    def place(value_up: float, value_across: float) -> tuple[float, float]:
        return _LEFT + value_across / 255 * width, _H - _BOTTOM - value_up / 255 * height

    dots = "".join(
        f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="2"/>' for x, y in (place(*point) for point in points)
    )
    (x1, y1), (x2, y2) = place(0, 0), place(255, 255)
    line = f'<line class="median" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'
    ticks = [(_LEFT, "0"), (_LEFT + width / 2, "128"), (_LEFT + width, "255")]
    return _svg(line + dots + _axes(255, ticks, across, up), f"{up} over {across}, {len(points)} points")


def heat_map(values: npt.NDArray[np.float64], frame_aspect: float = 2.0, *, longest_px: int = 720) -> str:
    """A map of values, the largest one brightest, as a PNG in a ``data:`` address; "" if all are 0.

    Example:
        >>> heat_map(np.eye(4)).startswith("data:image/png;base64,")
        True
    """
    most = float(values.max(initial=0.0))
    if most <= 0:
        return ""
    places = np.linspace(0, 1, len(_COLOURS))
    channels = [np.interp(values / most, places, [colour[c] for colour in _COLOURS]) for c in range(3)]
    picture = Image.fromarray(np.stack(channels, axis=-1).round().astype(np.uint8))
    size = (longest_px, max(1, round(longest_px / max(0.1, frame_aspect))))
    return data_address(picture.resize(size, Image.Resampling.NEAREST), "png")


def data_address(picture: Image.Image, form: str = "jpeg") -> str:
    """A picture as a ``data:`` address, which a page holds within itself.

    Example:
        >>> data_address(Image.new("RGB", (2, 2)))[:23]
        'data:image/jpeg;base64,'
    """
    buffer = io.BytesIO()
    picture.save(buffer, form, **({"quality": 88} if form == "jpeg" else {"optimize": True}))
    return f"data:image/{form};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _axes(most: int, ticks: Sequence[tuple[float, str]], across: str, up: str = "") -> str:
    anchors = ("start", "middle", "end")
    labels = "".join(
        f'<text x="{x:.1f}" y="{_H - _BOTTOM + 14}" text-anchor="{anchor}">{escape(text)}</text>'
        for (x, text), anchor in zip(ticks, anchors, strict=True)
    )
    vertical = (
        f'<text transform="translate(12 {(_H - _BOTTOM + _TOP) / 2:.0f}) rotate(-90)" text-anchor="middle">'
        f"{escape(up)}</text>"
        if up
        else ""
    )
    return (
        f'<line class="axis" x1="{_LEFT}" x2="{_W - _RIGHT}" y1="{_H - _BOTTOM}" y2="{_H - _BOTTOM}"/>'
        f'<text x="{_LEFT - 6}" y="{_TOP + 8}" text-anchor="end">{most}</text>'
        f'<text x="{_LEFT - 6}" y="{_H - _BOTTOM}" text-anchor="end">0</text>{labels}{vertical}'
        f'<text x="{(_W + _LEFT - _RIGHT) / 2}" y="{_H - 6}" text-anchor="middle">{escape(across)}</text>'
    )


def _svg(body: str, title: str) -> str:
    return (
        f'<svg viewBox="0 0 {_W} {_H}" role="img" aria-label="{escape(title, quote=True)}">'
        f"<title>{escape(title)}</title>{body}</svg>"
    )
