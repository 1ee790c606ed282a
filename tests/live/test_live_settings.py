"""Settings of live generation: what is wrong is named at once."""

from __future__ import annotations

import gc
import os
from typing import Any

import pytest

from poc_aug.errors import GenerationProcessError, LabelPolicyError, PocAugError, SchemaError, SettingError
from poc_aug.labels.policies import NewClassLabels
from poc_aug.reading.live_settings import LiveSettings, ServerSettings
from tests.helpers.fakes import EllipseInserter
from tests.helpers.live_cases import live, pipeline, traces
from tests.helpers.waiting import wait_until

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
]


@pytest.mark.parametrize(
    ("changes", "error", "named"),
    [
        ({"on_miss": "original"}, SettingError, "original' with pipeline"),
        ({"on_miss": "sometimes"}, SettingError, "sometimes"),
        ({"live": {"refresh": 0.1}}, SettingError, "live={'refresh'"),
        ({"label_policy": NewClassLabels({"dog": 19})}, LabelPolicyError, "cat"),
        ({"schema": "mars"}, PocAugError, "mars"),
        ({"pipeline": pipeline(location=["grass"])}, SchemaError, "grass"),
        ({"pipeline": None}, SettingError, "cache=None"),
        ({"pipeline": None, "on_miss": "background"}, SettingError, "background' without pipeline"),
        ({"pipeline": None, "live": LiveSettings(refresh=0.1)}, SettingError, r"refresh=0\.1.* without pipeline="),
    ],
)
def test_bad_parameters_are_named_at_once(changes: dict[str, Any], error: type, named: str) -> None:
    before = traces(os.getpid())
    with pytest.raises(error, match=named):
        live(**changes)
    assert wait_until(lambda: traces(os.getpid()) <= before)


@pytest.mark.parametrize("part", ["GenerationProcess", "Client", "CacheWriter.create"])
def test_a_beginning_that_fails_leaves_no_folder(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise GenerationProcessError("no more files")

    monkeypatch.setattr(f"poc_aug.live.live_generator.{part}", fail)
    before = traces(os.getpid())
    with pytest.raises(GenerationProcessError, match="no more files"):
        live(pipeline=pipeline())
    gc.collect()
    assert wait_until(lambda: traces(os.getpid()) <= before)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"refresh": 1.5}, r"refresh=1\.5"),
        ({"num_variants": 0}, "num_variants=0"),
        ({"timeout_s": 0}, "timeout_s=0"),
        ({"on_timeout": "wait"}, "on_timeout='wait'"),
        ({"on_server_failure": "ignore"}, "on_server_failure='ignore'"),
        ({"server": {"threads": 2}}, "server={'threads': 2}"),
    ],
)
def test_bad_live_settings_are_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingError, match=named):
        LiveSettings(**changes)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"max_wait_s": 0}, "max_wait_s=0"),
        ({"queue_size": 0}, "queue_size=0"),
        ({"grace_s": 0}, "grace_s=0"),
        ({"threads": 0}, "threads=0"),
        ({"nice": 20}, "nice=20"),
        ({"codec": "jpeg"}, "codec='jpeg'"),
    ],
)
def test_bad_server_settings_are_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingError, match=named):
        ServerSettings(**changes)


def test_a_pipeline_that_cannot_be_sent_says_what_to_pass() -> None:
    inserter = EllipseInserter()
    inserter.hook = lambda: None  # type: ignore[attr-defined]
    with live(pipeline=pipeline(inserter)) as ds:
        with pytest.raises(GenerationProcessError, match=r"(?s)could not be started.*pipeline=make_pipeline"):
            ds[0]
