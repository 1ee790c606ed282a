"""Street scenes made by code, for the demo, the documentation and the tests."""

from __future__ import annotations

from poc_aug.datasets.synthetic.synthetic_street import SyntheticStreet

__all__ = ["SyntheticStreet"]
