"""What a shift must not change: chosen classes and inserted objects, pasted back with a feather."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from poc_aug.errors import SchemaError
from poc_aug.items.label_ids import distinct_ids
from poc_aug.labels.schema import LabelSchema, check_label_ids, is_any
from poc_aug.masks import dilate
from poc_aug.scenes.shifter_protocol import SceneFrame

EGO_VEHICLE = "ego vehicle"


def check_kept(schema: LabelSchema | None, keep: Sequence[str] | None) -> None:
    """Check that the classes that are to be kept exist.

    Raises:
        SchemaError: a class that the schema does not know, or names without a schema.
    """
    if not keep:
        return
    if schema is None:
        raise SchemaError(
            f"classes to keep are named ({', '.join(keep)}), but the label schema is not known",
            expected="a schema that gives their ids",
            hint="pass schema=, or leave keep out",
            command="give it: --schema NAME|FILE.yaml",
        )
    unknown = [name for name in keep if not schema.has(name)]
    if unknown:
        raise SchemaError(
            f"keep: schema {schema.name!r} has no class {', '.join(map(repr, unknown))}",
            expected=f"some of: {', '.join(schema.ids)}",
            hint="check the spelling, or leave it out of keep",
        )


def kept_mask(frame: SceneFrame, keep: Sequence[str] | None, *, inserted: bool) -> torch.Tensor:
    """The pixels of a frame that must not change: bool ``[H, W]``.

    Args:
        frame: image, labels and schema.
        keep: class names; ``None``: the ego vehicle, if the schema has it.
        inserted: whether inserted objects and anomalies are kept, too: ids that the schema does not know, or knows
            as out-of-distribution. If not, unknown ids are an error.

    Raises:
        SchemaError: an unknown id although ``inserted`` is false; labels that cannot be classes; a class in ``keep``
            that the schema does not know.
    """
    schema, labels = frame.schema, frame.labels.cpu()
    ids = distinct_ids(labels.numpy())
    check_label_ids(ids, None if inserted else schema, frame.key)
    check_kept(schema, keep)
    if schema is None:
        return torch.zeros(labels.shape, dtype=torch.bool)
    names = [name for name in (EGO_VEHICLE,) if schema.has(name)] if keep is None else keep
    kept = {schema.id_of(name) for name in names}
    if inserted:
        kept |= {schema.id_of(name) for name in schema.ood} | (ids - schema.known_ids)
    return is_any(labels, kept & ids)


def paste_kept(original: torch.Tensor, shifted: torch.Tensor, mask: torch.Tensor, feather_px: float) -> torch.Tensor:
    """The shifted frame with the pixels of ``mask`` as they were, fading into it around them.

    Args:
        original: uint8 ``[3, H, W]``.
        shifted: uint8 ``[3, H, W]``.
        mask: bool ``[H, W]``; equal to the original to the bit.
        feather_px: how far around the mask the two are mixed; 0: a hard edge.

    Example:
        >>> before, after = torch.zeros(3, 1, 5, dtype=torch.uint8), torch.full((3, 1, 5), 200, dtype=torch.uint8)
        >>> mask = torch.tensor([[True, False, False, False, False]])
        >>> paste_kept(before, after, mask, 0)[0].tolist()
        [[0, 200, 200, 200, 200]]
    """
    if not bool(mask.any()):
        return shifted
    # Grown by half, then blurred twice over the other half: still 1 along the mask's own edge, so that no step shows.
    grown = int(feather_px / 2)
    alpha = dilate(mask, grown).float()[None]
    for _ in range(2):
        alpha = F.avg_pool2d(alpha, grown // 2 * 2 + 1, stride=1, padding=grown // 2, count_include_pad=False)
    mixed = original * alpha + shifted * (1 - alpha)
    return torch.where(mask, original, mixed.round().clamp(0, 255).to(torch.uint8))
