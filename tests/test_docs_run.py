"""The Python on the pages runs: each page from top to bottom, in a folder of its own, with small stand-ins."""

from __future__ import annotations

from pathlib import Path

import pytest

from poc_aug.generation import filling
from poc_aug.generation.frame_loading import load_frames
from tests.helpers import page_objects
from tests.helpers.page_objects import PREPARED, REPLACED, ROOT, page_code

PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in ROOT.glob("docs/**/*.md")}
PAGES["README.md"] = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = {page: page_code.python_blocks(text) for page, text in PAGES.items()}
# Those with pictures run when the site is built, which shows them (docs/_ext/page_pictures.py).
WITH_PICTURES = {page for page, blocks in BLOCKS.items() if any(block.picture for block in blocks)}
RUN = sorted(page for page, blocks in BLOCKS.items() if blocks and page not in WITH_PICTURES)
NOT_RUN = {page: sum(block.not_run is not None for block in blocks) for page, blocks in BLOCKS.items()}


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stock")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        page_objects.make_stock(folder)
    return folder


@pytest.mark.parametrize("page", RUN)
def test_the_code_of_a_page_runs(page: str, stock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # A page fills its caches with two loader processes, which such small frames are not worth.
    monkeypatch.setattr(filling, "load_frames", lambda frames, workers: load_frames(frames, 0))
    namespace = {"__name__": "page", **page_objects.names(page, stock, tmp_path)}
    prepared = PREPARED.get(page, lambda folder: {})(tmp_path)
    for block in BLOCKS[page]:
        if block.not_run is None:
            namespace |= prepared  # also if a loop of an earlier block has given the name to something else
            page_code.run_block(block, page, namespace, REPLACED)


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    assert {page: count for page, count in NOT_RUN.items() if count} == {
        "docs/adding_a_backend.md": 1,
        "docs/evaluation.md": 1,
        "docs/generating.md": 1,
        "docs/integrations/pytorch_ood.md": 1,
        "docs/live_generation.md": 1,
        "docs/many_machines.md": 1,
        "docs/review.md": 1,
        "docs/sharing.md": 1,
    }


def test_every_replacement_is_used() -> None:
    text = "".join(block.code for blocks in BLOCKS.values() for block in blocks)
    assert [old for old in REPLACED if old not in text] == []


def test_pages_that_are_prepared_exist() -> None:
    assert set(PREPARED) | set(page_objects.CACHES) <= set(RUN)


def test_a_failing_block_names_the_page_and_its_line() -> None:
    (block,) = page_code.python_blocks("# Page\n\n```python\na = 1\na / 0\n```\n")
    with pytest.raises(ZeroDivisionError) as caught:
        page_code.run_block(block, "page.md", {})
    assert (str(caught.traceback[-1].path), caught.traceback[-1].lineno + 1) == ("page.md", 5)


def test_comments_say_what_is_not_run_and_what_is_seen() -> None:
    text = "<!-- not run: it needs weights -->\n```python\na\n```\n\n```python\nb\n```\n<!-- picture: a street -->\n"
    first, second = page_code.python_blocks(text)
    assert (first.not_run, first.picture) == ("it needs weights", None)
    assert (second.not_run, second.picture, text[second.end :]) == (None, "a street", "")
