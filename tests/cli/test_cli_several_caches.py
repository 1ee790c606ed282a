"""Several caches and recipes on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from poc_aug.cache.members import member_paths
from poc_aug.cli.main import cli
from tests.helpers.warming_cases import content

STREET = ["--dataset", "poc_aug:SyntheticStreet", "size=96,160", "length=2"]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def warm(path: Path, *more: str) -> Result:
    options = ["--objects", "rendered", "--workers", "0", "--num-variants", "1", "--out", str(path), *more]
    return run("warm-cache", *options, *STREET)


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A cache of two recipes, and another one."""
    folder = tmp_path_factory.mktemp("caches")
    paths = folder / "a.cache", folder / "b.cache"
    assert warm(paths[0]).exit_code == 0
    refused = warm(paths[0], "--seed", "1")
    assert refused.exit_code == 1
    assert "--add-recipe" in str(refused.exception.on_command_line())  # type: ignore[union-attr]
    assert warm(paths[0], "--seed", "1", "--add-recipe").exit_code == 0
    assert warm(paths[1], "--seed", "2").exit_code == 0
    return paths


def test_a_second_recipe_is_added(caches: tuple[Path, Path]) -> None:
    assert [len(content(path)) for path in member_paths(caches[0])] == [2, 2]


def test_preview_shows_all_recipes_and_caches(caches: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    shown = run("preview", *caches, *STREET, "--out", out, "--count", "6", "--width", "600")
    assert shown.exit_code == 0, shown.output
    assert "6 variants" in shown.output
    one = run("preview", caches[0], *STREET, "--out", out, "--recipe", member_paths(caches[0])[1].name[:8])
    assert "2 variants" in one.output
    with Image.open(out) as picture:
        assert picture.width == 1800
    unknown = run("preview", caches[0], *STREET, "--out", out, "--recipe", "ffffffff")
    assert unknown.exit_code == 1
    assert "holds no recipe 'ffffffff'" in str(unknown.exception)
    several = run("preview", *caches, "--rejected", "--out", out)
    assert "2 caches with --rejected" in str(several.exception)
    typo = run("preview", caches[0], "typo", *STREET, "--out", out)
    assert "argument 'typo'" in str(typo.exception)
