"""What is left out of manifests and records: prompts, provenance, absolute paths."""

from __future__ import annotations

import pytest

from poc_aug.cache import Manifest
from poc_aug.recipe import Recipe, fingerprint
from poc_aug.scenes.scene_recipe import SceneRecipe
from poc_aug.sharing.pack_redaction import Redaction, holds_path, without_paths
from tests.helpers.pack_cases import HOME


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (f"cannot read '{HOME}/a b.png'", "cannot read 'a b.png'"),
        ("C:\\Users\\ada\\gnu.png", "gnu.png"),
        ("\\\\server\\share\\gnu.png is empty", "gnu.png is empty"),
        ("file:///home/ada/gnu.png", "gnu.png"),
        ("~/data/gnu.png", "gnu.png"),
        ("/home/ada lovelace/my data/gnu.png", "gnu.png"),
        ("cannot read 'C:\\Users\\ada lovelace\\a gnu.png': empty", "cannot read 'a gnu.png': empty"),
        ('no "/home/ada lovelace/gnu.png" here', 'no "gnu.png" here'),
        ("mask 61% inside, 3/4 of it and/or 1/2", "mask 61% inside, 3/4 of it and/or 1/2"),
        ("http://farm1.staticflickr.com/1/12_z.jpg", "http://farm1.staticflickr.com/1/12_z.jpg"),
        ("aachen/aachen_000000.png#12", "aachen/aachen_000000.png#12"),
    ],
)
def test_paths_in_texts(text: str, rest: str) -> None:
    assert without_paths(text) == rest
    assert holds_path(text) == (text != rest)


def test_prompts_of_all_stages() -> None:
    recipe = Recipe.from_dict(
        {
            "objects": [{"name": "gnu", "prompts": ["a secret gnu", "a secret calf"], "detect": ["a secret animal"]}],
            "prompt_template": "a secret photo of {object}",
            "passes": [{"prompt": "a secret close-up of {object}", "negative_prompt": "secret blur"}, {}],
        }
    ).to_dict()
    backends = {"inserter": {"inserter": "diffusion", "negative_prompt": "secret haze", "steps": 4}}
    made = fingerprint({"recipe": recipe, **backends})
    changed = Redaction(prompts=True).manifest(Manifest(made, recipe, backends))
    assert "secret" not in repr(changed)
    assert changed.fingerprint == fingerprint({"recipe": changed.recipe, **changed.backends}) != made
    kept = Recipe.from_dict(dict(changed.recipe))
    assert kept.objects[0].prompts == kept.objects[0].detect == ("(left out)",)
    assert kept.prompt_template == "{object}"
    assert kept.passes[0].prompt == "(left out) {object}"
    assert kept.passes[0].negative_prompt is kept.passes[1].prompt is None
    assert changed.backends["inserter"] == {"inserter": "diffusion", "negative_prompt": None, "steps": 4}


def test_prompts_of_shifters() -> None:
    recipe = SceneRecipe(domains=("night",), severities=(1,)).to_dict()
    shifter = {"prompt": "{caption}, secretly {domain}", "phrase": "at secret night", "instruction": "secret {domain}"}
    manifest = Manifest.create(recipe, {"shifters": {"night": shifter}}, {})
    changed = Redaction(prompts=True).manifest(manifest)
    assert "secret" not in repr(changed)
    assert changed.backends["shifters"]["night"]["prompt"] == "(left out) {caption}{domain}"
    assert changed.recipe["domains"] == recipe["domains"]
    assert changed.has_own_fingerprint()
    assert changed.kind == "frames"


def test_without_a_choice_nothing_changes() -> None:
    recipe = Recipe.from_dict({"objects": ["gnu"]}).to_dict()
    manifest = Manifest.create(recipe, {"inserter": {"inserter": "paste"}}, {"name": "CamVid", "length": 7})
    assert Redaction().manifest(manifest).to_dict() == manifest.to_dict()
    foreign = Manifest("not a hash", recipe, {"inserter": {"file": f"{HOME}/model.bin"}})
    assert Redaction().manifest(foreign).fingerprint == "not a hash"  # there is none to make anew
    assert HOME not in repr(Redaction().manifest(foreign))


def test_who_dropped_something_is_not_told() -> None:
    header = {"insertions": [], "rejections": [["dropped", "gnu", 0, "by ada"], ["black", "gnu", 1, "mean 3"]]}
    assert Redaction().record(header)["rejections"] == [["dropped", "gnu", 0, ""], ["black", "gnu", 1, "mean 3"]]
