"""``import poc_aug`` is light. Which way imports point: `tests.test_layout`."""

from __future__ import annotations

import subprocess
import sys

import pytest

import poc_aug

HEAVY = ("diffusers", "transformers", "segment_anything", "groundingdino", "matplotlib", "torchmetrics")


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


def test_wrapping_a_dataset_of_ones_own_and_the_command_line_do_not_load_torchvision() -> None:
    code = """if True:
        import poc_aug
        from poc_aug.labels.detect import schema_of
        assert schema_of(poc_aug.SyntheticStreet(size=(32, 64), length=1)) is not None
        assert schema_of([1, 2]) is None
        poc_aug.POCAugmentedDataset, poc_aug.InsertionPipeline, poc_aug.RenderedInserter, poc_aug.PasteInserter
        import sys, poc_aug.live.server
        assert not [name for name in sys.modules if name.startswith("poc_aug.inspection")]  # notebooks load it
        import poc_aug.cli
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
