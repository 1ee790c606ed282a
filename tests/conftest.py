from __future__ import annotations

import functools
import gc
import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import typer.main
import typer.testing
from hypothesis import HealthCheck, settings

gc.disable()  # until everything is imported: see below
torch.set_num_threads(1)
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # importing it would ask a server for its newest version
# A shell starts what runs in the background with SIGINT ignored, and so would every child of these tests.
signal.signal(signal.SIGINT, signal.default_int_handler)


# Processes that start with "forkserver" have imported torch and the package, whatever folder the test is in.
ROOT = Path(__file__).resolve().parents[1]
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
multiprocessing.set_forkserver_preload(["tests.helpers.preloaded"])

# No limit in seconds: a machine may have other work.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def _real_data_root() -> Path | None:
    candidates = [ROOT.parent / "shared" / "data"]
    if "POC_AUG_DATA" in os.environ:
        candidates.insert(0, Path(os.environ["POC_AUG_DATA"]))
    return next((path for path in candidates if (path / "scenes").is_dir()), None)


@pytest.fixture(scope="session", autouse=True)
def _commands_built_once() -> Iterator[None]:
    """Typer reads the declarations of all commands whenever one is called: here once, not 1,500 times."""
    build = functools.cache(lambda application, commands: get_command(application))
    get_command = typer.main.get_command

    def built(application: typer.Typer) -> Any:
        return build(application, len(application.registered_commands))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", built)
        patch.setattr(typer.testing, "_get_command", built)
        yield


@pytest.fixture
def quick_live(monkeypatch: pytest.MonkeyPatch) -> None:
    """Generation processes start in milliseconds (see `tests.helpers.quick_start`)."""
    from poc_aug.live import process_supervisor
    from tests.helpers.quick_start import live_context

    functions = SimpleNamespace(get_context=live_context, parent_process=multiprocessing.parent_process)
    monkeypatch.setattr(process_supervisor, "multiprocessing", functions)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real street scenes and cut-outs; tests that need it are skipped where it is missing."""
    root = _real_data_root()
    if root is None:
        if os.environ.get("POC_AUG_REQUIRE_DATA"):
            pytest.fail("POC_AUG_REQUIRE_DATA is set, but there is no real data")
        pytest.skip("no real data: set POC_AUG_DATA to the folder that holds scenes/ and objects/")
    return root


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.real_data)


def pytest_collection_finish() -> None:
    """Leave what is imported by now, and never goes, out of every later garbage collection."""
    gc.collect()
    gc.freeze()
    gc.enable()
