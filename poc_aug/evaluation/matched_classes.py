"""`matched_classes`: the classes that a model and a dataset share, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from poc_aug.errors import SchemaError
from poc_aug.labels.schema import LabelSchema, class_key

NO_CLASS = 255
"""Place of label ids that no channel of the model stands for."""


def matched_classes(
    schema: LabelSchema, classes: Sequence[str], merge: Mapping[str, str]
) -> tuple[list[str], torch.Tensor, torch.Tensor]:
    """Match the classes of model and dataset by name.

    Returns:
        Names that both know; their place by the dataset's label id, uint8; their place by the model's channel, int64.
    """
    dataset_names = {class_key(own): theirs for own, theirs in merge.items()}
    model_names = {class_key(own) for own in classes}
    unknown = [own for own in merge if class_key(own) not in model_names]
    unknown += [theirs for theirs in merge.values() if theirs not in schema]
    if unknown:
        theirs = f"those of {schema.name!r} ({', '.join(schema.ids)})"
        raise SchemaError(f"merge names {unknown}", expected=f"the model's classes ({', '.join(classes)}) to {theirs}")
    ids = [schema.known_id(dataset_names.get(class_key(own), own)) for own in classes]
    places = {label_id: place for place, label_id in enumerate(dict.fromkeys(i for i in ids if i is not None))}
    if not places:
        raise SchemaError(
            f"no class of schema {schema.name!r} ({', '.join(schema.ids)}) is the model's",
            expected=f"some of: {', '.join(classes)}",
            hint="give the model's classes in the order of its channels, and merge={own: theirs} if names differ",
            command="give the model's classes in the order of its channels: --classes NAME|FILE.yaml",
        )
    # The last place is for an id of -1 ("licence plate").
    class_of_id = torch.full((max(*schema.ids.values(), *schema.ignore, 0) + 2,), NO_CLASS, dtype=torch.uint8)
    for label_id, place in places.items():
        class_of_id[label_id] = place
    name_of_id = {label_id: class_name for class_name, label_id in reversed(list(schema.ids.items()))}
    class_of_channel = torch.tensor([len(places) if i is None else places[i] for i in ids])
    return [name_of_id[label_id] for label_id in places], class_of_id, class_of_channel
