"""README, CONTRIBUTING and docs/: links lead somewhere, code compiles, and the names and options in them exist."""

from __future__ import annotations

import ast
import builtins
import importlib
import re
from pathlib import Path

import pytest
import typer.main

from poc_aug.cli.main import cli

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
README_LINES = 180
# What stands for the reader's own objects in examples, where the text says what they are.
STAND_INS = {
    "MyDataset",
    "MyDetector",
    "base",
    "cache",
    "epochs",
    "images",
    "keys",
    "labels",
    "loader",
    "metric",
    "model",
    "pipeline",
    "schema",
}

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_SPAN = re.compile(r"`([^`\n]+)`")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")

COMMANDS = {
    name: {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for name, command in typer.main.get_command(cli).commands.items()  # type: ignore[attr-defined]
}


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def blocks(page: Path, *languages: str) -> list[str]:
    return [body for language, body in _FENCE.findall(page.read_text(encoding="utf-8")) if language in languages]


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings get."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    broken = []
    for link in _LINK.findall(prose(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def unknown_names(code: str) -> set[str]:
    """Names that code uses, but neither defines nor imports."""
    used: set[str] = set()
    known = set(dir(builtins)) | {"__file__", "__name__"}
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else known).add(node.id)
        elif isinstance(node, ast.alias):
            known.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            known.add(node.name)
        elif isinstance(node, ast.arg):
            known.add(node.arg)
    return used - known


def is_importable(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError as error:
            if not ".".join(parts).startswith(error.name or "-"):
                raise
            continue
        for part in parts[count:]:
            if not hasattr(value, part):
                return False
            value = getattr(value, part)
        return True
    return False


def commands_of(block: str) -> list[tuple[str, str]]:
    """The commands of poc_aug in a block of shell: name and the whole line."""
    lines = block.replace("\\\n", " ").splitlines()
    found = [re.search(r"(?:^|&& |/)(?:(warm_cache)|poc-aug ([a-z-]+))(.*?)(?:#.*)?$", line) for line in lines]
    return [(match[2] or "warm-cache", match[3]) for match in found if match]


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= README_LINES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page, and more\n[good](#a-page-and-more) [gone](gone.md) [anchor](page.md#other)\n")
    assert broken_links(page) == ["gone.md", "page.md#other"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_is_complete(page: Path) -> None:
    """A block may use what a block above it defines: they run from top to bottom (tests/test_docs_run.py)."""
    code = ""
    for block in blocks(page, "python"):
        code += block
        assert unknown_names(code) <= STAND_INS, block


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_imports_work(page: Path) -> None:
    for code in blocks(page, "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("poc_aug"):
                for alias in node.names:
                    assert is_importable(f"{node.module}.{alias.name}"), f"{node.module}.{alias.name}"


# The changelog also names what there is no longer.
@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda page: page.name)
def test_names_and_files_exist(page: Path) -> None:
    for span in _SPAN.findall(prose(page)):
        if re.fullmatch(r"poc_aug(\.\w+)+", span):
            assert is_importable(span), span
        elif re.fullmatch(r"(poc_aug|tests|benchmarks|examples|scripts|docs)/[\w./]+", span):
            assert (ROOT / span).exists(), span


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_exist(page: Path) -> None:
    for block in blocks(page, "bash", ""):
        for name, arguments in commands_of(block):
            assert name in COMMANDS, name
            assert set(_OPTION.findall(arguments)) <= COMMANDS[name], f"{name}{arguments}"
    scripts = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("examples", "benchmarks")
        for path in (ROOT / folder).glob("*.py")
    )
    known = set().union(*COMMANDS.values()) | set(_OPTION.findall(scripts)) | {"--fix", "--help"}
    for span in _SPAN.findall(prose(page)):
        if not span.startswith(("git ", "pip ", "sbatch ", "srun ", "torchrun ", "ray ")):
            assert set(_OPTION.findall(span)) <= known, span
