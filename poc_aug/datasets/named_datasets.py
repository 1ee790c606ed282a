"""The datasets of the papers, in the folder layouts that their archives unpack to.

Each function returns a `PairedFolder`. If ``transforms`` or ``target_transform`` is given, the schema stays unknown,
because they may change the ids; leave them out here and pass them to `POCAugmentedDataset` instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Unpack

from poc_aug.datasets.archive_layouts import Layout, check_choice, holds_layout, open_layout, schema_if_certain
from poc_aug.datasets.file_pairing import find_files, folder_at
from poc_aug.datasets.paired_folder import PairedFolder, PairedFolderOptions
from poc_aug.errors import DatasetError

_ANY = "{png,jpg,jpeg,webp}"
_CONDITIONS = ("fog", "night", "rain", "snow")
_CITYSCAPES_SCHEMAS = {"trainIds": "cityscapes-trainIds", "labelIds": "cityscapes-labelIds"}
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


def camvid(root: str | Path, split: str = "train", **options: Unpack[PairedFolderOptions]) -> PairedFolder:
    """CamVid in SegNet's layout: ``train/*.png`` and ``trainannot/*.png``, likewise ``val`` and ``test``.

    Labels, mode "L" (schema "camvid"): 0 sky, 1 building, 2 pole, 3 road, 4 sidewalk, 5 tree, 6 sign, 7 fence,
    8 car, 9 pedestrian, 10 bicyclist, 11 ignore.

    Source: Brostow et al., "Semantic object classes in video" (PRL 2009); classes of Badrinarayanan et al.,
    "SegNet" (TPAMI 2017).

    Args:
        root: folder that holds ``train`` and ``trainannot``.
        split: "train", "val" or "test".
        options: as in `PairedFolder`: transforms, exif.

    Raises:
        DatasetError: an unknown split, or missing files.

    Example:
        Empty files in the dataset's layout, to show which are read:

        >>> import tempfile
        >>> from pathlib import Path
        >>> from poc_aug.datasets import camvid
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("val/0016E5_07959.png", "valannot/0016E5_07959.png"):
        ...         Path(root, name).parent.mkdir(parents=True, exist_ok=True)
        ...         Path(root, name).touch()
        ...     dataset = camvid(root, "val")
        >>> dataset.keys()
        ['val/0016E5_07959.png']
        >>> dataset.schema.name
        'camvid'
    """
    check_choice("split", split, ("train", "val", "test"))
    layouts = [(f"{split}/*.png", f"{split}annot/*.png")]
    return open_layout("CamVid", "the SegNet tutorial's data", root, layouts, "camvid", options)


def cityscapes(
    root: str | Path,
    split: str | Sequence[str] = "train",
    ids: Literal["trainIds", "labelIds"] = "trainIds",
    **options: Unpack[PairedFolderOptions],
) -> PairedFolder:
    """Cityscapes: 2048×1024 frames of European cities.

    Images ``leftImg8bit/<split>/<city>/*_leftImg8bit.png``, labels
    ``gtFine/<split>/<city>/*_gtFine_labelTrainIds.png``, mode "L", in trainIds (0 to 18 and 255), which its own
    ``csCreateTrainIdLabelImgs`` makes, or in labelIds, which are in the download. The test labels are not public.

    Source: Cordts et al., "The Cityscapes Dataset" (CVPR 2016).

    Args:
        root: folder that holds ``leftImg8bit`` and ``gtFine``.
        split: "train" or "val", or both: ("train", "val"). Keys hold the split, so they are the same either way.
        ids: ids of the labels, which decide the label files: "trainIds" or "labelIds".
        options: as in `PairedFolder`: transforms, exif.

    Raises:
        DatasetError: an unknown split or ids, or missing files.

    Example:
        Empty files in the dataset's layout, to show which are read:

        >>> import tempfile
        >>> from pathlib import Path
        >>> from poc_aug.datasets import cityscapes
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("leftImg8bit/val/ulm/1_leftImg8bit.png", "gtFine/val/ulm/1_gtFine_labelTrainIds.png"):
        ...         Path(root, name).parent.mkdir(parents=True, exist_ok=True)
        ...         Path(root, name).touch()
        ...     dataset = cityscapes(root, "val")
        >>> dataset.keys()
        ['leftImg8bit/val/ulm/1_leftImg8bit.png']
        >>> dataset.schema.name
        'cityscapes-trainIds'
    """
    splits = (split,) if isinstance(split, str) else tuple(split)
    for name in splits or ("",):
        check_choice("split", name, ("train", "val"))
    check_choice("ids", ids, tuple(_CITYSCAPES_SCHEMAS))
    label_file = {"trainIds": "labelTrainIds", "labelIds": "labelIds"}[ids]

    def layout(folder: str) -> Layout:
        return f"leftImg8bit/{folder}/*/*_leftImg8bit.png", f"gtFine/{folder}/*/*_gtFine_{label_file}.png"

    # Of several splits, each has to be there; the first that is not is the one that the error names.
    missing = [name for name in splits if not holds_layout(folder_at(root), layout(name))]
    named = missing[0] if missing else splits[0] if len(splits) == 1 else f"{{{','.join(splits)}}}"
    source = "www.cityscapes-dataset.com, leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip"
    return open_layout("Cityscapes", source, root, [layout(named)], _CITYSCAPES_SCHEMAS[ids], options)


def acdc(
    root: str | Path,
    split: str = "train",
    condition: str | Sequence[str] | None = None,
    ids: Literal["trainIds", "labelIds"] = "trainIds",
    **options: Unpack[PairedFolderOptions],
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
        ids: ids of the labels, which decide the label files: "trainIds" or "labelIds".
        options: as in `PairedFolder`: transforms, exif.

    Raises:
        DatasetError: an unknown split, condition or ids, or missing files.

    Example:
        Empty files in the dataset's layout, to show which are read:

        >>> import tempfile
        >>> from pathlib import Path
        >>> from poc_aug.datasets import acdc
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in (
        ...         "rgb_anon/fog/train/GOPR0475/1_rgb_anon.png",
        ...         "gt/fog/train/GOPR0475/1_gt_labelTrainIds.png",
        ...     ):
        ...         Path(root, name).parent.mkdir(parents=True, exist_ok=True)
        ...         Path(root, name).touch()
        ...     dataset = acdc(root, condition="fog")
        >>> dataset.keys()
        ['rgb_anon/fog/train/GOPR0475/1_rgb_anon.png']
        >>> dataset.schema.name
        'cityscapes-trainIds'
    """
    check_choice("split", split, ("train", "val"))
    check_choice("ids", ids, tuple(_CITYSCAPES_SCHEMAS))
    chosen = _CONDITIONS if condition is None else (condition,) if isinstance(condition, str) else condition
    for name in chosen:
        check_choice("condition", name, _CONDITIONS)
    sequences = f"{{{','.join(chosen)}}}/{split}/*"
    label_file = {"trainIds": "labelTrainIds", "labelIds": "labelIds"}[ids]
    layouts = [(f"rgb_anon/{sequences}/*_rgb_anon.png", f"gt/{sequences}/*_gt_{label_file}.png")]
    return open_layout("ACDC", "acdc.vision.ee.ethz.ch", root, layouts, _CITYSCAPES_SCHEMAS[ids], options)


def idd(
    root: str | Path,
    split: str = "train",
    ids: str | None = None,
    **options: Unpack[PairedFolderOptions],
) -> PairedFolder:
    """The India Driving Dataset: IDD-Lite as downloaded, or the full dataset after its own ``createLabels.py``.

    IDD-Lite (320×227): ``leftImg8bit/<split>/*/*_image.jpg`` and ``gtFine/<split>/*/*_label.png``, mode "L", schema
    "idd-lite": 0 drivable, 1 non-drivable, 2 living things, 3 vehicles, 4 roadside objects, 5 far objects, 6 sky,
    255 ignore.

    IDD: ``leftImg8bit/<split>/*/*_leftImg8bit.{png,jpg}`` and ``gtFine/<split>/*/*_gtFine_label<ids>.png``;
    "csTrainIds" are Cityscapes trainIds, "level1Ids" those of IDD-Lite. For other ids, give the schema if it is
    needed.

    Source: Varma et al., "IDD" (WACV 2019).

    Args:
        root: folder that holds ``leftImg8bit`` and ``gtFine``.
        split: "train" or "val".
        ids: ids of the full dataset's labels; ``None``: IDD-Lite if its files are there, otherwise "csTrainIds".
        options: as in `PairedFolder`: transforms, exif.

    Raises:
        DatasetError: an unknown split or ids, or missing files.

    Example:
        Empty files in the dataset's layout, to show which are read:

        >>> import tempfile
        >>> from pathlib import Path
        >>> from poc_aug.datasets import idd
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("leftImg8bit/train/0/024541_image.jpg", "gtFine/train/0/024541_label.png"):
        ...         Path(root, name).parent.mkdir(parents=True, exist_ok=True)
        ...         Path(root, name).touch()
        ...     dataset = idd(root)
        >>> dataset.keys()
        ['leftImg8bit/train/0/024541_image.jpg']
        >>> dataset.schema.name
        'idd-lite'
    """
    check_choice("split", split, ("train", "val"))
    lite = (f"leftImg8bit/{split}/*/*_image.jpg", f"gtFine/{split}/*/*_label.png")
    if ids is None and holds_layout(folder_at(root), lite):
        schema = schema_if_certain("idd-lite", options)
        return PairedFolder(root, *lite, schema=schema, pair=_idd_lite_labels, **options)
    chosen = "csTrainIds" if ids is None else ids
    check_choice("ids", chosen, tuple(_IDD_SCHEMAS))
    full = (f"leftImg8bit/{split}/*/*_leftImg8bit.{{png,jpg}}", f"gtFine/{split}/*/*_gtFine_label{chosen}.png")
    layouts = [full] if ids is not None else [lite, full]
    source = "idd.insaan.iiit.ac.in; the full dataset needs createLabels.py of its public code"
    return open_layout("IDD", source, root, layouts, _IDD_SCHEMAS[chosen], options)


def fishyscapes(root: str | Path, **options: Unpack[PairedFolderOptions]) -> PairedFolder:
    """A validation set of Fishyscapes, Static or Lost & Found.

    Labels, mode "L" (schema "fishyscapes"): 0 in-distribution, 1 anomaly, 255 ignore. Layouts, the first that is
    there: ``images`` and ``labels_masks``, or ``original`` and ``labels``, with equal names; or, for Lost & Found,
    its official labels ``fishyscapes_lostandfound/<number>_<name>_labels.png`` alongside the images of Lost and Found,
    ``leftImg8bit/{train,test}/*/<name>_leftImg8bit.png``.

    Source: Blum et al., "The Fishyscapes Benchmark" (IJCV 2021).

    Args:
        root: folder of the dataset.
        options: as in `PairedFolder`: transforms, exif.

    Raises:
        DatasetError: missing files, or labels without an image.

    Example:
        Empty files in the dataset's layout, to show which are read:

        >>> import tempfile
        >>> from pathlib import Path
        >>> from poc_aug.datasets import fishyscapes
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("images/0.jpg", "labels_masks/0.png"):
        ...         Path(root, name).parent.mkdir(parents=True, exist_ok=True)
        ...         Path(root, name).touch()
        ...     dataset = fishyscapes(root)
        >>> dataset.keys()
        ['images/0.jpg']
        >>> dataset.schema.name
        'fishyscapes'
    """
    layouts = [
        (f"images/*.{_ANY}", "labels_masks/*.png"),
        (f"original/*.{_ANY}", "labels/*.png"),
        ("leftImg8bit/{train,test}/*/*_leftImg8bit.png", "fishyscapes_lostandfound/*_labels.png"),
    ]
    folder = folder_at(root)
    if holds_layout(folder, layouts[2]) and not any(holds_layout(folder, layout) for layout in layouts[:2]):
        images, labels = _lost_and_found(folder, layouts[2])
        return PairedFolder(root, images, labels, schema=schema_if_certain("fishyscapes", options), **options)
    return open_layout("Fishyscapes", "fishyscapes.com", root, layouts, "fishyscapes", options)


def road_anomaly(root: str | Path, **options: Unpack[PairedFolderOptions]) -> PairedFolder:
    """RoadAnomaly: 60 photographs (1280×720) of animals, rocks and other unusual things on roads.

    Labels, mode "L" (schema "road-anomaly"): 0 in-distribution, **2** anomaly, 255 ignore. Layouts: ``images`` and
    ``labels_masks`` with equal names, or the official ``frames/<name>.jpg`` and
    ``frames/<name>.labels/labels_semantic.png``.

    Source: Lis et al., "Detecting the Unexpected via Image Resynthesis" (ICCV 2019).

    Args:
        root: folder of the dataset.
        options: as in `PairedFolder`: transforms, exif.

    Raises:
        DatasetError: missing files.

    Example:
        Empty files in the dataset's layout, to show which are read:

        >>> import tempfile
        >>> from pathlib import Path
        >>> from poc_aug.datasets import road_anomaly
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("frames/cow.jpg", "frames/cow.labels/labels_semantic.png"):
        ...         Path(root, name).parent.mkdir(parents=True, exist_ok=True)
        ...         Path(root, name).touch()
        ...     dataset = road_anomaly(root)
        >>> dataset.keys()
        ['frames/cow.jpg']
        >>> dataset.schema.name
        'road-anomaly'
    """
    layouts = [
        (f"images/*.{_ANY}", "labels_masks/*.png"),
        ("frames/*.{jpg,webp}", "frames/*.labels/labels_semantic.png"),
    ]
    source = "the EPFL computer vision laboratory's page of RoadAnomaly"
    return open_layout("RoadAnomaly", source, root, layouts, "road-anomaly", options)


def segment_me_if_you_can(
    root: str | Path,
    track: Literal["RoadAnomaly21", "RoadObstacle21"] = "RoadAnomaly21",
    **options: Unpack[PairedFolderOptions],
) -> PairedFolder:
    """The public validation set of a SegmentMeIfYouCan track: 10 frames of RoadAnomaly21, 30 of RoadObstacle21.

    Labels (schema "segment-me-if-you-can"): 0 in-distribution, 1 anomaly or obstacle, 255 ignore; RoadObstacle21
    ignores everything but the road. Layouts: the official ``dataset_AnomalyTrack`` or ``dataset_ObstacleTrack``, with
    ``images/validation*.{jpg,webp}`` and ``labels_masks/validation*_labels_semantic.png`` (the test images alongside
    have no public labels), ``root`` being that folder or the one around it; or folders named as the tracks with
    ``images`` and ``labels_masks`` of equal names.

    Source: Chan et al., "SegmentMeIfYouCan" (NeurIPS 2021 Datasets and Benchmarks).

    Args:
        root: folder of the dataset.
        track: "RoadAnomaly21" or "RoadObstacle21".
        options: as in `PairedFolder`: transforms, exif.

    Raises:
        DatasetError: an unknown track, or missing files.

    Example:
        Empty files in the dataset's layout, to show which are read:

        >>> import tempfile
        >>> from pathlib import Path
        >>> from poc_aug.datasets import segment_me_if_you_can
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in (
        ...         "dataset_AnomalyTrack/images/validation0000.jpg",
        ...         "dataset_AnomalyTrack/labels_masks/validation0000_labels_semantic.png",
        ...     ):
        ...         Path(root, name).parent.mkdir(parents=True, exist_ok=True)
        ...         Path(root, name).touch()
        ...     dataset = segment_me_if_you_can(root)
        >>> dataset.keys()
        ['dataset_AnomalyTrack/images/validation0000.jpg']
        >>> dataset.schema.name
        'segment-me-if-you-can'
    """
    check_choice("track", track, tuple(_SMIYC_FOLDERS))
    official = (f"images/validation*.{_ANY}", "labels_masks/validation*_labels_semantic.png")
    plain = (f"images/*.{_ANY}", "labels_masks/*.png")
    folders = [f"{name}/" for name in _SMIYC_FOLDERS[track]]
    if Path(root).name in _SMIYC_FOLDERS[track]:
        folders.append("")
    layouts = [(folder + images, folder + labels) for images, labels in (official, plain) for folder in folders]
    source = "segmentmeifyoucan.com"
    return open_layout(f"SegmentMeIfYouCan {track}", source, root, layouts, "segment-me-if-you-can", options)


def _idd_lite_labels(image: str) -> str:
    # The glob of the labels matches <name>_inst_label.png too, so wildcards cannot pair the files.
    return image.replace("leftImg8bit", "gtFine", 1).removesuffix("_image.jpg") + "_label.png"


def _lost_and_found(root: Path, layout: Layout) -> tuple[list[str], list[str]]:
    """Pair the 100 of 2,104 Lost and Found frames that have Fishyscapes labels; only the labels are numbered."""
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
