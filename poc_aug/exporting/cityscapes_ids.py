"""Cityscapes' ids for composed frames: labelIds and instanceIds, from labels in trainIds and what was inserted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from poc_aug.errors import ExportError
from poc_aug.exporting.exported_frame import ExportedFrame
from poc_aug.exporting.id_conversion import IdConversion
from poc_aug.exporting.layout_protocol import ExportPlan
from poc_aug.labels.schema import SCHEMAS
from poc_aug.recipe import IGNORED

_TRAIN, _LABEL = SCHEMAS["cityscapes-trainIds"], SCHEMAS["cityscapes-labelIds"]
_VOID = 0
_THINGS = range(24, 34)
"""labelIds of the classes that have instances."""
_FIRST_NEW = 34
_LARGEST = 65
"""Largest label id whose instances fit into 16 bits."""
_POC_OFFSET = 81
"""POC numbers new classes from 19 in trainIds, and from 100 in labelIds."""


@dataclass(frozen=True)
class CityscapesIds:
    """The labelId of each id that labels in trainIds may hold, and the number in instance ids of each labelId.

    Attributes:
        label_of: labelId by id.
        code_of: number in instance ids by labelId of a thing.

    Example:
        >>> ids = CityscapesIds.of({"dog": 254, "car": 13, "cat": 19})
        >>> ids.label_of[254], ids.label_of[13], ids.label_of[19], ids.code_of[254]
        (254, 26, 100, 35)
    """

    label_of: Mapping[int, int]
    code_of: Mapping[int, int]

    @classmethod
    def of(cls, ids: Mapping[str, int]) -> CityscapesIds:
        """From a policy's ids of the inserted classes.

        Raises:
            ExportError: two of them would get one labelId, or there are too many for instance ids.
        """
        label_of = {label_id: _LABEL.id_of(name) for name, label_id in _TRAIN.ids.items()}
        label_of |= dict.fromkeys(_TRAIN.ignore, _VOID)
        new = sorted({label_id for name, label_id in ids.items() if name != IGNORED} - set(label_of))
        label_of |= {label_id: label_id + _POC_OFFSET if label_id < 100 else label_id for label_id in new}
        taken = Counter(label_of[label_id] for label_id in new)
        twice = [label_id for label_id in new if taken[label_of[label_id]] > 1]
        if twice:
            raise ExportError(
                f"new classes with ids {twice} get the same labelId {label_of[twice[0]]}",
                expected="ids of new classes that are all below 100, or all from 100",
                hint="number them from 19",
            )
        codes = {label_id: label_id for label_id in _THINGS}
        codes |= {label_of[label_id]: _FIRST_NEW + number for number, label_id in enumerate(new)}
        return cls(label_of, codes)

    def changed(self, frame: ExportedFrame) -> torch.Tensor:
        """Where labels are no longer those of the base, bool ``[H, W]``."""
        return frame.labels != _base_train_ids(frame)

    def label_ids(self, labels: torch.Tensor) -> torch.Tensor:
        """Labels in trainIds (and new ids) as labelIds, uint8."""
        table = np.zeros(256, np.uint8)
        for label_id, converted in self.label_of.items():
            if label_id < 256:
                table[label_id] = converted
        return torch.from_numpy(table[labels.numpy(force=True)])

    def instance_ids(
        self, frame: ExportedFrame, base: torch.Tensor, label_ids: torch.Tensor, changed: torch.Tensor
    ) -> torch.Tensor:
        """Instance ids of a composed frame, int32 ``[H, W]``.

        Args:
            frame: the frame.
            base: instance ids of the base; its labelIds, if there are none.
            label_ids: labelIds of the composed frame.
            changed: where they are not those of the base.

        Raises:
            ExportError: more than 999 instances of a class.
        """
        made = torch.where(changed, label_ids.int(), base.int())
        last: dict[int, int] = {}
        present = torch.unique(base)
        for code in set(self.code_of.values()):
            of_class = present[(present >= code * 1000) & (present < (code + 1) * 1000)]
            last[code] = int(of_class.max()) % 1000 if len(of_class) else -1
        for insertion in frame.insertions:
            y, x, h, w = insertion.box_yxhw
            for part in insertion.parts:
                label_id = _VOID if part.name == IGNORED else self.label_of[frame.ids[part.name]]
                value = label_id
                if label_id in self.code_of:
                    code = self.code_of[label_id]
                    last[code] += 1
                    value = code * 1000 + last[code]
                    if last[code] > 999 or value > 65535:
                        raise ExportError(
                            f"frame {frame.name!r} has more than 999 instances of {part.name!r}",
                            expected="fewer: its instance ids have 16 bits",
                            hint="leave instances out: CityscapesLayout('none')",
                            command="leave instances out: --instance-ids none",
                        )
                made[y : y + h, x : x + w][part.mask] = value
        return made

    def new_classes(self, ids: Mapping[str, int]) -> dict[str, dict[str, int]]:
        """The ids of each class that Cityscapes does not have, for the table alongside the files."""
        return {
            name: {
                "trainId": label_id,
                "labelId": self.label_of[label_id],
                "instanceIds": self.code_of[self.label_of[label_id]] * 1000,
            }
            for name, label_id in sorted(ids.items())
            if name != IGNORED and self.label_of[label_id] not in (*range(34), _VOID)
        }


def check_cityscapes_ids(plan: ExportPlan, *, instances: bool) -> None:
    """Check that labels are classes, in trainIds, and that all ids fit; see `ExportLayout.check`.

    Raises:
        ExportError: they are not, or do not.
    """
    if plan.policy.rewrites_base or plan.schema is None:
        raise ExportError(
            f"layout 'cityscapes' with {plan.policy!r}",
            expected="classes: its files hold Cityscapes' classes and new ones",
            hint="OodLabels(254) or NewClassLabels; for maps of anomalies, the layout 'cs-synth' or 'pebal'",
            command="--labels ood:254 or ids; for maps of anomalies, --layout cs-synth or pebal",
        )
    known = replace(plan.schema, ood=())
    if any(
        _TRAIN.known_id(name) != label_id for name, label_id in known.ids.items() if known.known_id(name) is not None
    ):
        raise ExportError(
            f"layout 'cityscapes' with labels of schema {plan.schema.name!r}",
            expected="Cityscapes' trainIds",
            hint="leave keep_ids out",
            command="leave --keep-ids out",
        )
    ids = CityscapesIds.of(plan.ids)
    new = [label_id for label_id in ids.label_of.values() if label_id > 255]
    codes = max(ids.code_of.values())
    if new or (instances and codes > _LARGEST):
        raise ExportError(
            f"{len(ids.code_of) - len(_THINGS)} new classes with labelIds up to {max(ids.label_of.values())}",
            expected=f"labelIds up to 255, and for instance ids at most {_LARGEST - _FIRST_NEW + 1} new classes",
            hint="CityscapesLayout('none') leaves instances out, OodLabels(254) has one id for all of them",
            command="--instance-ids none leaves instances out, --labels ood:254 has one id for all of them",
        )


def base_label_ids(frame: ExportedFrame) -> torch.Tensor:
    """Labels of the base as labelIds, uint8; other kinds of void than the base tells apart are 0."""
    schema = frame.schema
    assert schema is not None  # checked before any work
    if schema.ids == _LABEL.ids:
        return frame.base.labels.clamp(min=_VOID).to(torch.uint8)
    return IdConversion(schema, _LABEL).convert(frame.base.labels)


def _base_train_ids(frame: ExportedFrame) -> torch.Tensor:
    assert frame.schema is not None
    conversion = IdConversion(frame.schema, _TRAIN)
    return frame.base.labels if conversion.changes_nothing else conversion.convert(frame.base.labels)
