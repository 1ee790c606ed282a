"""The captions of a training: from a mapping, a file, a captioner, or one prompt for all frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.utils.data import Dataset

from poc_aug.backends.scene_models.captioner_file import CachedCaptioner, CaptionFile, captioner_name
from poc_aug.errors import SettingError
from poc_aug.generation.frame_loading import FrameDataset, load_frames
from poc_aug.generation.unreadable import UnreadableSample
from poc_aug.items.open_item import Adapt
from poc_aug.labels.schema import LabelSchema
from poc_aug.scenes.shifter_protocol import Captioner

_BATCH = 8


def known_captions(
    keys: Sequence[str],
    captions: Mapping[str, str] | CaptionFile | None,
    captioner: Captioner | None,
    prompt: str,
) -> dict[str, str]:
    """The captions that are there already, by key.

    Args:
        keys: keys of the frames.
        captions: captions by key, or a file of them.
        captioner: what captions the rest.
        prompt: the caption of frames without one, if nothing captions them.

    Raises:
        SettingError: frames without a caption, and nothing to caption them; see also `CaptionFile.by_key`.

    Example:
        >>> known_captions(["a", "b"], {"a": "a street"}, None, "a road")
        {'a': 'a street', 'b': 'a road'}
    """
    if isinstance(captions, CaptionFile):
        name = None if captioner is None else captioner_name(captioner.describe())
        known = captions.by_key(keys, name)
    else:
        known = {key: captions[key] for key in keys if key in captions} if captions else {}
    missing = [key for key in dict.fromkeys(keys) if key not in known]
    if missing and captioner is None:
        if not prompt:
            first = ", ".join(map(repr, missing[:3]))
            raise SettingError(
                f"{len(missing)} of {len(set(keys))} frames have no caption: {first}{', ...' * (len(missing) > 3)}",
                expected="a caption for each frame, a captioner, or one prompt for all frames without a caption",
                hint='captioner=TransformersCaptioner(), or prompt="a street in a city"',
                command="--captioner Salesforce/blip-image-captioning-base, or --prompt 'a street in a city'",
            )
        known |= dict.fromkeys(missing, prompt)
    return known


def make_captions(
    dataset: Dataset[Any],
    keys: Sequence[str],
    known: Mapping[str, str],
    captioner: Captioner,
    file: CaptionFile | None,
    *,
    adapt: Adapt | None = None,
    schema: LabelSchema | None = None,
    workers: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, str]:
    """Caption the frames that have no caption yet; with a file, an interrupted run continues with the next frames.

    Returns:
        All captions, by key.

    Raises:
        SampleReadError: a frame cannot be read.
    """
    captions = dict(known)
    first: dict[str, int] = {}
    for number, key in enumerate(keys):
        if key not in captions:
            first.setdefault(key, number)
    numbers = list(first.values())
    cached = None if file is None else CachedCaptioner(captioner, file)
    frames = load_frames(FrameDataset(dataset, keys, numbers, adapt, schema, None), workers)
    with frames.deaths_explained():
        for start in range(0, len(numbers), _BATCH):
            batch = []
            for _ in numbers[start : start + _BATCH]:
                sample = next(frames)
                if isinstance(sample, UnreadableSample):
                    raise sample.to_error()
                batch.append(sample)
            images = [sample.image for sample in batch]
            names = [sample.key for sample in batch]
            made = captioner.caption(images) if cached is None else cached.caption(images, names)
            captions |= zip(names, made, strict=True)
            if on_progress is not None:
                on_progress(start + len(batch), len(numbers))
    return captions
