"""`EditGroups`: reads base frames with their edited ones, and makes records of them; in loader processes, if any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch.utils.data import Dataset

from poc_aug.cache.record import encode_record
from poc_aug.errors import CacheError, ImportFilesError
from poc_aug.generation.frame_loading import FrameDataset
from poc_aug.generation.unreadable import UnreadableSample
from poc_aug.importing.edit_deltas import insertions_of_edit
from poc_aug.importing.edit_reach import Beyond, EditReach
from poc_aug.importing.edited_files import read_edited
from poc_aug.importing.edited_pairs import EditedPair
from poc_aug.importing.imported_classes import ImportedClasses
from poc_aug.items.image_digest import digest_of_sample
from poc_aug.items.open_item import Adapt
from poc_aug.labels.label_digest import label_digest_of_sample
from poc_aug.labels.schema import LabelSchema
from poc_aug.types import Sample, Variant


@dataclass(frozen=True)
class ImportedEdit:
    """An edited frame as a record of a cache, or why it cannot be.

    Attributes:
        pair: the edited frame.
        record: the record's bytes; empty if it cannot be imported.
        objects: names of its objects.
        reach: how far the edit reaches.
        error: why it cannot be imported.
    """

    pair: EditedPair
    record: bytes = b""
    objects: tuple[str, ...] = ()
    reach: EditReach | None = None
    error: ImportFilesError | None = None


class EditGroups(FrameDataset):
    """The edited frames of some base frames, by base frame.

    Args:
        base: the base dataset.
        keys: the key of each of its samples.
        numbers: which samples are read, in order.
        adapt: how to take image and labels out of items of another form.
        schema: the base's label schema.
        groups: edited frames by the key of their base frame.
        classes: what their labels mean.
        beyond: what becomes of changes beyond the objects.
        codec: codec of the records.
    """

    def __init__(
        self,
        base: Dataset[Any],
        keys: Sequence[str],
        numbers: Sequence[int],
        adapt: Adapt | None,
        schema: LabelSchema,
        groups: Mapping[str, Sequence[EditedPair]],
        classes: ImportedClasses,
        beyond: Beyond,
        codec: str,
    ) -> None:
        super().__init__(base, keys, numbers, adapt, schema, None)
        self._base_schema = schema
        self._groups, self._classes, self._beyond, self._codec = groups, classes, beyond, codec

    def __getitem__(self, index: int) -> Any:
        """A list of `ImportedEdit`, or an `UnreadableSample`."""
        sample = super().__getitem__(index)
        if isinstance(sample, UnreadableSample):
            return sample
        return [self._imported(pair, sample) for pair in self._groups[sample.key]]

    def _imported(self, pair: EditedPair, base: Sample) -> ImportedEdit:
        try:
            edited, labels = read_edited(pair, base)
            insertions, reach = insertions_of_edit(
                base,
                edited,
                labels,
                self._base_schema,
                self._classes,
                name=str(pair.labels),
                spec=pair.spec,
                beyond=self._beyond,
                provenance={"source": pair.name},
            )
            digests = digest_of_sample(base), label_digest_of_sample(base, self._base_schema, checked=True)
            variant = Variant(base.key, pair.index, digests[0], insertions, label_digest=digests[1])
            record = encode_record(variant, self._codec)
        except ImportFilesError as error:
            return ImportedEdit(pair, error=error)
        except CacheError as error:  # so many objects that their boxes take more than a record may
            return ImportedEdit(pair, error=ImportFilesError(f"{pair.name}: {error.problem}", expected=error.expected))
        return ImportedEdit(pair, record, tuple(one.object_name for one in insertions), reach)
