"""``poc-aug finetune-scenes`` with small models of the real classes, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from poc_aug.cli.finetune_scenes_options import FinetuneScenesOptions
from poc_aug.finetuning.finetune_settings import FinetuneSettings
from tests.helpers.command_line import run
from tests.helpers.finetune_cases import CAPTIONS, tiny_base  # noqa: F401
from tests.helpers.tiny_scene_models import tiny_scene_models  # noqa: F401

STREETS = ["--dataset", "tests.helpers.finetune_cases:Streets"]
TINY = [
    "--condition", "one-hot", "--size", "16", "--steps", "2", "--batch-size", "1", "--warmup-steps", "0",
    "--checkpoint-every", "1", "--validate-every", "1", "--validation-frames", "1", "--validation-steps", "1",
    "--no-tensorboard", "--workers", "0", "--device", "cpu",
]  # fmt: skip


@pytest.fixture
def options(tiny_base: Path, tmp_path: Path) -> list[Any]:  # noqa: F811
    return [*STREETS, *TINY, "--base", tiny_base, "--out", tmp_path / "run"]


def test_options_have_the_defaults_of_the_settings() -> None:
    assert FinetuneScenesOptions().settings() == FinetuneSettings()


def test_a_run_captions_trains_and_reports(
    options: list[Any], tiny_scene_models: Callable[[str], Path], tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    captioned = [*options, "--captioner", tiny_scene_models("blip"), "--captions", tmp_path / "captions.jsonl"]
    text = run("finetune-scenes", *captioned, "--dry-run", "count=3")
    assert "3 frames, schema cityscapes-trainIds, condition one-hot (19 channels), cpu, precision no" in text
    assert "would be begun" in text
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "captions.jsonl").exists()

    card = ["--data-name", "Streets", "--data-licence", "CC0-1.0", "--base-licence", "OpenRAIL-M"]
    text = run("finetune-scenes", *captioned, *card, "--report", tmp_path / "report.json", "count=3")
    assert "2 updates on 3 frames" in text
    assert f"ControlNet: {tmp_path / 'run/controlnet'}" in text
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["command"], report["exit_code"], report["step"], report["resumed_at"]) == (
        "finetune-scenes", 0, 2, 0,
    )  # fmt: skip
    assert set(report["validation"]) == {"0", "1", "2"}
    rows = [json.loads(line) for line in (tmp_path / "captions.jsonl").read_text().splitlines()]
    assert [row["key"] for row in rows] == ["street/0.png", "street/1.png", "street/2.png"]
    readme = (tmp_path / "run/controlnet/README.md").read_text()
    assert "| data | Streets, 3 frames |" in readme
    assert "| captions | blip" in readme

    assert "0 updates on 3 frames, 2 were there before" in run("finetune-scenes", *captioned, "count=3")
    assert "1 update on 3 frames, 2 were there before" in run("finetune-scenes", *captioned, "--steps", 3, "count=3")
    assert len((tmp_path / "captions.jsonl").read_text().splitlines()) == 3
    failed = run("finetune-scenes", *captioned, "--batch-size", 3, "count=3", fails=True)
    assert "batch_size: 1 there, 3 now" in failed


def test_a_yaml_file_of_options(tiny_base: Path, tmp_path: Path) -> None:  # noqa: F811
    config = {
        "dataset": {"type": "tests.helpers.finetune_cases:Streets", "args": {"count": 2}},
        "base": str(tiny_base), "out": str(tmp_path / "run"), "condition": "one-channel", "size": 16, "steps": 1,
        "batch_size": 1, "validation_frames": 0, "tensorboard": False, "workers": 0, "device": "cpu",
        "prompt": "a street", "learning_rate": 1,
    }  # fmt: skip
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(config))
    assert "condition one-channel (1 channels)" in run(
        "finetune-scenes", "--config", tmp_path / "job.yaml", "--dry-run"
    )
    (tmp_path / "job.yaml").write_text(yaml.safe_dump({**config, "colour": "red"}))
    assert "unknown fields ['colour']" in run("finetune-scenes", "--config", tmp_path / "job.yaml", fails=True)


def test_errors_say_what_to_give(options: list[Any], tmp_path: Path) -> None:
    def failed(*more: Any) -> str:
        text = run("finetune-scenes", *options, *more, fails=True)
        assert not (tmp_path / "run").exists()
        return text

    assert "--captioner Salesforce/blip-image-captioning-base, or --prompt" in failed()
    assert "leave --precision out" in failed("--precision", "fp16", "--prompt", "a street")
    assert "no captioner at 'missing'" in failed("--captioner", "missing")
    assert "prompt_dropout=7" in failed("--prompt-dropout", 7)
    assert "precision = 'fp8'" in failed("--precision", "fp8")
    assert "--schema" in failed("--prompt", "a street", "known=false")
    (tmp_path / "notes.txt").write_text("no captions\n")
    assert "notes.txt' holds no captions" in failed("--captions", tmp_path / "notes.txt")
    assert "--dataset is missing" in run("finetune-scenes", "--out", tmp_path / "run", fails=True)
    assert "--out is missing" in run("finetune-scenes", *STREETS, fails=True)


def test_captions_of_a_file_alone(options: list[Any], tmp_path: Path) -> None:
    rows = [{"key": key, "caption": caption} for key, caption in CAPTIONS.items()]
    (tmp_path / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:5]))
    given = [*options, "--captions", tmp_path / "captions.jsonl", "--dry-run"]
    assert "1 of 6 frames have no caption: 'street/5.png'" in run("finetune-scenes", *given, fails=True)
    assert "6 frames" in run("finetune-scenes", *given, "--prompt", "a street")
    assert "5 frames" in run("finetune-scenes", *given, "--limit", 5)
    assert not (tmp_path / "run").exists()
