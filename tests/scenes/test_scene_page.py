"""docs/scenes.md: its severities are those of the code, and its pictures are drawn as it says."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from PIL import Image, ImageStat

from poc_aug.datasets.synthetic import SyntheticStreet
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


def test_every_picture_of_the_page_is_there() -> None:
    shown = re.findall(r"!\[[^\]]+\]\((\S+)\)", PAGE)
    assert shown == [f"weather/{name}.jpg" for name in (*WEATHER_DOMAINS, "corruptions")]
    for name in shown:
        with Image.open(ROOT / "docs" / name) as picture:
            assert picture.width >= 900


def test_the_pictures_can_be_drawn_anew() -> None:
    example = runpy.run_path(str(ROOT / "examples" / "weather_pictures.py"))
    cells: list[tuple[str, Image.Image]] = example["weather"](SyntheticStreet(size=(48, 96), length=1), "fog")
    assert [caption for caption, _ in cells] == ["original", *(f"fog, severity {level}" for level in range(1, 6))]
    greys = [ImageStat.Stat(picture.convert("L")).stddev[0] for _, picture in cells]
    assert greys[5] < greys[3] < greys[1]  # contrast is lost
    assert example["grid"](cells, 3, 80).size == (3 * 84 + 4, 2 * (40 + 24) + 4)
