"""The Python of a page, which runs from top to bottom in one namespace."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

NOT_RUN = re.compile(r"<!-- not run: (.+?) -->\n\Z")
PICTURE = re.compile(r"\A\n*<!-- picture: (.+?) -->\n")
_BLOCK = re.compile(r"^```python\n(.*?)^```\n", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of Python of a page.

    Args:
        code: what is in it.
        line: of the page, on which the code begins.
        end: position in the page's text behind the block, and behind the comment of its picture.
        not_run: why it is not run, or `None`.
        picture: what is seen in the image that it leaves in the variable ``picture``, or `None`.
    """

    code: str
    line: int
    end: int
    not_run: str | None
    picture: str | None


def python_blocks(text: str) -> list[Block]:
    """All blocks of a page, in order."""
    blocks = []
    for match in _BLOCK.finditer(text):
        not_run = NOT_RUN.search(text[: match.start()])
        picture = PICTURE.match(text[match.end() :])
        end = match.end() + (picture.end() if picture else 0)
        line = text.count("\n", 0, match.start(1)) + 1
        blocks.append(Block(match[1], line, end, not_run[1] if not_run else None, picture[1] if picture else None))
    return blocks


def run_block(
    block: Block, page: str, namespace: dict[str, object], replaced: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Runs a block; a traceback names the page and its line. `replaced`: text that is another one here."""
    text = block.code
    for old, new in replaced.items():
        text = text.replace(old, new)
    code = compile("\n" * (block.line - 1) + text, page, "exec")
    exec(code, namespace)
