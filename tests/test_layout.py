"""Where things are: what a folder may import, no circles, and no two things of one name."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import poc_aug

PROGRAMS = ("fuzz", "kills")  # `python -m tests.fuzz`, `python -m tests.kills`; tests run a small part of them
PACKAGE = Path(poc_aug.__file__).parent
ROOT = PACKAGE.parent
NESTED = ("backends", "datasets")  # folders whose subfolders are told apart
FOLDERS = sorted(path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE)
THREE_LINES = ("In it", "May import", "Gives")


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {dotted(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


@cache
def imports(module: str) -> frozenset[str]:
    """Modules of the package that a file imports: anywhere in it, also under TYPE_CHECKING and in functions."""
    imported = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names if alias.name in MODULES}
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                imported.add(submodule if submodule in MODULES else node.module)
    return frozenset(imported)


def unit(module: str) -> str:
    """The folder that a module belongs to, or its own name at the top: ``backends.paste``, ``recipe``."""
    parts = module.split(".")[1:]
    depth = 2 if len(parts) > 1 and parts[0] in NESTED and (PACKAGE / parts[0] / parts[1]).is_dir() else 1
    return ".".join(parts[:depth])


def unit_imports() -> dict[str, set[str]]:
    graph: dict[str, set[str]] = defaultdict(set)
    for module in MODULES:
        if module != "poc_aug":
            graph[unit(module)] |= {unit(other) for other in imports(module)} - {unit(module)}
    return graph


def stated(folder: Path) -> dict[str, str]:
    """The three lines of a folder's docstring, by their first words."""
    docstring = ast.get_docstring(tree(dotted(folder / "__init__.py"))) or ""
    begins = "|".join(THREE_LINES)
    lines = re.findall(rf"^({begins}): (.+?)(?=\n(?:{begins}): |\n\n|\Z)", docstring, flags=re.MULTILINE | re.DOTALL)
    return {first: " ".join(text.split()) for first, text in lines}


def may_import(folder: Path) -> set[str]:
    text = stated(folder)["May import"].removesuffix(".")
    return set() if text == "nothing" else {name.strip() for name in text.split(",")}


def assert_no_circle(graph: dict[str, set[str]]) -> None:
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_no_circle_between_files() -> None:
    # The package's own __init__ names every public module, for type checkers; nothing but the version is taken from it.
    assert_no_circle({module: set(imports(module)) for module in MODULES if module != "poc_aug"})


def test_no_circle_between_folders() -> None:
    assert_no_circle(dict(unit_imports()))


def test_no_circle_in_what_folders_may_import() -> None:
    graph = {unit(dotted(folder / "__init__.py")): may_import(folder) for folder in FOLDERS}
    units = {unit(module) for module in MODULES if module != "poc_aug"}
    assert {name for names in graph.values() for name in names} <= units
    assert_no_circle(graph)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.relative_to(PACKAGE).as_posix())
def test_each_folder_says_what_is_in_it(folder: Path) -> None:
    assert tuple(stated(folder)) == THREE_LINES
    name = unit(dotted(folder / "__init__.py"))
    assert unit_imports()[name] <= may_import(folder), f"{name} imports more than it says"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.relative_to(PACKAGE).as_posix())
def test_what_a_folder_gives_is_in_it(folder: Path) -> None:
    inside = {path.stem for path in folder.glob("*.py")}
    for path in folder.glob("*.py"):
        for node in tree(dotted(path)).body:
            inside |= {node.name} if isinstance(node, ast.ClassDef | ast.FunctionDef) else set()
            inside |= {ast.unparse(target) for target in node.targets} if isinstance(node, ast.Assign) else set()
    given = set(re.findall(r"`(\w+)`", stated(folder)["Gives"]))
    assert given
    assert given <= inside


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.relative_to(PACKAGE).as_posix())
def test_init_files_hold_no_code(folder: Path) -> None:
    for node in tree(dotted(folder / "__init__.py")).body:
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_names = isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]
        # Names loaded on first use (PEP 562): `poc_aug.datasets` must not load torchvision for synthetic streets.
        is_lazy_export = folder.name == "datasets" and (
            (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
            or (isinstance(node, ast.FunctionDef) and node.name in ("__getattr__", "__dir__"))
        )
        is_import = isinstance(node, ast.Import | ast.ImportFrom)
        assert is_docstring or is_names or is_import or is_lazy_export, ast.unparse(node)


def test_no_two_files_of_one_name() -> None:
    names = defaultdict(list)
    for path in MODULES.values():
        if path.name not in ("__init__.py", "__main__.py"):
            names[path.name].append(path.relative_to(PACKAGE).as_posix())
    assert {name: paths for name, paths in names.items() if len(paths) > 1} == {}


def test_no_two_public_things_of_one_name() -> None:
    homes = defaultdict(set)
    for module in MODULES:
        for node in tree(module).body:
            targets: list[ast.expr] = []
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                homes[node.name].add(module)
            elif isinstance(node, ast.Assign):
                targets = node.targets
            elif isinstance(node, ast.AnnAssign):
                targets = [node.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    homes[target.id].add(module)
    assert {name: where for name, where in homes.items() if len(where) > 1 and not name.startswith("_")} == {}


def test_tests_lie_in_the_folders_of_what_they_test() -> None:
    for folder in {path.parent for path in (ROOT / "tests").rglob("*.py")} - {ROOT / "tests"}:
        inside = folder.relative_to(ROOT / "tests")
        known = ("helpers", "benchmarks", "examples", *PROGRAMS)
        assert (PACKAGE / inside).is_dir() or inside.as_posix() in known, inside
    helpers = {path.name for path in (ROOT / "tests").rglob("*.py") if path.parent.name not in ("helpers", *PROGRAMS)}
    assert {name for name in helpers if not name.startswith("test_")} == {"__init__.py", "conftest.py"}


@pytest.mark.parametrize("folder", ["poc_aug", "tests", "benchmarks", "examples"])
def test_files_can_be_read_in_one_sitting(folder: str) -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / folder).rglob("*.py")}
    assert {path.name: length for path, length in lengths.items() if length > 400} == {}


# Loads what the package imports of others once, then imports each folder as if it were the first of the package, with
# its modules in any order after it: importing one of them alone runs the folder's __init__ before it, too, and what it
# finds half imported then is a circle, within the folder or between two, which other tests rule out.
ALONE = """
import gc, importlib, random, sys, tempfile, traceback
import kornia, lmdb, numpy, PIL.Image, pydantic, rich, torch, torch.utils.data, torchvision, typer, yaml
from importlib.util import find_spec
for optional in ("matplotlib.pyplot", "sklearn.metrics", "torchmetrics"):
    if find_spec(optional.partition(".")[0]):
        importlib.import_module(optional)
order = random.Random(int(sys.argv[1]))
folders = [folder.split() for folder in sys.argv[2:]]
order.shuffle(folders)
gc.freeze()
# Each module is compiled once, also where Python is told to write nothing next to it.
compiled = tempfile.TemporaryDirectory()
sys.dont_write_bytecode, sys.pycache_prefix = False, compiled.name
failed = []
for folder in folders:
    assert not [name for name in sys.modules if name.partition(".")[0] == "poc_aug"]
    for module in (folder[0], *order.sample(folder[1:], len(folder) - 1)):
        try:
            importlib.import_module(module)
        except BaseException:
            traceback.print_exc()
            failed.append(module)
    for name in [name for name in sys.modules if name.partition(".")[0] == "poc_aug"]:
        del sys.modules[name]
sys.exit(" ".join(failed) or 0)
"""


def test_every_folder_and_every_module_at_the_top_imports_alone() -> None:
    at_the_top = [dotted(path) for path in PACKAGE.glob("*.py") if path.name not in ("__init__.py", "__main__.py")]
    inside = [
        " ".join(
            [
                dotted(folder / "__init__.py"),
                *(dotted(path) for path in sorted(folder.glob("*.py")) if path.stem != "__init__"),
            ]
        )
        for folder in FOLDERS
    ]
    assert len(MODULES) == 2 + len(at_the_top) + sum(len(folder.split()) for folder in inside)
    run = subprocess.run([sys.executable, "-c", ALONE, "1", *at_the_top, *inside], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_the_engine_knows_no_insertion() -> None:
    # Shifts of whole frames are to run through it too.
    reached, ahead = set[str](), ["poc_aug.generation.engine", "poc_aug.generation.job"]
    while ahead:
        reached.add(module := ahead.pop())
        ahead += [other for other in imports(module) if other not in reached]
    insertions = (
        "places",
        "regions",
        "scene",
        "cut_out",
        "acceptance",
        "pipeline",
        "insertion_jobs",
        "insertion_stages",
    )
    assert not reached & {f"poc_aug.generation.{name}" for name in (*insertions, "insertion_stages")}


def test_nothing_is_imported_from_the_package_itself() -> None:
    # Its lazy names would hide a circle.
    lazy = set(poc_aug._HOMES)
    for module in MODULES:
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.ImportFrom) and node.module == "poc_aug":
                assert not {alias.name for alias in node.names} & lazy, module


@pytest.mark.parametrize("name", ["dataset", "generation", "reading", "live", "cache"])
def test_the_core_imports_no_backend(name: str) -> None:
    assert not {other for other in unit_imports()[name] if other.startswith("backends")}
