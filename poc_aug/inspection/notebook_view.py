"""`NotebookView`: what is shown of an object, whether as HTML or as one picture."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import SupportsIndex, TypeAlias

from PIL import Image, ImageDraw, ImageFont

from poc_aug.errors import SettingError

RgbLevels: TypeAlias = tuple[int, int, int]

GAP_PX = 6
MIN_WIDTH_PX, MAX_WIDTH_PX = 64, 8192
_MAX_PANEL_HEIGHT = 0.75  # of a row's width
_MOST_CHARS = 120
_GROUND = (255, 255, 255)
_INK = (40, 44, 52)
_SOFT = (105, 112, 122)
_FONT_PX = 13


@dataclass(frozen=True)
class Panel:
    """One picture of a row, with what stands above it.

    Attributes:
        title: such as "before".
        picture: RGB.
    """

    title: str
    picture: Image.Image


@dataclass(frozen=True)
class PanelRow:
    """Pictures side by side.

    Attributes:
        panels: the pictures; they get one height each, by equal widths.
        caption: facts about them.
        largest: width of a panel at most, over its picture's: small pictures are enlarged in whole steps.
    """

    panels: Sequence[Panel]
    caption: str = ""
    largest: int = 1


@dataclass(frozen=True)
class LegendEntry:
    """A colour, and what has it."""

    colour: RgbLevels
    text: str


@dataclass
class NotebookView:
    """What is shown of an object.

    Attributes:
        title: what it is, in a few words.
        facts: names and values.
        rows: pictures.
        legend: what the colours of labels mean.
        notes: sentences below the pictures, such as why one is missing.
        table: rows of a table, the first one its heads.
        swatches: the colour of each row of the table besides its heads, if it has colours.
    """

    title: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    rows: list[PanelRow] = field(default_factory=list)
    legend: list[LegendEntry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    table: list[tuple[str, ...]] = field(default_factory=list)
    swatches: list[RgbLevels] = field(default_factory=list)


def plain_line(text: object, most: int = _MOST_CHARS) -> str:
    r"""A text of anybody's as one line of bounded length: what is not printable is written as an escape.

    Example:
        >>> plain_line("a\nb"), plain_line("x" * 200, 5)
        ('a\\nb', 'xxxxx...')
    """
    line = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in str(text)[: most + 1])
    return line if len(line) <= most else f"{line[:most]}..."


def panel_pictures(row: PanelRow, width_px: int) -> list[Image.Image]:
    """The pictures of a row, in the size in which they fit next to each other."""
    return [_fitted(panel.picture, _panel_width(row, width_px), row.largest) for panel in row.panels]


def row_picture(row: PanelRow, width_px: int) -> Image.Image:
    """The pictures of a row next to each other, with their titles above."""
    fitted = panel_pictures(row, width_px)
    most_w = _panel_width(row, width_px)
    font = ImageFont.load_default(size=_FONT_PX)
    titles = [_shortened(_drawable(panel.title), most_w, font) for panel in row.panels]
    line = _FONT_PX + 7 if any(titles) else 0
    widths = [max(picture.width, int(font.getlength(title)) + 1) for picture, title in zip(fitted, titles, strict=True)]
    size = sum(widths) + GAP_PX * (len(fitted) - 1), line + max(picture.height for picture in fitted)
    canvas = Image.new("RGB", size, _GROUND)
    draw = ImageDraw.Draw(canvas)
    x = 0
    for picture, title, width in zip(fitted, titles, widths, strict=True):
        if title:
            draw.text((x, 1), title, _INK, font)
        canvas.paste(picture, (x, line))
        x += width + GAP_PX
    return canvas


def picture_of(view: NotebookView, width_px: int) -> Image.Image:
    """All pictures of a view in one, with its captions, notes and legend.

    Raises:
        SettingError: a width that is not an integer from `MIN_WIDTH_PX` to `MAX_WIDTH_PX`.
    """
    if not isinstance(width_px, SupportsIndex) or not MIN_WIDTH_PX <= operator.index(width_px) <= MAX_WIDTH_PX:
        raise SettingError(f"width_px={width_px!r}", expected=f"an integer from {MIN_WIDTH_PX} to {MAX_WIDTH_PX}")
    width = operator.index(width_px)
    font = ImageFont.load_default(size=_FONT_PX)
    blocks = [_text_block(view.title, width, font, _INK)]
    for row in view.rows:
        blocks += [_text_block(row.caption, width, font, _SOFT)] if row.caption else []
        blocks.append(row_picture(row, width))
    blocks += [_legend_block(view.legend, width, font)] if view.legend else []
    blocks += [_text_block(note, width, font, _SOFT) for note in view.notes]
    size = max(block.width for block in blocks), sum(block.height + GAP_PX for block in blocks) - GAP_PX
    canvas = Image.new("RGB", size, _GROUND)
    y = 0
    for block in blocks:
        canvas.paste(block, (0, y))
        y += block.height + GAP_PX
    return canvas


def _panel_width(row: PanelRow, width_px: int) -> int:
    count = len(row.panels)
    return max(1, (width_px - GAP_PX * (count - 1)) // count)


def _drawable(text: str, most: int = _MOST_CHARS) -> str:
    """A text that Pillow's font has letters for."""
    return plain_line(text, most).replace("×", "x")


def _fitted(picture: Image.Image, most_w: int, largest: int) -> Image.Image:
    """A picture of a panel's width: reduced_labels, or enlarged in whole steps, so that its pixels are seen."""
    most_h = max(1, round(most_w * _MAX_PANEL_HEIGHT))
    scale = min(most_w / picture.width, most_h / picture.height)
    if scale >= 1:
        scale = min(int(scale), largest)
        size = picture.width * int(scale), picture.height * int(scale)
        return picture if scale == 1 else picture.resize(size, Image.Resampling.NEAREST)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _text_block(
    text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, ink: RgbLevels
) -> Image.Image:
    line = _shortened(_drawable(text, 2 * _MOST_CHARS), width, font)
    block = Image.new("RGB", (min(width, int(font.getlength(line)) + 2), _FONT_PX + 6), _GROUND)
    ImageDraw.Draw(block).text((0, 1), line, ink, font)
    return block


def _legend_block(
    legend: Sequence[LegendEntry], width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> Image.Image:
    box, line = _FONT_PX - 1, _FONT_PX + 8
    places: list[tuple[int, int, str]] = []
    x = y = across = 0
    for entry in legend:
        text = _shortened(_drawable(entry.text, 60), max(1, width - box - 8), font)
        needed = box + 5 + int(font.getlength(text)) + 14
        if x and x + needed > width:
            x, y = 0, y + line
        places.append((x, y, text))
        x += needed
        across = max(across, x)
    block = Image.new("RGB", (min(across, width), y + line), _GROUND)
    draw = ImageDraw.Draw(block)
    for (left, top, text), entry in zip(places, legend, strict=True):
        draw.rectangle((left, top + 3, left + box - 1, top + 2 + box), entry.colour)
        draw.text((left + box + 5, top + 1), text, _INK, font)
    return block


def _shortened(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text}..."
