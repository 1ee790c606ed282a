"""The datasets that the papers' sets are made from: how each is recognised in a folder, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from poc_aug.datasets.file_pairing import any_file, folder_at, is_folder
from poc_aug.errors import DatasetError

if TYPE_CHECKING:
    from poc_aug.datasets.paired_folder import PairedFolder

BaseName = Literal["cityscapes", "idd", "acdc"]


@dataclass(frozen=True)
class BaseDataset:
    """A dataset that sets are made from.

    Attributes:
        title: its name.
        page: its official page.
        sign: glob of files that only it has.
        unprepared: glob of label files of the download, from which the ones that are needed are made.
        prepare: how they are made; ``{root}`` stands for the folder.

    Example:
        >>> from poc_aug.paper_sets.base_datasets import BASES
        >>> BASES["acdc"].title, BASES["acdc"].page
        ('ACDC', 'https://acdc.vision.ee.ethz.ch')
    """

    title: str
    page: str
    sign: str
    unprepared: str = ""
    prepare: str = ""


BASES: Mapping[BaseName, BaseDataset] = {
    "cityscapes": BaseDataset(
        title="Cityscapes",
        page="https://www.cityscapes-dataset.com",
        sign="gtFine/*/*/*_gtFine_{labelIds,labelTrainIds}.png",
        unprepared="gtFine/*/*/*_gtFine_labelIds.png",
        prepare="make them with the dataset's own tool: pip install cityscapesscripts, then "
        "CITYSCAPES_DATASET={root} csCreateTrainIdLabelImgs",
    ),
    "idd": BaseDataset(
        title="IDD",
        page="https://idd.insaan.iiit.ac.in",
        sign="gtFine/*/*/*_gtFine_label{csTrainIds,csIds,ids,level1Ids,level2Ids,level3Ids,level4Ids}.png",
        unprepared="gtFine/*/*/*_gtFine_{polygons.json,labellevel3Ids.png}",
        prepare="make them with the dataset's own tool, in its public code (github.com/AutoNUE/public-code): "
        "python preparation/createLabels.py --datadir {root} --id-type csTrainIds",
    ),
    "acdc": BaseDataset(
        title="ACDC",
        page="https://acdc.vision.ee.ethz.ch",
        sign="rgb_anon/*/*/*/*_rgb_anon.png",
    ),
}
"""The datasets by name."""

_IDD_LITE = "leftImg8bit/*/*/*_image.jpg"


def open_base(name: BaseName, root: str | Path, args: Mapping[str, Any]) -> PairedFolder:
    """Open a dataset in its folder.

    Raises:
        DatasetError: it is not there: names the files that were looked for, what the folder holds instead if that is
            known, and where to get the dataset.

    Example:
        >>> open_base("acdc", "no/such/folder", {"split": "val"})
        Traceback (most recent call last):
        ...
        poc_aug.errors.DatasetError: ACDC is not in no/such/folder, which is not a folder; looked for
          rgb_anon/{fog,night,rain,snow}/val/*/*_rgb_anon.png  and  gt/...
        Expected: ACDC as its archives unpack
        Next step: check the path; ACDC can be downloaded from https://acdc.vision.ee.ethz.ch after registration
    """
    from poc_aug.datasets import named_datasets  # loads torchvision, which takes as long as all else together

    base = BASES[name]
    opened: PairedFolder
    try:
        opened = getattr(named_datasets, name)(root, **args)
    except DatasetError as error:
        if not error.problem.startswith(f"{base.title} is not in"):
            raise  # the folder is this dataset's, and something in it is wrong
        step = _next_step(name, folder_at(root))
        raise DatasetError(error.problem, expected=error.expected, hint=step[0], command=step[1]) from error
    return opened


def recognised(folder: Path) -> BaseName | None:
    """Which of the datasets a folder holds, by files that only that one has.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     frame = Path(folder, "rgb_anon/fog/val/GOPR1/1_rgb_anon.png")
        ...     frame.parent.mkdir(parents=True)
        ...     frame.touch()
        ...     recognised(Path(folder))
        'acdc'
    """
    if not is_folder(folder):
        return None
    return next((name for name, base in BASES.items() if any_file(folder, base.sign)), None)


def _next_step(name: BaseName, folder: Path) -> tuple[str, str]:
    """What to do if a dataset is not in a folder, in Python and on the command line."""
    base = BASES[name]
    source = f"{base.title} can be downloaded from {base.page} after registration"
    if not is_folder(folder):
        return f"check the path; {source}", ""
    found = recognised(folder)
    if found == name or (found is None and base.unprepared and any_file(folder, base.unprepared)):
        if base.prepare and any_file(folder, base.unprepared) and not _has_prepared(name, folder):
            return f"this folder holds {base.title} without these label files: {base.prepare.format(root=folder)}", ""
        return f"this folder holds other files of {base.title}: unpack the missing split into it; {source}", ""
    if name == "idd" and any_file(folder, _IDD_LITE):
        return f"this folder holds IDD-Lite, whose labels are other classes; get the full dataset: {source}", ""
    if found is not None:
        return f"this folder holds {BASES[found].title}: pass the folder of {base.title}; {source}", ""
    inside = next((path for path in sorted(folder.iterdir()) if path.is_dir() and recognised(path) == name), None)
    if inside is not None:
        return f"{base.title} is in a folder of it: {inside}", f"--data {inside}"
    return f"check the path; {source}", ""


def _has_prepared(name: BaseName, folder: Path) -> bool:
    """Whether there are label files in the ids that the sets use, of whatever split."""
    ids = {"cityscapes": "labelTrainIds", "idd": "labelcsTrainIds"}[name]
    return any_file(folder, f"gtFine/*/*/*_gtFine_{ids}.png")
