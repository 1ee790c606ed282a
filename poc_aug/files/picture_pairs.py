"""An image file and its label map, read so that they lie on each other, whatever EXIF says of either."""

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
    3: "turn by 180 degrees",
    4: "mirrored, turn by 180 degrees",
    5: "mirrored, turn by 90 degrees",
    6: "turn clockwise by 90 degrees",
    7: "mirrored, turn by 90 degrees",
    8: "turn anticlockwise by 90 degrees",
}
_CHECK_FILES = "check that these two files belong together, and that neither was resized alone"
_BOTH_WAYS = (
    "look at the pair, then say which: exif='apply' turns each file as its tag says (annotation tools, browsers and "
    "OpenCV show photographs turned), exif='ignore' takes the pixels as they are stored (as PIL and torchvision do)"
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
    """Read an image, mode "RGB", and its labels, in their own mode; neither carries an EXIF orientation any more.

    Args:
        image_path: the image's file.
        labels_path: the labels' file.
        key: the sample's key, for messages.
        exif: ``"apply"``: each file is turned as its EXIF orientation says; ``"ignore"``: the pixels are taken as they
            are stored; ``"auto"``: where both files have one orientation, both are turned; else whichever gives image
            and labels one size, and an error where that does not decide.
        any_size: let pairs without an orientation differ in size, for transforms to mend.
        error: class of the error.
        hint: what messages name as the next step where a file is broken.
        both_ways: what they name where sizes do not decide on an orientation.

    Raises:
        PocAugError: of the class ``error``: a file that cannot be read (`open_picture`, `to_rgb`, `open_labels`); sizes
            that differ; or an orientation where the sizes fit both ways, or neither.
    """
    image = open_picture(image_path, key=key, error=error, hint=hint)
    labels = open_labels(labels_path, key=key, error=error, hint=hint)
    told = f"sample {key!r}: {_told(image_path, image)}, {_told(labels_path, labels)}"
    tagged = (exif_orientation(image), exif_orientation(labels)) != (1, 1)
    way = exif
    if tagged and exif == "auto":
        way = _way(image, labels)
        if way == "auto" and image.size == labels.size:
            raise error(
                f"{told}: they fit turned and unturned alike",
                expected="sizes that say whether the labels were drawn on the picture as it is stored, or turned",
                hint=both_ways,
            )
    turn = upright if way == "apply" else untagged
    image, labels = turn(image), turn(labels)
    if image.size != labels.size and not (any_size and (exif != "auto" or not tagged)):
        after = {"apply": " with it applied", "ignore": " with it ignored", "auto": ", turned or not"}[way]
        raise error(
            told + (f": two sizes{after}" if tagged else ""), expected="image and labels of one size", hint=_CHECK_FILES
        )
    return to_rgb(image, f"sample {key!r}: {image_path}", error=error), labels


def check_exif_rule(exif: str) -> None:
    """Refuse a rule that is none.

    Raises:
        DatasetError: not "auto", "apply" or "ignore".
    """
    if exif not in get_args(ExifRule):
        raise DatasetError(f"exif={exif!r} is not known", expected=f"one of: {', '.join(get_args(ExifRule))}")


def _way(image: Image.Image, labels: Image.Image) -> ExifRule:
    """The one way in which image and labels have one size, "auto" where it is not one; equal tags are applied."""
    stored, applied = image.size == labels.size, upright_size(image) == upright_size(labels)
    if applied and exif_orientation(image) == exif_orientation(labels):
        return "apply"
    return "auto" if stored == applied else "ignore" if stored else "apply"


def _told(path: Path, picture: Image.Image) -> str:
    orientation = exif_orientation(picture)
    tag = "" if orientation == 1 else f" with EXIF orientation {orientation} ({_TURNS[orientation]})"
    return f"{path} is {_size(picture.size)}{tag}"


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]} pixels"
