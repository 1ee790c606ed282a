"""A licence for the whole that contradicts those of its sources: they are named, in a warning and the datasheet."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

from poc_aug.cache import Manifest
from poc_aug.sharing.datasheet_counts import RecipeCounts
from poc_aug.sharing.licence_conflicts import licence_conflicts
from poc_aug.sharing.packing import pack_cache
from tests.helpers.pack_cases import telling_cache

NC, ND, SA = "bans commercial use", "allows no derivatives", "asks for the same licence"


def counts_of(licence: str, model: str = "") -> RecipeCounts:
    backends = {"inserter": {"model": model}} if model else {}
    counts = RecipeCounts(Manifest.create({}, backends, {}), made_with="")
    counts.licences[licence] = 2
    return counts


@pytest.mark.parametrize(
    ("given", "source", "why"),
    [
        ("cc-by-4.0", "CC-BY-2.0", ""),
        ("mit", "No-known-restrictions", ""),
        ("mit", "unknown", ""),
        ("cc-by-4.0", "CC-BY-NC-2.0", NC),
        ("apache-2.0", "CC-BY-NC-2.0", NC),
        ("cc-by-nc-4.0", "CC-BY-NC-2.0", ""),
        ("fair-noncommercial-research-license", "CC-BY-NC-2.0", ""),
        ("cc-by-4.0", "CC-BY-ND-2.0", ND),
        ("cc-by-nd-4.0", "CC-BY-ND-2.0", ""),
        ("cc-by-4.0", "CC-BY-SA-2.0", SA),
        ("cc0-1.0", "CC-BY-SA-2.0", SA),
        ("cc-by-nc-sa-4.0", "CC-BY-SA-2.0", SA),
        ("cc-by-sa-4.0", "CC-BY-SA-2.0", ""),
        ("gpl-3.0", "CC-BY-SA-4.0", ""),
        ("gpl-3.0", "CC BY-SA 4.0", ""),
        ("cc-by-4.0", "CC BY-NC 2.0", NC),
        ("cc-by-sa-4.0", "CC-BY-NC-SA-2.0", f"{NC} and {SA}"),
        ("cc-by-nc-sa-4.0", "CC-BY-NC-SA-2.0", ""),
        ("cc-by-4.0", "CC-BY-NC-ND-2.0", f"{NC} and {ND}"),
        ("other", "CC-BY-NC-ND-2.0", ""),
        ("", "CC-BY-NC-ND-2.0", ""),
    ],
)
def test_what_a_licence_may_not_allow(given: str, source: str, why: str) -> None:
    found = licence_conflicts(given, [counts_of("CC-BY-2.0"), counts_of(source)])
    assert found == ([f"pictures of 2 insertions have the licence {source}, which {why}"] if why else [])


def test_models_that_ban_commercial_use() -> None:
    model = "black-forest-labs/FLUX.1-Fill-dev"
    recipes = [counts_of("CC-BY-2.0", model), counts_of("CC-BY-2.0", model)]
    assert licence_conflicts("mit", recipes) == [f"model {model} has the licence FLUX.1 dev, which {NC}"]
    assert licence_conflicts("cc-by-nc-4.0", recipes) == []


def test_packing_warns_and_the_datasheet_says_so(tmp_path: Path) -> None:
    cache = telling_cache(tmp_path / "street.cache")
    with pytest.warns(UserWarning, match=r"the licence mit of the packed cache contradicts") as caught:
        report = pack_cache(cache, tmp_path / "packed", licence="mit")
    said = f"pictures of 4 insertions (such as http://example.org/1) have the licence CC-BY-NC-2.0, which {NC}"
    assert report.licence_conflicts == (said,)
    assert said in str(caught[0].message)
    assert caught[0].filename == __file__
    assert (
        "**It contradicts those of its sources**: pictures of 4 insertions"
        in (tmp_path / "packed/README.md").read_text()
    )
    facts = json.loads((tmp_path / "packed" / "pack.json").read_text())
    assert facts["licence"] == "mit"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number, licence in enumerate(("", "cc-by-nc-4.0", "other")):
            out = tmp_path / f"packed-{number}"
            assert pack_cache(cache, out, licence=licence).licence_conflicts == ()
            assert "It contradicts" not in (out / "README.md").read_text()
