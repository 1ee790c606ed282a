from __future__ import annotations

from tests.helpers.finetune_cases import tiny_base  # noqa: F401
