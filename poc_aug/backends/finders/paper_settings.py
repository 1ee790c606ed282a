"""Defaults of detection, each declared once, with their sources."""

from __future__ import annotations

BOX_THRESHOLD = 0.3
"""Least score of a box (POC)."""

TEXT_THRESHOLD = 0.25
"""Least score of a token that counts as named (POC)."""

NMS_IOU = 0.8
"""Of two boxes of one text that overlap more than this, the weaker one is dropped (GenVal)."""
