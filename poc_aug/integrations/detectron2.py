"""`PocMapper`: insertions for the mappers of detectron2 and Mask2Former, semantic, instance and panoptic.

A mapper reads files by itself, before it transforms anything, so there is no step between the two to insert into. What
every mapper does is to read the files that its dataset dict names. `PocMapper` therefore hands it a dict that names
composed files, in a temporary folder for the time of the call, and puts the real names back into what it returns. The
mapper stays as it is, whichever it is, and detectron2 is neither imported nor patched.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps

from poc_aug.cache import Cache
from poc_aug.composer import Composed, Composer
from poc_aug.errors import ItemFormatError, SampleReadError, SettingError, in_one_line
from poc_aug.integrations._config_values import check_config_keys, policy_from_config, schema_from_config
from poc_aug.integrations._detectron2_annotations import composed_annotations
from poc_aug.integrations._shared_draws import rewriting
from poc_aug.reading.composed_panoptic import check_categories, compose_panoptic

_FILES = ("file_name", "sem_seg_file_name", "pan_seg_file_name")
_ADVICE = "the cache was made from another picture than the one at this file_name: check the path of the cache"
_UNKNOWN_ID = -1


class PocMapper:
    """A mapper of detectron2 that sees composed frames: wrap it, and pass the wrapper as ``mapper=``.

    What the dataset dict names decides what is rewritten: ``sem_seg_file_name`` (label ids by the label policy),
    ``pan_seg_file_name`` with ``segments_info``, ``annotations`` (base masks lose what is hidden; new boxes and masks
    are in the form of the others). In what the mapper returns, ``file_name`` is the real one. Items without insertions
    are mapped from their own files.

    Args:
        mapper: any mapper: ``mapper(dataset_dict)`` reads the files that the dict names.
        caches: a `poc_aug.Composer`; or path of a cache, or a list of them, of which one is made with ``settings``.
        label_policy: turns class names into label ids; default ``OodLabels(254)``. They are also the ``category_id`` of
            segments and annotations.
        schema: label schema of the labels that the dicts name, in the contiguous ids that detectron2 trains on.
        categories: ``category_id`` by class name, for datasets in which it is not the label id (COCO panoptic);
            ``None``: no segment and no annotation.
        folder: where files of composed frames are written for the time of a call; ``None``: the system's temporary
            folder. ``"/dev/shm"`` keeps them in memory.
        settings: of the composer: ``p``, ``seed``, ``on_miss``, ...; ``redraw`` is ``"read"`` unless it is given, since
            detectron2's samplers have no epochs.

    Raises:
        SettingError: no mapper, or a setting that there is not.
        CacheError, LabelPolicyError, SchemaError: see `poc_aug.Composer`.
        ItemFormatError: when called: no dataset dict, or one without labels.
        SampleReadError: when called: a file that cannot be read.

    Example:
        >>> import numpy as np
        >>> from poc_aug import InsertionPipeline, OodLabels, RenderedInserter, SyntheticStreet, warm_cache
        >>> from poc_aug.presets import load_preset
        >>> street = SyntheticStreet(size=(64, 128), length=1)
        >>> recipe = load_preset("obstacles").with_changes(objects_per_variant=(1, 1))
        >>> report = warm_cache(street, "street.cache", InsertionPipeline(recipe, RenderedInserter()), workers=0)
        >>> image, labels = street[0]
        >>> image.save(f"{street.keys()[0]}.png"), labels.save("labels.png")
        (None, None)
        >>> def mapper(dataset_dict):  # detectron2's DatasetMapper(cfg), say
        ...     return {**dataset_dict, "sem_seg": np.array(Image.open(dataset_dict["sem_seg_file_name"]))}
        >>> mapper = PocMapper(mapper, "street.cache", OodLabels(254), schema="cityscapes-trainIds", p=1.0)
        >>> mapped = mapper({"file_name": f"{street.keys()[0]}.png", "sem_seg_file_name": "labels.png"})
        >>> int(mapped["sem_seg"].max()), mapped["file_name"]
        (254, 'street-000000.png')
    """

    def __init__(
        self,
        mapper: Callable[[dict[str, Any]], Any],
        caches: Composer | Cache | str | Path | Sequence[str | Path | Cache],
        label_policy: Any = None,
        *,
        schema: Any = None,
        categories: Mapping[str, int | None] | None = None,
        folder: str | Path | None = None,
        **settings: Any,
    ) -> None:
        if not callable(mapper):
            raise SettingError(
                f"mapper={mapper!r}", expected="a mapper of detectron2", hint="PocMapper(DatasetMapper(cfg), ...)"
            )
        if isinstance(caches, Composer):
            if label_policy is not None or schema is not None or settings:
                raise SettingError(
                    "a Composer, and settings of one",
                    expected="one of the two",
                    hint="PocMapper(mapper, Composer(cache, label_policy, schema=..., p=...))",
                )
            self.composer = caches
        else:
            check_config_keys(type(self).__name__, settings, Composer.__init__)
            given = {"key": "file_name", "redraw": "read", **settings}
            self.composer = Composer(
                caches, policy_from_config(label_policy), schema=schema_from_config(schema), **given
            )
        if folder is not None and not Path(folder).is_dir():
            raise SettingError(f"folder={str(folder)!r}", expected="a folder that exists", hint="folder='/dev/shm'")
        self.mapper, self.categories, self.folder = mapper, categories, folder
        # Annotations hold no label map, so there is nothing to compare; the image is compared all the same.
        self._without_labels = rewriting(
            self.composer, self.composer.label_policy, self.composer.base_schema, check_labels=False, advice=_ADVICE
        )

    def __call__(self, dataset_dict: dict[str, Any]) -> Any:
        """What the mapper makes of the composed frame; ``dataset_dict`` is not modified.

        Raises:
            PocAugError: see the class.
        """
        key = _checked(dataset_dict)
        labels, composed = self._compose(dataset_dict, key)
        if composed.variant is None and composed.labels is labels:
            return self.mapper(dataset_dict)
        with tempfile.TemporaryDirectory(prefix="poc-aug-", dir=self.folder) as scratch:
            shown = self._files(dataset_dict, composed, Path(scratch), key)
            mapped = self.mapper(shown)
        if isinstance(mapped, dict):
            for name in _FILES:
                if name in shown and mapped.get(name) == shown[name]:
                    mapped[name] = dataset_dict[name]
        return mapped

    def _compose(self, dataset_dict: Mapping[str, Any], key: str) -> tuple[Image.Image, Composed]:
        image = ImageOps.exif_transpose(_read(key, key)).convert("RGB")
        if described := [name for name in ("segments_info", "annotations") if name in dataset_dict]:
            check_categories(self.composer.label_policy, self.composer.ids, self.categories, described[0])
        if "sem_seg_file_name" in dataset_dict:
            labels = _read(dataset_dict["sem_seg_file_name"], key)
            return labels, self.composer.compose(image, labels, key=key)
        if "pan_seg_file_name" in dataset_dict:
            labels = _labels_of(_read(dataset_dict["pan_seg_file_name"], key), dataset_dict, self._void_id())
            return labels, self.composer.compose(image, labels, key=key)
        labels = Image.new("I", image.size, self._void_id())
        return labels, self._without_labels.compose(image, labels, key=key)

    def _void_id(self) -> int:
        """What the labels show that nobody knows: an ignore id, otherwise an id that is none."""
        schema = self.composer.base_schema
        if schema is None:
            return _UNKNOWN_ID
        return schema.ignore[0] if schema.ignore else min(schema.known_ids)

    def _files(self, dataset_dict: dict[str, Any], composed: Composed, folder: Path, key: str) -> dict[str, Any]:
        """The dataset dict of the composed frame, with files in a folder."""
        shown = dict(dataset_dict)
        shown["file_name"] = _write(composed.image, folder / "image.tif")
        insertions = () if composed.variant is None else composed.variant.insertions
        size_hw = (composed.image.height, composed.image.width)
        schema = self.composer.base_schema
        settings: dict[str, Any] = {
            "categories": self.categories,
            "ignored": () if schema is None else schema.ignore,
            "ring_px": self.composer.label_policy.ring_px,
            "key": key,
        }
        if "sem_seg_file_name" in dataset_dict:
            shown["sem_seg_file_name"] = _write(composed.labels, folder / "sem_seg.tif")
        if "pan_seg_file_name" in dataset_dict:
            base = _read(dataset_dict["pan_seg_file_name"], key).convert("RGB")
            infos = dataset_dict["segments_info"]
            pan_seg, shown["segments_info"] = compose_panoptic(
                insertions, base, infos, composed.ids, size_hw, **settings
            )
            shown["pan_seg_file_name"] = _write(pan_seg, folder / "pan_seg.tif")
        if "annotations" in dataset_dict:
            shown["annotations"] = composed_annotations(
                dataset_dict["annotations"], insertions, composed.ids, size_hw, **settings
            )
        return shown

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.mapper!r}, {self.composer!r})"


def _checked(dataset_dict: object) -> str:
    """The name of the image in a dataset dict that has all that is needed."""
    if not isinstance(dataset_dict, dict) or not isinstance(dataset_dict.get("file_name"), str):
        raise ItemFormatError(
            f"a mapper got {str(dataset_dict)[:80]!r}",
            expected="a dataset dict of detectron2, with file_name",
        )
    key: str = dataset_dict["file_name"]
    if not any(name in dataset_dict for name in (*_FILES[1:], "annotations")):
        raise ItemFormatError(
            f"the dataset dict of {key!r} has {', '.join(map(repr, dataset_dict))}",
            expected="labels: sem_seg_file_name, pan_seg_file_name or annotations",
            hint="PocMapper is for training; test without it",
        )
    if "pan_seg_file_name" in dataset_dict and "segments_info" not in dataset_dict:
        raise ItemFormatError(
            f"the dataset dict of {key!r} has pan_seg_file_name without segments_info",
            expected="both, as load_coco_panoptic_json gives them",
        )
    for name in ("image", "sem_seg", "proposal_boxes"):
        if name in dataset_dict:
            raise ItemFormatError(
                f"the dataset dict of {key!r} has {name!r}, which would not show the inserted objects",
                expected="names of files",
                hint="compose before: composer.compose(image, labels, key=file_name)",
            )
    return key


def _opener() -> Callable[[str, str], IO[bytes]]:
    """What opens files: that of detectron2, if it is in use, since paths may be on a store; otherwise Python's own."""
    module = sys.modules.get("detectron2.utils.file_io")
    return open if module is None else module.PathManager.open


def _read(file: Any, key: str) -> Image.Image:
    try:
        with _opener()(file, "rb") as opened, Image.open(opened) as picture:
            picture.load()
            return picture
    except (OSError, SyntaxError, ValueError) as error:
        raise SampleReadError(
            f"{str(file)!r} of {key!r} cannot be read: {in_one_line(error)}", expected="a picture that Pillow reads"
        ) from error


def _write(picture: Image.Image, file: Path) -> str:
    """Write a picture without compression: reading and writing 2048x1024 pixels then takes 20 ms instead of 120."""
    picture.save(file)
    return str(file)


def _labels_of(panoptic: Image.Image, dataset_dict: Mapping[str, Any], void_id: int) -> Image.Image:
    """The label map of a panoptic one: the ``category_id`` of each segment."""
    colours = np.asarray(panoptic.convert("RGB")).astype(np.int32)
    numbers, places = np.unique(colours @ np.array([1, 256, 65536], np.int32), return_inverse=True)
    categories = {info["id"]: info["category_id"] for info in dataset_dict["segments_info"]}
    ids = np.array([categories.get(int(number), void_id) for number in numbers], np.int32)
    return Image.fromarray(ids[places].reshape(colours.shape[:2]))
