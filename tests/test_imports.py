"""``import poc_aug`` is light, and imports point one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import poc_aug

PACKAGE = Path(poc_aug.__file__).parent
HEAVY = ("diffusers", "transformers", "segment_anything", "groundingdino", "ray", "matplotlib", "torchmetrics")

# A module may import from its own rank and below.
RANKS = [
    ("errors", "types", "stray_files", "blame", "outputs"),
    (
        *("seeding", "camera_spec", "recipe", "label_ids", "schema", "components", "sizes", "size_choice", "presets"),
        *("models", "measure", "statistics", "pictures", "label_files", "picture_pairs"),
    ),
    (
        *(
            "metrics",
            "scores",
            "losses",
            "reliability",
            "temperature",
            "labels",
            "label_parameters",
            "label_digest",
            "parts",
            "regions",
            "compose",
            "shade",
            "insertions",
            "adapters",
            "digest",
            "keys",
            "camera",
            "known",
            "joint_transforms",
        ),
        *("datasets", "synthetic", "render"),
    ),
    ("redraw", "cache", "pipeline", "pipeline_checks", "scene", "object_order", "engine", "accelerator", "backends"),
    ("manifests", "key_matching"),
    ("live",),
    ("reading", "base_checks"),
    (
        "dataset",
        "closed_set",
        "evaluation",
        "evaluation_pictures",
        "unreadable",
        "warming",
        "preview",
        "object_choice",
        "objects",
        "bench",
        "trace",
        "trace_pictures",
    ),
    ("cli",),
    ("__main__",),
]
RANK = {name: number for number, names in enumerate(RANKS) for name in names}


def modules_after(code: str) -> set[str]:
    listing = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.partition(".")[0] for name in listing.stdout.split()}


def test_importing_poc_aug_loads_only_the_standard_library() -> None:
    bare = modules_after("")
    loaded = modules_after("import poc_aug") - bare - set(sys.stdlib_module_names)
    assert loaded == {"poc_aug"}


def test_wrapping_a_dataset_of_ones_own_does_not_load_torchvision() -> None:
    code = """if True:
        import poc_aug
        from poc_aug.labels.detect import schema_of
        assert schema_of(poc_aug.SyntheticStreet(size=(32, 64), length=1)) is not None
        assert schema_of([1, 2]) is None
        poc_aug.POCAugmentedDataset, poc_aug.InsertionPipeline, poc_aug.RenderedInserter, poc_aug.PasteInserter
        import poc_aug.live.server
    """
    assert "torchvision" not in modules_after(code)


def test_every_public_name_loads_without_optional_packages() -> None:
    code = "import poc_aug\nfor name in poc_aug.__all__: getattr(poc_aug, name)\nimport poc_aug.cli"
    assert not modules_after(code) & set(HEAVY)


def test_public_names_are_sorted_and_real() -> None:
    assert poc_aug.__all__ == sorted(poc_aug.__all__)
    for name in poc_aug.__all__:
        assert getattr(poc_aug, name).__name__ == name
        assert name in dir(poc_aug)
    # The module's name must not hide the function's.
    import poc_aug.generation.warming as module

    assert poc_aug.warm_cache is module.warm_cache
    with pytest.raises(AttributeError, match="no_such_name"):
        poc_aug.no_such_name  # noqa: B018


def top_level_imports(path: Path) -> set[str]:
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("poc_aug"):
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_one_way(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    for name in top_level_imports(path):
        assert RANK[name] <= RANK[own], f"{own} imports {name}"


@pytest.mark.parametrize("module", ["pipeline", "dataset", "warming"])
def test_the_core_imports_no_backend(module: str) -> None:
    assert "backends" not in top_level_imports(PACKAGE / f"{module}.py")


def test_files_can_be_read_in_one_sitting() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {path.name: length for path, length in lengths.items() if length > 400} == {}
