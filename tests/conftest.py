from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # importing it would ask a server for its newest version
# A shell starts what runs in the background with SIGINT ignored, and so would every child of these tests.
signal.signal(signal.SIGINT, signal.default_int_handler)


def _real_data_root() -> Path | None:
    candidates = [Path(__file__).resolve().parents[2] / "shared" / "data"]
    if "POC_AUG_DATA" in os.environ:
        candidates.insert(0, Path(os.environ["POC_AUG_DATA"]))
    return next((path for path in candidates if (path / "scenes").is_dir()), None)


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
