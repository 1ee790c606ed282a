"""The parts from which `scripts/site` builds the site: links, generated pages, and the check of what was built."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import poc_aug
from poc_aug.cli.main import cli
from tests.helpers.page_objects import ROOT  # which makes the modules of docs/_ext importable


def tool(name: str) -> Any:
    return importlib.import_module(name)


@pytest.mark.parametrize(
    ("source", "link", "expected"),
    [
        ("docs/training.md", "../README.md", "index.md"),
        ("docs/training.md", "camera.md#calibration-files", "camera.md#calibration-files"),
        ("docs/training.md", "../examples/quickstart.py", "project/examples/quickstart.py.md"),
        ("docs/guides/new_class.md", "../../SECURITY.md", "../project/security.md"),
        ("CONTRIBUTING.md", "docs/design.md", "../design.md"),
        ("docs/training.md", "https://arxiv.org/abs/2402.16392", "https://arxiv.org/abs/2402.16392"),
        ("docs/training.md", "gone.md", "gone.md"),
    ],
)
def test_links_to_files_lead_to_pages_of_the_site(source: str, link: str, expected: str) -> None:
    links = tool("outside_links").OutsideLinks(ROOT)
    text = f"[a]({link})\n```\n[a]({link})\n```\n"
    assert links.rewritten(text, source) == f"[a]({expected})\n```\n[a]({link})\n```\n"  # code stays as it is


def test_a_file_outside_of_docs_gets_a_page() -> None:
    links = tool("outside_links").OutsideLinks(ROOT)
    links.rewritten("[a](../examples/quickstart.py) [b](camera.md)", "docs/training.md")
    assert links.wanted == {"examples/quickstart.py"}
    page = tool("outside_links").page_of_file(ROOT, "examples/quickstart.py")
    assert (ROOT / "examples/quickstart.py").read_text(encoding="utf-8").strip() in page


def test_every_public_name_has_a_page_with_a_topic(tmp_path: Path) -> None:
    pages = tool("api_pages")
    assert pages.unplaced(poc_aug.__all__) == []
    written = pages.write_api(ROOT, tmp_path)
    assert {path.stem for path in written} >= set(poc_aug.__all__)
    assert {path.stem for path in written} >= set(pages.MODULES)


def test_every_command_and_option_is_on_the_page_of_the_command_line() -> None:
    page = tool("cli_page").cli_page()
    commands: Any = tool("typer.main").get_command(cli).commands
    for name, command in commands.items():
        section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        options = [option for one in command.params if not getattr(one, "hidden", False) for option in one.opts]
        assert [option for option in options if option.startswith("--") and f"`{option}`" not in section] == []


def test_the_glossary_has_the_terms_of_the_design() -> None:
    page = tool("glossary_page").glossary_page(
        "## Terms\n\n| term | meaning |\n|---|---|\n| b | two |\n| `A` | one |\n\n## Next\n"
    )
    assert page.endswith("`A`\n: One.\n\nb\n: Two.\n\n")
    with pytest.raises(ValueError, match="no table"):
        tool("glossary_page").glossary_page("# Design\n")


def test_a_picture_stands_below_the_block_that_made_it(tmp_path: Path) -> None:
    code = "from PIL import Image\npicture = Image.new('RGB', (8, 4))\n"
    text = f"```python\n{code}```\n<!-- picture: A black frame -->\nText.\n"
    kept: set[Path] = set()
    shown = tool("page_pictures").with_pictures(text, tmp_path / "page.md", kept)
    assert shown.endswith("\n![A black frame](page-1.jpg)\nText.\n")
    assert kept == {tmp_path / "page-1.jpg"}
    with Image.open(tmp_path / "page-1.jpg") as picture:
        assert picture.size == (8, 4)
    with pytest.raises(TypeError, match="line 2: 'picture' is None"):
        tool("page_pictures").with_pictures("```python\na = 1\n```\n<!-- picture: no -->\n", tmp_path / "p.md", set())


def test_an_entry_of_a_page_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "review.md").touch()
    source = tmp_path / "index.md"
    assert tool("stage_site").without_absent("a\nreview?\ngone?\nb\n", source) == "a\nreview\nb\n"


@pytest.mark.parametrize(
    ("html", "problem"),
    [
        ('<script src="https://cdn.example/x.js"></script>', "loads https://cdn.example/x.js from the network"),
        ('<link rel="stylesheet" href="//fonts.example/a.css">', "loads //fonts.example/a.css from the network"),
        (
            "<style>@import url('https://fonts.example/b.css')</style>",
            "loads https://fonts.example/b.css from the network",
        ),
        ('<img src="gone.png">', "gone.png leads nowhere"),
        ('<a href="gone.html">a</a>', "gone.html leads nowhere"),
        ('<a href="../outside.html">a</a>', "../outside.html leads nowhere"),
        ('<a href="other.html#nowhere">a</a>', "other.html#nowhere: there is no such place on that page"),
        ('<a href="http://arxiv.org/abs/1">a</a>', "http://arxiv.org/abs/1 is no https address"),
        ('<a href="https://unknown.example/">a</a>', "https://unknown.example/ is at a host that"),
    ],
)
def test_what_is_wrong_with_a_built_site_is_said(tmp_path: Path, html: str, problem: str) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (tmp_path / "outside.html").touch()
    good = '<a href="other.html#place">a</a><a href="#here" id="here">b</a><a href="https://arxiv.org/abs/1">c</a>'
    (site / "index.html").write_text(f"<html>{good}<img src='data:image/png;base64,AA'></html>", encoding="utf-8")
    (site / "other.html").write_text("<p id='place'></p>", encoding="utf-8")
    assert list(tool("check_site").problems(site)) == []
    (site / "bad.html").write_text(html, encoding="utf-8")
    (found,) = tool("check_site").problems(site)
    assert found.startswith(f"bad.html: {problem}")
