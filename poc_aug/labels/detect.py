"""Which label schema a dataset has: declared by it, known for torchvision's, or given. Never guessed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from torch.utils.data import ConcatDataset, Subset

from poc_aug.errors import LabelPolicyError, RecipeError, SchemaError, SettingError
from poc_aug.keys.dataset_wrappers import wrapped
from poc_aug.labels.schema import SCHEMAS, LabelSchema

if TYPE_CHECKING:
    from torchvision.datasets import Cityscapes, VisionDataset

_V2_WRAPPERS = "torchvision.tv_tensors._dataset_wrapper"


def schema_of(dataset: Any) -> LabelSchema | None:
    """The label schema of a dataset, if it is certain.

    It is certain for a dataset with a `LabelSchema` as its attribute ``schema`` (our own have one), for
    torchvision's `Cityscapes` (semantic labels, labelIds or trainIds by their file names) and `VOCSegmentation`,
    and for these inside `Subset`, `ConcatDataset` (if all parts agree) and `wrap_dataset_for_transforms_v2`.

    Returns:
        The schema; ``None`` if it is not certain: another class, a class that overrides ``__getitem__``, or a
        dataset with ``target_transform`` or ``transforms``, which may change the ids.

    Example:
        >>> class Frames(list):
        ...     schema = SCHEMAS["camvid"]
        >>> schema_of(Subset(Frames(), [])).name
        'camvid'
        >>> schema_of([]) is None
        True
    """
    declared = getattr(dataset, "schema", None)
    if isinstance(declared, LabelSchema):
        return declared
    # A subclass of Subset may do anything to its items.
    if isinstance(dataset, Subset) and type(dataset).__getitem__ is Subset.__getitem__:
        return schema_of(dataset.dataset)
    if isinstance(dataset, ConcatDataset) and type(dataset).__getitem__ is ConcatDataset.__getitem__:
        schemas = [schema_of(part) for part in dataset.datasets]
        return schemas[0] if all(schema == schemas[0] for schema in schemas) else None
    if not _is_torchvisions(dataset) or _may_change_ids(dataset):
        return None
    from torchvision.datasets import Cityscapes, VOCSegmentation

    if any(cls.__module__ == _V2_WRAPPERS for cls in type(dataset).__mro__):
        return schema_of(dataset._dataset)
    if isinstance(dataset, Cityscapes) and type(dataset).__getitem__ is Cityscapes.__getitem__:
        return _cityscapes(dataset)
    if isinstance(dataset, VOCSegmentation) and type(dataset).__getitem__ is VOCSegmentation.__getitem__:
        return SCHEMAS["voc"]
    return None


def find_schema(dataset: Any, schema: LabelSchema | str | Path | None = None) -> LabelSchema | None:
    """The schema that was given (itself, by name, or as a YAML file), otherwise the dataset's own, otherwise ``None``.

    Raises:
        SchemaError: a name or file that is not a schema.
    """
    if isinstance(schema, LabelSchema):
        return schema
    return schema_of(dataset) if schema is None else LabelSchema.load(schema)


def require_schema(dataset: Any, schema: LabelSchema | str | Path | None = None) -> LabelSchema:
    """`find_schema`, for callers that need a schema.

    Raises:
        SchemaError: no schema was given, and the dataset's own is not certain; the message says why.
    """
    known = find_schema(dataset, schema)
    if known is not None:
        return known
    reason, hint, command = _why(dataset)
    raise SchemaError(
        f"the label schema of {type(dataset).__name__} is not known{reason}",
        expected=f"a LabelSchema, a YAML file, or one of: {', '.join(SCHEMAS)}",
        hint=hint or 'pass schema="cityscapes-trainIds", say',
        command=command or "--schema cityscapes-trainIds, say, or --schema FILE.yaml",
    )


@contextmanager
def unknown_schema_explained(dataset: Any, schema: LabelSchema | None) -> Iterator[None]:
    """Add to errors about a missing label schema why the dataset's is not known, if there is a known reason."""
    try:
        yield
    except (SchemaError, LabelPolicyError, RecipeError, SettingError) as error:
        reason, hint, command = _why(dataset)
        if schema is not None or not reason:
            raise
        problem = f"the label schema of {type(dataset).__name__} is not known{reason}; {error.problem}"
        raise type(error)(
            problem, expected=error.expected, hint=hint or error.hint, command=command or error.command
        ) from error


def _is_torchvisions(dataset: Any) -> TypeGuard[VisionDataset]:
    """Whether it is a dataset of torchvision; never if torchvision has not been imported.

    Importing torchvision takes as long as importing torch (it loads torch._dynamo), in each process that live
    generation and loaders start.
    """
    if "torchvision.datasets" not in sys.modules:
        return False
    from torchvision.datasets import VisionDataset

    return isinstance(dataset, VisionDataset)


def _may_change_ids(dataset: VisionDataset) -> bool:
    from torchvision.datasets.vision import StandardTransform

    transforms = dataset.transforms
    if isinstance(transforms, StandardTransform):
        return transforms.target_transform is not None
    return transforms is not None or dataset.target_transform is not None


def _cityscapes(dataset: Cityscapes) -> LabelSchema | None:
    # Users override the file suffix to train on trainIds, so the files decide, not the class.
    names = {tuple(name.rpartition("_")[2] for name in names) for names in dataset.targets}
    if names == {("labelIds.png",)}:
        return SCHEMAS["cityscapes-labelIds"]
    if names == {("labelTrainIds.png",)}:
        return SCHEMAS["cityscapes-trainIds"]
    return None


def _why(dataset: Any) -> tuple[str, str, str]:
    """Why a dataset's schema is not known, and the next step in Python and on the command line; empty if unclear."""
    if _is_torchvisions(dataset) and _may_change_ids(dataset):
        return (
            ": its target_transform or transforms may change the ids",
            "build the dataset without them and pass transforms= to POCAugmentedDataset; or pass the schema of what "
            "they return: schema=",
            "",
        )
    if _is_torchvisions(dataset) and "target_type" in vars(dataset) and set(dataset.target_type) != {"semantic"}:
        return (
            f': its labels are target_type={dataset.target_type}, and class ids are target_type="semantic"',
            'build the dataset with target_type="semantic", or pass the schema of these labels: schema=',
            "add target_type=semantic to the dataset's arguments, or give the schema of these labels: --schema NAME",
        )
    if isinstance(dataset, ConcatDataset):
        return ": its parts have different schemas, or unknown ones", "", ""
    if isinstance(dataset, Subset):
        inner, hint, command = _why(dataset.dataset)
        return f": it is a subset of {type(dataset.dataset).__name__}{inner}", hint, command
    inner_dataset = wrapped(dataset)
    known = None if inner_dataset is None else schema_of(inner_dataset)
    if known is not None:
        return f": it wraps {type(inner_dataset).__name__}, whose own is {known.name!r}, and may change the ids", "", ""
    return "", "", ""
