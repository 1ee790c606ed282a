"""Synthetic streets: scenes made by code, for the demo, the documentation and the tests.

In it: layout, drawing and light of a street.
May import: camera_model, errors, joint_transforms, labels, noise, seeding.
Gives: `SyntheticStreet`.
"""

from __future__ import annotations

from poc_aug.datasets.synthetic.synthetic_street import SyntheticStreet

__all__ = ["SyntheticStreet"]
