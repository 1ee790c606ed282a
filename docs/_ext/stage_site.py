"""Stages the sources of the site in a folder: docs/, the files that its pages link to, and the generated pages.

python docs/_ext/stage_site.py build/site/source
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "_ext")]

from api_pages import write_api  # noqa: E402
from cli_page import cli_page  # noqa: E402
from glossary_page import glossary_page  # noqa: E402
from outside_links import OutsideLinks, page_of_file, page_of_folder, staged_path  # noqa: E402
from page_pictures import with_pictures  # noqa: E402

_OPTIONAL = re.compile(r"^([\w/*]+)\?\n", re.MULTILINE)
PROJECT = ["CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "examples"]  # what the tables of contents name


def write(path: Path, text: str) -> None:
    """Only if it differs, so that Sphinx reads again only what changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def without_absent(text: str, source: Path) -> str:
    """A page without the entries ``NAME?`` of its tables of contents that name no page (next to it)."""

    def kept(match: re.Match[str]) -> str:
        there = [file for file in source.parent.glob(f"{match[1]}.md") if file != source]
        return f"{match[1]}\n" if there else ""

    return _OPTIONAL.sub(kept, text)


def stage(target: Path) -> None:
    """Writes all sources of the site into `target`."""
    links = OutsideLinks(ROOT, set(PROJECT))
    kept: set[Path] = set()

    def page(path: str, text: str) -> None:
        kept.add(target / staged_path(path))
        write(target / staged_path(path), text)

    for source in sorted((ROOT / "docs").rglob("*")):
        path = source.relative_to(ROOT).as_posix()
        if source.is_dir() or "/_ext/" in path or "__pycache__" in path:
            continue
        if source.suffix == ".md":
            text = with_pictures(source.read_text(encoding="utf-8"), target / staged_path(path), kept)
            page(path, links.rewritten(without_absent(text, source), path))
        else:
            copied = target / staged_path(path)
            kept.add(copied)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copied)
    done: set[str] = set()
    while missing := links.wanted - done:
        for path in sorted(missing):
            done.add(path)
            source = ROOT / path
            if path == "README.md":  # the start page stands for it
                continue
            if source.is_dir():
                links.wanted.update(file.relative_to(ROOT).as_posix() for file in source.glob("*.py"))
                page(path, page_of_folder(ROOT, path))
            elif source.suffix == ".md":
                text = links.rewritten(source.read_text(encoding="utf-8"), path)
                page(path, text if path in PROJECT else f"---\norphan: true\n---\n\n{text}")
            else:
                page(path, page_of_file(ROOT, path))
    write(target / "cli.md", cli_page())
    write(target / "glossary.md", glossary_page((ROOT / "docs" / "design.md").read_text(encoding="utf-8")))
    kept |= {target / "cli.md", target / "glossary.md", *write_api(ROOT, target / "api")}
    for stale in {file for file in target.rglob("*") if file.is_file()} - kept:
        stale.unlink()


if __name__ == "__main__":
    stage(Path(sys.argv[1]).resolve())
