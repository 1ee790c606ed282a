"""An image file and its label map, read so that their pixels correspond, whatever EXIF orientation either has."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias, get_args

from PIL import Image

from poc_aug.errors import DatasetError, PocAugError, SampleReadError
from poc_aug.files.label_pictures import open_labels
from poc_aug.files.pictures import exif_orientation, open_picture, to_rgb, untagged, upright, upright_size

ExifRule: TypeAlias = Literal["auto", "apply", "ignore"]

_TURNS = {
    2: "mirrored",
    3: "rotate by 180 degrees",
    4: "mirrored, rotate by 180 degrees",
    5: "mirrored, rotate by 90 degrees",
    6: "rotate clockwise by 90 degrees",
    7: "mirrored, rotate by 90 degrees",
    8: "rotate anticlockwise by 90 degrees",
}
_CHECK_FILES = "check that these two files belong together, and that neither was resized alone"
_BOTH_WAYS = (
    "look at the pair, then choose: exif='apply' rotates each file as its tag says (annotation tools, browsers and "
    "OpenCV show photographs rotated), exif='ignore' takes the pixels as they are stored (as PIL and torchvision do)"
)


def open_pair(
    image_path: Path,
    labels_path: Path,
    *,
    key: str,
    exif: ExifRule = "auto",
    any_size: bool = False,
    error: type[PocAugError] = SampleReadError,
    hint: str = "restore the file, or take it out",
    both_ways: str = _BOTH_WAYS,
) -> tuple[Image.Image, Image.Image]:
    """Read an image, mode "RGB", and its labels, in their own mode; without an EXIF orientation.

    Args:
        image_path: the image's file.
        labels_path: the labels' file.
        key: the sample's key, for messages.
        exif: ``"apply"``: each file is rotated as its EXIF orientation says; ``"ignore"``: the pixels are taken as they
            are stored; ``"auto"``: if both files have the same orientation, both are rotated; otherwise whichever
            gives image and labels the same size, and an error if that is ambiguous.
        any_size: allow pairs without an orientation to differ in size, for transforms to correct.
        error: class of the error.
        hint: the next step in messages about a broken file.
        both_ways: the next step if the sizes do not decide on an orientation.

    Raises:
        PocAugError: of the class ``error``: a file that cannot be read (`open_picture`, `to_rgb`, `open_labels`); sizes
            that differ; or an orientation with which and without which the sizes fit, or do not fit.
    """
    image = open_picture(image_path, key=key, error=error, hint=hint)
    labels = open_labels(labels_path, key=key, error=error, hint=hint)
    pair = f"sample {key!r}: {_described(image_path, image)}, {_described(labels_path, labels)}"
    tagged = (exif_orientation(image), exif_orientation(labels)) != (1, 1)
    way = exif
    if tagged and exif == "auto":
        way = _way(image, labels)
        if way == "auto" and image.size == labels.size:
            raise error(
                f"{pair}: they fit both rotated and as stored",
                expected="sizes that show whether the labels were drawn on the picture as stored, or rotated",
                hint=both_ways,
            )
    orient = upright if way == "apply" else untagged
    image, labels = orient(image), orient(labels)
    if image.size != labels.size and not (any_size and (exif != "auto" or not tagged)):
        after = {"apply": " with it applied", "ignore": " with it ignored", "auto": ", rotated or not"}[way]
        raise error(
            pair + (f": two sizes{after}" if tagged else ""), expected="image and labels of one size", hint=_CHECK_FILES
        )
    return to_rgb(image, f"sample {key!r}: {image_path}", error=error), labels


def check_exif_rule(exif: str) -> None:
    """Check the rule for EXIF orientations.

    Raises:
        DatasetError: not "auto", "apply" or "ignore".
    """
    if exif not in get_args(ExifRule):
        raise DatasetError(f"exif={exif!r} is not known", expected=f"one of: {', '.join(get_args(ExifRule))}")


def _way(image: Image.Image, labels: Image.Image) -> ExifRule:
    """The one way in which image and labels have the same size; "auto" if ambiguous; equal tags are applied."""
    stored, applied = image.size == labels.size, upright_size(image) == upright_size(labels)
    if applied and exif_orientation(image) == exif_orientation(labels):
        return "apply"
    return "auto" if stored == applied else "ignore" if stored else "apply"


def _described(path: Path, picture: Image.Image) -> str:
    orientation = exif_orientation(picture)
    tag = "" if orientation == 1 else f" with EXIF orientation {orientation} ({_TURNS[orientation]})"
    return f"{path} is {_size(picture.size)}{tag}"


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]} pixels"
