"""A folder of images and label maps as a dataset of PIL pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypedDict

from torchvision.datasets import VisionDataset

from poc_aug.datasets.file_pairing import folder_at, pair_by_function, pair_by_wildcards
from poc_aug.errors import DatasetError
from poc_aug.files.picture_pairs import ExifRule, check_exif_rule, open_pair
from poc_aug.joint_transforms.joint_transform import transform_pair
from poc_aug.labels.schema import LabelSchema


class PairedFolderOptions(TypedDict, total=False):
    """Options that all readers take, see `PairedFolder`: the transforms of torchvision's datasets, and ``exif``.

    Example:
        >>> import numpy as np
        >>> from poc_aug.datasets.paired_folder import PairedFolderOptions
        >>> PairedFolderOptions(transform=np.asarray, exif="ignore")["exif"]
        'ignore'
    """

    transforms: Callable[[Any, Any], Any] | None
    transform: Callable[[Any], Any] | None
    target_transform: Callable[[Any], Any] | None
    exif: ExifRule


class PairedFolder(VisionDataset):  # type: ignore[misc]  # torchvision has no types
    """Images and labels by glob, each pair as PIL images of one size: RGB, and the labels in their own mode.

    Images of other modes become RGB as in `poc_aug.files.pictures.to_rgb`: 16-bit grey is scaled, alpha is dropped,
    floats are an error. Labels in a lossy format are an error, whatever their suffix.

    Files are paired by the text that the wildcards match::

        PairedFolder(
            "cityscapes",
            images="leftImg8bit/train/*/*_leftImg8bit.png",
            labels="gtFine/train/*/*_gtFine_labelTrainIds.png",
            schema="cityscapes-trainIds",
        )

    Args:
        root: folder of the dataset.
        images: glob relative to ``root``; ``{jpg,png}`` means either. Or a list of relative paths.
        labels: the same for the labels; if ``images`` is a list, a list of the same length.
        schema: label schema of the labels as this dataset returns them, its name, or a YAML file.
        pair: function from an image's relative path to that of its labels, if wildcards cannot pair the files. Needs
            globs.
        transforms: function of ``(image, labels)``, or a joint transform (`poc_aug.joint_transforms.joint_transform`).
            To augment with this library, pass the transforms to `POCAugmentedDataset` instead: objects cannot be
            inserted into a normalised image.
        transform: function of the image.
        target_transform: function of the labels.
        exif: what to do with an EXIF orientation. ``"auto"``: whatever makes the sizes of image and labels agree, and
            an error if they agree both ways; ``"apply"``: turn each file by its tag; ``"ignore"``: take the pixels as
            they are stored.

    Attributes:
        images: paths of the images, in natural order.
        labels: paths of the labels, in the same order.
        schema: the label schema, or ``None``.

    Raises:
        DatasetError: no folder, no files, files without a counterpart, or both kinds of transforms.
        SchemaError: an unknown schema.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from poc_aug.datasets import PairedFolder
        >>> with tempfile.TemporaryDirectory() as root:
        ...     Image.new("RGB", (8, 4)).save(Path(root, "0001.jpg"))
        ...     Image.new("L", (8, 4), 2).save(Path(root, "0001_labels.png"))
        ...     dataset = PairedFolder(root, "*.jpg", "*_labels.png", schema="camvid")
        ...     image, labels = dataset[0]
        >>> dataset.keys(), image.size, labels.getpixel((0, 0))
        (['0001.jpg'], (8, 4), 2)
    """

    def __init__(
        self,
        root: str | Path,
        images: str | Sequence[str],
        labels: str | Sequence[str],
        *,
        schema: LabelSchema | str | Path | None = None,
        pair: Callable[[str], str] | None = None,
        transforms: Callable[[Any, Any], Any] | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        exif: ExifRule = "auto",
    ) -> None:
        check_exif_rule(exif)
        if transforms is not None and (transform is not None or target_transform is not None):
            raise DatasetError(
                "transforms= was given together with transform= or target_transform=",
                expected="either transforms= of the pair, or one function of each",
                hint="join them in transforms=",
            )
        folder = folder_at(root)
        super().__init__(str(folder), transforms, transform, target_transform)
        self._exif: ExifRule = exif
        self._may_resize = any(function is not None for function in (transforms, transform, target_transform))
        pairs = _pairs(folder, images, labels, pair)
        self._keys = [image for image, _ in pairs]
        self._globs = (images, labels) if isinstance(images, str) else ("a list", "a list")
        self.images = [folder / image for image, _ in pairs]
        self.labels = [folder / label for _, label in pairs]
        self.schema: LabelSchema | None
        if schema is None or isinstance(schema, LabelSchema):
            self.schema = schema
        else:
            self.schema = LabelSchema.load(schema)

    def keys(self) -> list[str]:
        """The images' paths relative to ``root``, with forward slashes."""
        return list(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, index: int) -> Any:
        """``(image, labels)``, transformed if transforms were given.

        Raises:
            SampleReadError: a file that cannot be read or decoded, is above Pillow's limit, or holds several pictures;
                an image whose mode has no defined conversion to 8-bit RGB; labels in a lossy format; image and labels
                of different sizes without transforms; an EXIF orientation that their sizes do not decide.
        """
        image, labels = open_pair(
            self.images[index],
            self.labels[index],
            key=self._keys[index],
            exif=self._exif,
            any_size=self._may_resize,
            hint="restore the file from the dataset's archive, or take the pair out of the folder",
        )
        if self.transforms is not None:
            return transform_pair(self.transforms, image, labels, key=self._keys[index])
        return image, labels

    def extra_repr(self) -> str:
        """Globs and schema, for ``repr``."""
        schema = "unknown" if self.schema is None else self.schema.name
        return f"Images: {self._globs[0]}\nLabels: {self._globs[1]}\nSchema: {schema}"


def _pairs(
    root: Path,
    images: str | Sequence[str],
    labels: str | Sequence[str],
    pair: Callable[[str], str] | None,
) -> list[tuple[str, str]]:
    if isinstance(images, str) and isinstance(labels, str):
        if pair is not None:
            return pair_by_function(root, images, labels, pair)
        return pair_by_wildcards(root, images, labels)
    if isinstance(images, str) or isinstance(labels, str) or len(images) != len(labels) or pair is not None:
        raise DatasetError(
            f"images={images!r:.80} and labels={labels!r:.80} do not fit together"
            + (" with pair=" if pair is not None else ""),
            expected="two globs, or two lists of one length and no pair=",
            hint="list the labels in the order of the images",
        )
    return list(zip(images, labels, strict=True))
