"""docs/scenes.md: its severities are those of the code, and its pictures are drawn as it says."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from poc_aug.scenes.shift_names import WEATHER_DOMAINS
from poc_aug.scenes.weather.fog import VISIBILITIES_M
from poc_aug.scenes.weather.low_sun import SUNLIGHT
from poc_aug.scenes.weather.night import NIGHTS
from poc_aug.scenes.weather.rain import _RAINFALLS
from poc_aug.scenes.weather.snow import _SNOWFALLS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "scenes.md").read_text(encoding="utf-8")

FIGURES: dict[str, list[float]] = {
    "fog: visibility in m": list(VISIBILITIES_M),
    "night: light that is left without lamps, in %": [100 * night.share for night in NIGHTS],
    "night: street lamps that are lit, in %": [100 * night.lamps for night in NIGHTS],
    "rain: visibility in m": [rain.visibility_m for rain in _RAINFALLS],
    "rain: ground under puddles, in %": [100 * rain.wetness.puddles for rain in _RAINFALLS],
    "rain: drops on the lens": [rain.lens_drops for rain in _RAINFALLS],
    "snow: visibility in m": [snow.visibility_m for snow in _SNOWFALLS],
    "low sun: glare at the sun, as a multiple of white": [sun.glare for sun in SUNLIGHT],
}


@pytest.mark.parametrize("name", FIGURES)
def test_the_severities_of_the_page_are_those_of_the_code(name: str) -> None:
    (row,) = re.findall(rf"^\| {re.escape(name)} \|(.+)\|$", PAGE, re.MULTILINE)
    assert [float(value) for value in row.split("|")] == pytest.approx(FIGURES[name])


def test_every_picture_of_the_page_is_there_and_is_of_a_shift(tmp_path: Path) -> None:
    shown = re.findall(r"!\[[^\]]+\]\((\S+)\)", PAGE)
    assert shown == [f"weather/{name}.jpg" for name in (*WEATHER_DOMAINS, "corruptions")]
    draw: Callable[..., list[Path]] = runpy.run_path(str(ROOT / "examples" / "weather_pictures.py"))["draw"]
    drawn = draw(tmp_path, (64, 128), 60)
    assert [f"weather/{path.name}" for path in drawn] == shown
    for path in drawn:
        assert path.stat().st_size > 0
        with Image.open(path) as small, Image.open(ROOT / "docs" / "weather" / path.name) as large:
            assert large.width >= 900
            assert small.width < large.width
            colours = small.convert("RGB").getcolors(1 << 24)
            assert colours is not None
            assert len(colours) > 200
