"""torchmetrics' `Metric`, the base class of all metrics here; without torchmetrics the error has its install line."""

from __future__ import annotations

from typing import Any

from poc_aug.optional_imports import require

Metric: Any = require("torchmetrics", extra="metrics", purpose="poc_aug.metrics").Metric
