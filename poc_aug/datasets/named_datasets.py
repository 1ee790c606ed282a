"""The datasets of the papers, in the folders that their archives unpack to.

Each returns a `PairedFolder`. Its schema is left unknown where ``transforms`` or ``target_transform`` is given, for
they may change the ids: wrap the plain dataset, and pass the transforms to `POCAugmentedDataset`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias, Unpack

from poc_aug.datasets.file_pairing import any_file, find_files, folder_at, is_folder
from poc_aug.datasets.paired_folder import Options, PairedFolder
from poc_aug.errors import DatasetError

Layout: TypeAlias = tuple[str, str]
"""Globs of images and labels."""

_ANY = "{png,jpg,jpeg,webp}"
_CONDITIONS = ("fog", "night", "rain", "snow")
_ACDC_SCHEMAS = {"trainIds": "cityscapes-trainIds", "labelIds": "cityscapes-labelIds"}
_IDD_SCHEMAS = {
    "csTrainIds": "cityscapes-trainIds",
    "level1Ids": "idd-lite",
    "level2Ids": None,
    "level3Ids": None,
    "level4Ids": None,
    "csIds": None,
    "ids": None,
}
_SMIYC_FOLDERS = {
    "RoadAnomaly21": ("dataset_AnomalyTrack", "RoadAnomaly21"),
    "RoadObstacle21": ("dataset_ObstacleTrack", "RoadObstacle21", "RoadObsticle21"),
}


def camvid(root: str | Path, split: str = "train", **options: Unpack[Options]) -> PairedFolder:
    """CamVid in SegNet's layout: ``train/*.png`` and ``trainannot/*.png``, and so ``val`` and ``test``.

    Labels, mode "L" (schema "camvid"): 0 sky, 1 building, 2 pole, 3 road, 4 sidewalk, 5 tree, 6 sign, 7 fence,
    8 car, 9 pedestrian, 10 bicyclist, 11 ignore.

    Source: Brostow et al., "Semantic object classes in video" (PRL 2009); classes of Badrinarayanan et al.,
    "SegNet" (TPAMI 2017).

    Raises:
        DatasetError: an unknown split, or files that are not there.
    """
    _known("split", split, ("train", "val", "test"))
    layouts = [(f"{split}/*.png", f"{split}annot/*.png")]
    return _open("CamVid", "the SegNet tutorial's data", root, layouts, "camvid", options)


def acdc(
    root: str | Path,
    split: str = "train",
    condition: str | Sequence[str] | None = None,
    ids: Literal["trainIds", "labelIds"] = "trainIds",
    **options: Unpack[Options],
) -> PairedFolder:
    """ACDC: 1920×1080 frames in fog, at night, in rain and snow.

    Images ``rgb_anon/<condition>/<split>/<sequence>/*_rgb_anon.png``, labels
    ``gt/<condition>/<split>/<sequence>/*_gt_labelTrainIds.png``, mode "L", in Cityscapes trainIds (0 to 18 and 255) or
    labelIds. The test labels are not public.

    Source: Sakaridis et al., "ACDC" (ICCV 2021).

    Args:
        root: folder that holds ``rgb_anon`` and ``gt``.
        split: "train" or "val".
        condition: one or several of "fog", "night", "rain", "snow"; ``None``: all four.
        ids: which label files.
        options: as in `PairedFolder`: transforms, exif.

    Raises:
        DatasetError: an unknown split, condition or ids, or files that are not there.
    """
    _known("split", split, ("train", "val"))
    _known("ids", ids, tuple(_ACDC_SCHEMAS))
    chosen = _CONDITIONS if condition is None else (condition,) if isinstance(condition, str) else condition
    for one in chosen:
        _known("condition", one, _CONDITIONS)
    where = f"{{{','.join(chosen)}}}/{split}/*"
    label_file = {"trainIds": "labelTrainIds", "labelIds": "labelIds"}[ids]
    layouts = [(f"rgb_anon/{where}/*_rgb_anon.png", f"gt/{where}/*_gt_{label_file}.png")]
    return _open("ACDC", "acdc.vision.ee.ethz.ch", root, layouts, _ACDC_SCHEMAS[ids], options)


def idd(
    root: str | Path,
    split: str = "train",
    ids: str | None = None,
    **options: Unpack[Options],
) -> PairedFolder:
    """The India Driving Dataset: IDD-Lite as it is, or the full one after its own ``createLabels.py``.

    IDD-Lite (320×227): ``leftImg8bit/<split>/*/*_image.jpg`` and ``gtFine/<split>/*/*_label.png``, mode "L", schema
    "idd-lite": 0 drivable, 1 non-drivable, 2 living things, 3 vehicles, 4 roadside objects, 5 far objects, 6 sky,
    255 ignore.

    IDD: ``leftImg8bit/<split>/*/*_leftImg8bit.{png,jpg}`` and ``gtFine/<split>/*/*_gtFine_label<ids>.png``;
    "csTrainIds" are Cityscapes trainIds, "level1Ids" those of IDD-Lite. The schema of other ids has to be given
    where it is needed.

    Source: Varma et al., "IDD" (WACV 2019).

    Args:
        root: folder that holds ``leftImg8bit`` and ``gtFine``.
        split: "train" or "val".
        ids: ids of the full dataset's labels; ``None``: IDD-Lite where its files are there, else "csTrainIds".
        options: as in `PairedFolder`: transforms, exif.

    Raises:
        DatasetError: an unknown split or ids, or files that are not there.
    """
    _known("split", split, ("train", "val"))
    lite = (f"leftImg8bit/{split}/*/*_image.jpg", f"gtFine/{split}/*/*_label.png")
    if ids is None and _holds(folder_at(root), lite):
        schema = None if _may_change_ids(options) else "idd-lite"
        return PairedFolder(root, *lite, schema=schema, pair=_idd_lite_labels, **options)
    chosen = "csTrainIds" if ids is None else ids
    _known("ids", chosen, tuple(_IDD_SCHEMAS))
    full = (f"leftImg8bit/{split}/*/*_leftImg8bit.{{png,jpg}}", f"gtFine/{split}/*/*_gtFine_label{chosen}.png")
    layouts = [full] if ids is not None else [lite, full]
    source = "idd.insaan.iiit.ac.in; the full dataset needs createLabels.py of its public code"
    return _open("IDD", source, root, layouts, _IDD_SCHEMAS[chosen], options)


def fishyscapes(root: str | Path, **options: Unpack[Options]) -> PairedFolder:
    """A validation set of Fishyscapes, Static or Lost & Found.

    Labels, mode "L" (schema "fishyscapes"): 0 in-distribution, 1 anomaly, 255 ignore. Layouts, the first that is
    there: ``images`` and ``labels_masks``, or ``original`` and ``labels``, with equal names; or, for Lost & Found,
    its official labels ``fishyscapes_lostandfound/<number>_<name>_labels.png`` beside the images of Lost and Found,
    ``leftImg8bit/{train,test}/*/<name>_leftImg8bit.png``.

    Source: Blum et al., "The Fishyscapes Benchmark" (IJCV 2021).

    Raises:
        DatasetError: files that are not there, or labels without an image.
    """
    layouts = [
        (f"images/*.{_ANY}", "labels_masks/*.png"),
        (f"original/*.{_ANY}", "labels/*.png"),
        ("leftImg8bit/{train,test}/*/*_leftImg8bit.png", "fishyscapes_lostandfound/*_labels.png"),
    ]
    folder = folder_at(root)
    if _holds(folder, layouts[2]) and not any(_holds(folder, layout) for layout in layouts[:2]):
        images, labels = _lost_and_found(folder, layouts[2])
        schema = None if _may_change_ids(options) else "fishyscapes"
        return PairedFolder(root, images, labels, schema=schema, **options)
    return _open("Fishyscapes", "fishyscapes.com", root, layouts, "fishyscapes", options)


def road_anomaly(root: str | Path, **options: Unpack[Options]) -> PairedFolder:
    """RoadAnomaly: 60 photographs (1280×720) of animals, rocks and other unusual things on roads.

    Labels, mode "L" (schema "road-anomaly"): 0 in-distribution, **2** anomaly, 255 ignore. Layouts: ``images`` and
    ``labels_masks`` with equal names, or the official ``frames/<name>.jpg`` and
    ``frames/<name>.labels/labels_semantic.png``.

    Source: Lis et al., "Detecting the Unexpected via Image Resynthesis" (ICCV 2019).

    Raises:
        DatasetError: files that are not there.
    """
    layouts = [
        (f"images/*.{_ANY}", "labels_masks/*.png"),
        ("frames/*.{jpg,webp}", "frames/*.labels/labels_semantic.png"),
    ]
    source = "the EPFL computer vision laboratory's page of RoadAnomaly"
    return _open("RoadAnomaly", source, root, layouts, "road-anomaly", options)


def segment_me_if_you_can(
    root: str | Path,
    track: Literal["RoadAnomaly21", "RoadObstacle21"] = "RoadAnomaly21",
    **options: Unpack[Options],
) -> PairedFolder:
    """The public validation set of a SegmentMeIfYouCan track: 10 frames of RoadAnomaly21, 30 of RoadObstacle21.

    Labels (schema "segment-me-if-you-can"): 0 in-distribution, 1 anomaly or obstacle, 255 ignore; RoadObstacle21
    ignores everything but the road. Layouts: the official ``dataset_AnomalyTrack`` or ``dataset_ObstacleTrack``, with
    ``images/validation*.{jpg,webp}`` and ``labels_masks/validation*_labels_semantic.png`` (the test images beside them
    have no public labels), ``root`` being that folder or the one around it; or folders named as the tracks with
    ``images`` and ``labels_masks`` of equal names.

    Source: Chan et al., "SegmentMeIfYouCan" (NeurIPS 2021 Datasets and Benchmarks).

    Raises:
        DatasetError: an unknown track, or files that are not there.
    """
    _known("track", track, tuple(_SMIYC_FOLDERS))
    official = (f"images/validation*.{_ANY}", "labels_masks/validation*_labels_semantic.png")
    plain = (f"images/*.{_ANY}", "labels_masks/*.png")
    folders = [f"{name}/" for name in _SMIYC_FOLDERS[track]]
    if Path(root).name in _SMIYC_FOLDERS[track]:
        folders.append("")
    layouts = [(folder + images, folder + labels) for images, labels in (official, plain) for folder in folders]
    source = "segmentmeifyoucan.com"
    return _open(f"SegmentMeIfYouCan {track}", source, root, layouts, "segment-me-if-you-can", options)


def _open(
    name: str,
    source: str,
    root: str | Path,
    layouts: Sequence[Layout],
    schema: str | None,
    options: Options,
) -> PairedFolder:
    """The first layout that is there, as a dataset."""
    folder = folder_at(root)
    for layout in layouts:
        if _holds(folder, layout):
            return PairedFolder(root, *layout, schema=None if _may_change_ids(options) else schema, **options)
    looked = "\n".join(f"  {images}  and  {labels}" for images, labels in layouts)
    raise DatasetError(
        f"{name} is not in {folder}{'' if is_folder(folder) else ', which is not a folder'}; looked for\n{looked}",
        expected=f"{name} as its archives unpack",
        hint=f"download {name} ({source}) and pass the folder as root",
    )


def _holds(root: Path, layout: Layout) -> bool:
    return is_folder(root) and all(any_file(root, pattern) for pattern in layout)


def _may_change_ids(options: Options) -> bool:
    return options.get("transforms") is not None or options.get("target_transform") is not None


def _known(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise DatasetError(f"{name}={value!r} is not known", expected=f"one of: {', '.join(known)}")


def _idd_lite_labels(image: str) -> str:
    # The glob of the labels finds <name>_inst_label.png too, so wildcards cannot pair.
    return image.replace("leftImg8bit", "gtFine", 1).removesuffix("_image.jpg") + "_label.png"


def _lost_and_found(root: Path, layout: Layout) -> tuple[list[str], list[str]]:
    """100 of the 2,104 Lost and Found frames have Fishyscapes labels; they are numbered, the images are not."""
    by_name = {Path(path).name: path for path in find_files(root, layout[0])}
    labels = find_files(root, layout[1])
    names = [Path(path).name.partition("_")[2].removesuffix("_labels.png") + "_leftImg8bit.png" for path in labels]
    missing = [name for name in names if name not in by_name]
    if missing:
        raise DatasetError(
            f"{len(missing)} of {len(labels)} Fishyscapes labels in {root} have no image, such as {missing[0]}",
            expected=f"images {layout[0]}",
            hint="download the leftImg8bit images of Lost and Found, train and test",
        )
    return [by_name[name] for name in names], labels
