from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from poc_aug.cache import Cache, CacheWriter, Manifest, registry
from poc_aug.errors import (
    CacheDatasetMismatchError,
    CacheFormatError,
    CacheMismatchError,
    CacheNotFoundError,
)
from tests.helpers.cache_cases import contents, make_cache, make_manifest, make_variant


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    yield
    gc.collect()
    assert registry.open_count() == 0


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(CacheNotFoundError, match=r"no cache next to it either[\s\S]*warm-cache .* --out"):
        Cache.open(tmp_path / "a.cache")
    make_cache(tmp_path / "city.cache", 0)
    with pytest.raises(CacheNotFoundError, match=r"next to it are: city\.cache[\s\S]*did you mean .*/city\.cache'"):
        Cache.open(tmp_path / "cty.cache")
    with pytest.raises(CacheNotFoundError, match="there is no folder"):
        Cache.open(tmp_path / "x" / "a.cache")


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.cache").write_text("x")
    with pytest.raises(CacheFormatError, match="is a file of 1 bytes"):
        Cache.open(tmp_path / "a.cache")
    with pytest.raises(CacheFormatError, match="is a file"):
        CacheWriter(tmp_path / "a.cache", make_manifest())


def test_another_directory(tmp_path: Path) -> None:
    (tmp_path / "a.cache").mkdir()
    (tmp_path / "a.cache/frame.png").write_text("x")
    with pytest.raises(CacheFormatError, match=r"no manifest\.json; it holds: frame\.png"):
        Cache.open(tmp_path / "a.cache")
    with pytest.raises(CacheFormatError, match=r"not a cache and not empty; it holds: frame\.png"):
        CacheWriter(tmp_path / "a.cache", make_manifest())


def test_half_created_cache_is_created(tmp_path: Path) -> None:
    (tmp_path / "a.cache/shards").mkdir(parents=True)
    (tmp_path / "a.cache/.manifest.json.123").write_text('{"form')
    assert len(contents(make_cache(tmp_path / "a.cache", 3))) == 3


def edit(path: Path, **changes: object) -> None:
    data = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(data | changes))


@pytest.mark.parametrize("nbytes", [0, 1, 100])
def test_half_written_manifest(tmp_path: Path, nbytes: int) -> None:
    path = make_cache(tmp_path / "a.cache")
    (path / "manifest.json").write_bytes((path / "manifest.json").read_bytes()[:nbytes])
    with pytest.raises(CacheFormatError, match=rf"half-written or not JSON \({nbytes} bytes\)"):
        Cache.open(path)
    with pytest.raises(CacheFormatError, match="half-written"):
        CacheWriter(path, make_manifest())


def test_manifest_that_is_not_text(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache")
    (path / "manifest.json").write_bytes(b"\xff\x00\xfe")
    with pytest.raises(CacheFormatError, match="not JSON"):
        Cache.open(path)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_schema_version(tmp_path: Path, version: object) -> None:
    path = make_cache(tmp_path / "a.cache")
    edit(path, schema_version=version)
    for use in (lambda: Cache.open(path), lambda: CacheWriter(path, make_manifest())):
        with pytest.raises(CacheFormatError, match=rf"schema version {version!r}[\s\S]*schema version 1"):
            use()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"format": "other"}, "not a cache's manifest: 'other'"),
        ({"recipe": []}, r"recipe = \[\]\nExpected: a mapping"),
        ({"fingerprint": None}, "fingerprint = None\nExpected: a string"),
        ({"codec": "png"}, "codec 'png'\nExpected: one of: delta-zstd"),
    ],
)
def test_wrong_fields(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    path = make_cache(tmp_path / "a.cache")
    edit(path, **changes)
    with pytest.raises(CacheFormatError, match=problem):
        Cache.open(path)


def test_manifest_that_is_a_list() -> None:
    with pytest.raises(CacheFormatError, match="'list'"):
        Manifest.from_dict([])


def test_manifest_round_trip() -> None:
    manifest = make_manifest()
    assert Manifest.from_dict(json.loads(json.dumps(manifest.to_dict()))) == manifest
    assert manifest.created_by.startswith("poc_aug ")
    assert manifest.max_sigma_px == 3.0
    assert Manifest("f", {}).max_sigma_px is None


def test_manifest_fields_added_later_are_no_error(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache")
    edit(path, extra=1)
    assert len(contents(path)) == 7


# -- another recipe, another dataset


def test_wrong_recipe(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache")
    wanted = make_manifest(seed=5, objects=[{"name": "gnu", "prompts": ["a big gnu"]}], attempts=3)
    with pytest.raises(CacheMismatchError) as caught:
        CacheWriter(path, wanted)
    text = str(caught.value)
    assert make_manifest().fingerprint in text
    assert wanted.fingerprint in text
    assert "recipe.seed: cache 0, this run 5" in text
    assert 'recipe.objects[0].prompts[0]: cache "a gnu", this run "a big gnu"' in text
    assert "recipe.attempts: cache null, this run 3" in text
    assert "Next step:" in text
    with pytest.raises(CacheMismatchError) as caught:
        Cache.open(path, fingerprint=wanted.fingerprint)
    assert wanted.fingerprint in str(caught.value)
    assert make_manifest().fingerprint in str(caught.value)
    Cache.open(path, fingerprint=make_manifest().fingerprint).close()


def test_many_and_long_differences_are_cut(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache")
    wanted = make_manifest(**{f"field {i:02d}": "x" * 200 for i in range(30)})
    with pytest.raises(CacheMismatchError, match=r'field 00: cache null, this run "x{76}\.\.\.[\s\S]*and 25 more'):
        CacheWriter(path, wanted)


def test_differences_of_many_objects_are_one_line_per_field(tmp_path: Path) -> None:
    def manifest(scale: int) -> Manifest:
        objects = [
            {
                "name": f"thing-{i}",
                "size": {name: scale for name in "abcdefg"},
                "prompts": ["a", f"{scale if i < 2 else 0} cm"],
            }
            for i in range(32)
        ]
        return make_manifest(objects=objects, attempts=scale)

    path = tmp_path / "a.cache"
    CacheWriter.create(path, manifest(1))
    with CacheWriter(path, manifest(1)) as writer:
        writer.put(make_variant(0))
    with pytest.raises(CacheMismatchError) as caught:
        CacheWriter(path, manifest(2))
    assert caught.value.problem.splitlines()[1:] == [
        "  recipe.attempts: cache 1, this run 2",
        '  prompts of 2 of 32 objects, for example recipe.objects[0].prompts[1]: cache "1 cm", this run "2 cm"',
        "  size of all 32 objects, for example recipe.objects[0].size.a: cache 1, this run 2",
    ]


def test_wrong_backend_codec_and_fingerprint(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache")
    right = make_manifest()
    backends = {"inserter": {"name": "noise", "version": 2}}
    wrong = Manifest.create(right.recipe, backends, right.dataset)
    with pytest.raises(CacheMismatchError, match=r"backends\.inserter\.version: cache null, this run 2"):
        CacheWriter(path, wrong)
    with pytest.raises(CacheMismatchError, match='codec: cache "delta-zstd", this run "raw"'):
        CacheWriter(path, replace(right, codec="raw"))
    with pytest.raises(CacheMismatchError, match="none that the manifest holds"):
        CacheWriter(path, replace(right, fingerprint="0" * 32))


def test_wrong_dataset(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache")
    with pytest.raises(CacheDatasetMismatchError, match=r"dataset\.length: cache 7, this run 8"):
        CacheWriter(path, replace(make_manifest(), dataset={"length": 8}))


def test_refused_writer_holds_no_lock(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache")
    with pytest.raises(CacheMismatchError):
        CacheWriter(path, make_manifest(seed=1))
    CacheWriter(path, make_manifest()).close()
