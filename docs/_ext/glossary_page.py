"""The glossary: the terms of docs/design.md, in alphabetical order."""

from __future__ import annotations

import re


def glossary_page(design: str) -> str:
    """The page, in Markdown.

    Raises:
        ValueError: the text has no table below the heading "Terms".
    """
    section = re.search(r"^## Terms\n(.*?)^## ", design, re.DOTALL | re.MULTILINE)
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", section[1] if section else "", re.MULTILINE)
    terms = [(term, meaning) for term, meaning in rows if term != "term"]
    if not terms:
        raise ValueError("docs/design.md has no table below the heading 'Terms'")
    entries = "".join(
        f"{term}\n: {meaning[0].upper()}{meaning[1:]}.\n\n" for term, meaning in sorted(terms, key=_letters)
    )
    opening = "The words of the pages, of the messages and of the code. The reasons are in [the design](design.md).\n"
    return f"# Glossary\n\n{opening}\n{entries}"


def _letters(entry: tuple[str, str]) -> str:
    return entry[0].strip("`").lower()
