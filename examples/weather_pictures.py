"""Draws the pictures of docs/scenes.md: a synthetic street in each weather at five severities, and the corruptions.

python examples/weather_pictures.py --out docs/weather
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from poc_aug import SceneShiftDataset, SyntheticStreet
from poc_aug.scenes.corruptions import CORRUPTIONS
from poc_aug.scenes.shift_names import WEATHER_DOMAINS
from poc_aug.types import MAX_SEVERITY

GAP, LINE = 4, 20
SEVERITIES = range(1, MAX_SEVERITY + 1)


def grid(cells: Sequence[tuple[str, Image.Image]], columns: int, width: int) -> Image.Image:
    """Pictures in rows, each with its caption above."""
    height = round(width * cells[0][1].height / cells[0][1].width)
    rows = -(-len(cells) // columns)
    size = (columns * (width + GAP) + GAP, rows * (height + LINE + GAP) + GAP)
    sheet = Image.new("RGB", size, (255, 255, 255))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    for number, (caption, picture) in enumerate(cells):
        row, column = divmod(number, columns)
        left, top = GAP + column * (width + GAP), GAP + row * (height + LINE + GAP)
        draw.text((left, top), caption, (40, 40, 40), font)
        sheet.paste(picture.resize((width, height), Image.Resampling.LANCZOS), (left, top + LINE))
    return sheet


def weather(street: SyntheticStreet, domain: str) -> list[tuple[str, Image.Image]]:
    """The first frame as it is, and at each severity."""
    shifted = SceneShiftDataset(street, domain, severity=SEVERITIES, variants="all", seed=1)
    cells = [(f"{domain}, severity {severity}", shifted[number][0]) for number, severity in enumerate(SEVERITIES)]
    return [("original", street[0][0]), *cells]


def corruptions(street: SyntheticStreet) -> list[tuple[str, Image.Image]]:
    """The first frame in each of ImageNet-C's corruptions at severity 3."""
    shifted = SceneShiftDataset(street, [f"corruption:{name}" for name in CORRUPTIONS], variants="all", seed=1)
    cells = [(name, shifted[number][0]) for number, name in enumerate(CORRUPTIONS)]
    return [("original", street[0][0]), *cells]


def draw(out: Path, size: tuple[int, int], width: int) -> list[Path]:
    """Draw all pictures into a folder; returns their paths."""
    out.mkdir(parents=True, exist_ok=True)
    street = SyntheticStreet(size=size, length=1)
    paths = []
    for domain in WEATHER_DOMAINS:
        paths.append(out / f"{domain}.jpg")
        grid(weather(street, domain), 3, width).save(paths[-1], quality=82)
    paths.append(out / "corruptions.jpg")
    grid(corruptions(street), 5, width * 3 // 5).save(paths[-1], quality=80)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("weather"), help="folder of the pictures")
    parser.add_argument("--size", type=int, nargs=2, default=(480, 960), help="height and width of the street")
    parser.add_argument("--width", type=int, default=330, help="width of each picture")
    parser.add_argument("--smoke", action="store_true", help="a small street, to see that it runs")
    arguments = parser.parse_args()
    if arguments.smoke:
        with tempfile.TemporaryDirectory() as folder:
            print(f"{len(draw(Path(folder), (64, 128), 66))} pictures")
        return
    for path in draw(arguments.out, tuple(arguments.size), arguments.width):
        print(path)


if __name__ == "__main__":
    main()
