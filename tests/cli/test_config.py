"""Configuration files: the same cache as by options, and every value is checked."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from poc_aug.cache import Cache
from poc_aug.cli.warm_cache_options import WarmCacheOptions
from poc_aug.errors import SettingError
from tests.helpers.command_line import FRAMES, cache_path, run  # noqa: F401


def test_yaml_gives_the_same_cache(cache_path: Path, tmp_path: Path) -> None:  # noqa: F811
    config = tmp_path / "job.yaml"
    config.write_text(
        "dataset: {type: 'tests.helpers.fakes:Frames', args: {length: 3, size_hw: '60,81'}}\n"
        f"objects: rendered\nnum_variants: 2\nworkers: 0\nout: {tmp_path / 'yaml.cache'}\n"
    )
    run("warm-cache", "--config", config)
    with Cache.open(tmp_path / "yaml.cache") as made, Cache.open(cache_path) as expected:
        assert list(made) == list(expected)
        assert all(made.raw(*name) == expected.raw(*name) for name in expected)
    # Options on the command line win.
    assert "3 variants" in run("warm-cache", "--config", config, "--num-variants", "1", "--out", tmp_path / "one.cache")


def test_bad_configs_are_named(tmp_path: Path) -> None:
    config = tmp_path / "job.yaml"
    config.write_text("datset: x\n")
    with pytest.raises(SettingError, match="datset"):
        WarmCacheOptions.from_yaml(config)
    with pytest.raises(SettingError, match="cannot read"):
        WarmCacheOptions.from_yaml(tmp_path)


_WRONG = """
dataset: ['a']
dataset: {'type': 3}
dataset: {'type': 'a:b', 'arg': 1}
objects: 3
out: true
num_variants: null
num_variants: 'three'
num_variants: true
num_variants: 0
limit: 0
limit: 1.5
seed: 'x'
schema: 7
camera: ['kitti']
location: [1]
per_variant: 1.5
workers: -1
workers: null
codec: 'tiff'
on_error: 'ignore'
"""


@pytest.mark.parametrize("line", _WRONG.split("\n")[1:-1])
def test_values_of_configs_are_checked(line: str, tmp_path: Path) -> None:
    config = tmp_path / "job.yaml"
    config.write_text(line)
    name, _, value = line.partition(": ")
    with pytest.raises(SettingError) as caught:
        WarmCacheOptions.from_yaml(config)
    shown = {"null": "None", "true": "True"}.get(value, value)
    assert f"{config}: {name} = {shown}" in caught.value.problem
    assert caught.value.expected.startswith(f"{name}: ")


@pytest.mark.parametrize("value", ["[1, 3]", "'1,3'", "1,3"])
def test_two_forms_of_a_range(value: str) -> None:
    assert WarmCacheOptions.from_values(yaml.safe_load(f"per_variant: {value}"), "here").objects_range == (1, 3)
    assert WarmCacheOptions.from_values({"per_variant": 2}, "here").objects_range == (2, 2)
    assert WarmCacheOptions.from_values({"location": ["road", "car"]}, "here").classes == ("road", "car")


def test_arguments_in_configs_are_taken_as_they_are() -> None:
    text = "{a: '0016', b: 'no', c: '7', d: 7, e: '96,160', f: [1, 2], g: null, h: 'a,b'}"
    dataset = WarmCacheOptions.from_values(yaml.safe_load(f"dataset: {{type: 'a:b', args: {text}}}"), "here").dataset
    assert dataset is not None
    expected = {"a": "0016", "b": "no", "c": "7", "d": 7, "e": (96, 160), "f": (1, 2), "g": None, "h": "a,b"}
    assert dataset.args == expected
    empty = WarmCacheOptions.from_values({"dataset": {"type": "a:b", "args": None}}, "here").dataset
    assert empty is not None
    assert empty.args == {}


def test_another_dataset_gets_no_arguments_of_the_configs(tmp_path: Path) -> None:
    config = tmp_path / "job.yaml"
    config.write_text(
        "dataset: {type: 'no_such:Thing', args: {colour: red}}\n"
        f"objects: rendered\nnum_variants: 1\nworkers: 0\nout: {tmp_path / 'a.cache'}\n"
    )
    assert "3 variants" in run("warm-cache", "--config", config, *FRAMES)
