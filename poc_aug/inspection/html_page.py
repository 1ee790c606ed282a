"""A `NotebookView` as HTML for a notebook: it holds its pictures, loads nothing, and follows the notebook's colours."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from html import escape

from PIL import Image

from poc_aug.inspection.notebook_view import GAP_PX, LegendEntry, NotebookView, Panel, panel_pictures, plain_line
from poc_aug.notebook import WIDTH_PX

_FONT = "font: 13px/1.45 system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
_CELL = "text-align: left; vertical-align: top; padding: 1px 14px 1px 0; border: none; background: none"
_MOST_TEXT = 400
_LEAST_PX = 110
"""Width that pictures in one line have at least."""
_PNG_PX = 128 * 128


def html_of(make: Callable[[], NotebookView]) -> str:
    """What a notebook shows; if it cannot be made, why not.

    Args:
        make: makes the view.

    Example:
        >>> html_of(lambda: NotebookView("a <b>")).count("a &lt;b&gt;")
        1
    """
    try:
        return _html(make())
    except Exception as error:  # a notebook shows a traceback of ours otherwise, in place of the user's object
        return _box(f"<p>It cannot be shown: {_text(f'{type(error).__name__}: {error}')}</p>")


def _html(view: NotebookView) -> str:
    parts = [f"<b>{_text(view.title)}</b>"]
    if view.facts:
        rows = "".join(
            f'<tr style="background: none"><td style="{_CELL}; opacity: .7; white-space: nowrap">{_text(name)}</td>'
            f'<td style="{_CELL}; overflow-wrap: anywhere">{_text(value)}</td></tr>'
            for name, value in view.facts
        )
        parts.append(_table(rows))
    if view.table:
        parts.append(_table(_head(view.table[0], bool(view.swatches)) + _body(view)))
    for row in view.rows:
        caption = f'<div style="opacity: .7; overflow-wrap: anywhere">{_text(row.caption)}</div>' if row.caption else ""
        parts.append(f'<div style="margin: 8px 0">{caption}{_panels(row.panels, panel_pictures(row, WIDTH_PX))}</div>')
    if view.legend:
        parts.append(f'<div style="line-height: 1.7">{"".join(map(_chip, view.legend))}</div>')
    parts += [f'<p style="margin: 4px 0; opacity: .7">{_text(note)}</p>' for note in view.notes]
    return _box("".join(parts))


def _panels(panels: Sequence[Panel], pictures: Sequence[Image.Image]) -> str:
    """The pictures of a row. Those of equal width are compared: all share a line, or, if it is too narrow, none do."""
    count = len(pictures)
    place, align = "flex: 0 1 auto", "flex-start"
    if count > 1 and len({picture.width for picture in pictures}) == 1:
        least = count * _LEAST_PX + (count - 1) * GAP_PX
        # A basis below 0 lets all of them into one line, and one beyond all bounds none alongside another.
        place, align = f"flex: 1 1 calc(({least}px - 100%) * 999)", "flex-end"
    flex = f"display: flex; flex-wrap: wrap; gap: {2 * GAP_PX}px {GAP_PX}px; align-items: {align}"
    inside = "".join(_panel(panel, picture, place) for panel, picture in zip(panels, pictures, strict=True))
    return f'<div style="{flex}">{inside}</div>'


def _panel(panel: Panel, picture: Image.Image, place: str) -> str:
    title = f'<div style="opacity: .7; overflow-wrap: break-word">{_text(panel.title)}</div>' if panel.title else ""
    style = "display: block; max-width: 100%; height: auto; margin: 0; border-radius: 3px"
    image = f'<img src="{data_url(picture)}" alt="{_text(panel.title)}" style="{style}">'
    width = f"max(7em, {picture.width}px)" if title else f"{picture.width}px"
    return f'<div style="{place}; min-width: 0; max-width: {width}">{title}{image}</div>'


def data_url(picture: Image.Image) -> str:
    """A picture as a ``data:`` address: PNG if it is small, JPEG otherwise.

    Example:
        >>> data_url(Image.new("RGB", (2, 2)))[:22]
        'data:image/png;base64,'
    """
    form = "PNG" if picture.width * picture.height <= _PNG_PX else "JPEG"
    data = io.BytesIO()
    picture.save(data, form, **({} if form == "PNG" else {"quality": 90, "subsampling": 0}))
    return f"data:image/{form.lower()};base64,{base64.b64encode(data.getvalue()).decode()}"


def _text(text: object) -> str:
    return escape(plain_line(text, _MOST_TEXT), quote=True)


def _box(inside: str) -> str:
    return f'<div class="poc-aug-view" style="{_FONT}; color: inherit; max-width: {WIDTH_PX}px">{inside}</div>'


def _table(rows: str) -> str:
    return f'<table style="border-collapse: collapse; margin: 4px 0; border: none; font: inherit">{rows}</table>'


def _head(names: Sequence[str], has_swatches: bool) -> str:
    cells = [""] * has_swatches + [*names]
    return "<tr>" + "".join(f'<th style="{_CELL}; opacity: .7">{_text(name)}</th>' for name in cells) + "</tr>"


def _body(view: NotebookView) -> str:
    rows = []
    for number, values in enumerate(view.table[1:]):
        swatch = f'<td style="{_CELL}">{_square(view.swatches[number])}</td>' if view.swatches else ""
        cells = "".join(f'<td style="{_CELL}; overflow-wrap: anywhere">{_text(value)}</td>' for value in values)
        rows.append(f'<tr style="background: none">{swatch}{cells}</tr>')
    return "".join(rows)


def _square(colour: tuple[int, int, int]) -> str:
    red, green, blue = colour
    return (
        f'<span style="display: inline-block; width: .8em; height: .8em; border-radius: 2px; '
        f'background: rgb({red}, {green}, {blue})"></span>'
    )


def _chip(entry: LegendEntry) -> str:
    style = "display: inline-block; margin-right: 12px; overflow-wrap: anywhere"
    return f'<span style="{style}">{_square(entry.colour)} {_text(entry.text)}</span> '
