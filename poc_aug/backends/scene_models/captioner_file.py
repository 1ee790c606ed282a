"""Captions on disk, so that a frame is captioned once over all runs, severities and domains."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import xxhash

from poc_aug.errors import OutputError, SettingError
from poc_aug.files.outputs import make_folder, writing
from poc_aug.scenes.shifter_protocol import Captioner
from poc_aug.types import Json

_FIELDS = ("key", "image", "captioner", "caption")


class CaptionFile:
    """A file of captions, one JSON object per line; only ever appended to, by any number of processes.

    A line that is cut short, as a killed process leaves it, is ignored, and what follows begins on a new line. Lines
    without ``captioner`` are written by hand: ``{"key": "aachen/000000.png", "caption": "a narrow street"}``; they
    take precedence over those of models.

    Args:
        path: the file; it need not exist yet.

    Raises:
        SettingError: a file that holds something else.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     captions = CaptionFile(Path(folder) / "captions.jsonl")
        ...     captions.add("a.png", "6f1d", "blip", "a street with cars")
        ...     CaptionFile(captions.path).find("6f1d", "blip"), captions.by_key(["a.png", "b.png"])
        ('a street with cars', {'a.png': 'a street with cars'})
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._read_to = 0
        self._found: dict[tuple[str, str], str] = {}
        self._by_key: dict[str, dict[str, str]] = {}
        self._checked = False
        self._refresh()

    def find(self, image: str, captioner: str, key: str = "") -> str | None:
        """The caption of an image by a captioner, or what was written by hand for its key; ``None``: not yet there.

        Args:
            image: `pixel_digest` of the image.
            captioner: `captioner_name` of the captioner.
            key: key of the sample, if it is known.
        """
        self._refresh()
        return self._by_key.get(key, {}).get("", self._found.get((image, captioner)))

    def by_key(self, keys: Iterable[str], captioner: str | None = None) -> dict[str, str]:
        """The captions of samples, by key; keys without a caption are left out.

        Args:
            keys: keys of the samples.
            captioner: whose captions; ``None``: the only ones that the file holds.

        Raises:
            SettingError: captions of several captioners for one key.
        """
        self._refresh()
        captions: dict[str, str] = {}
        for key in keys:
            known = self._by_key.get(key, {})
            if "" in known:
                captions[key] = known[""]
            elif captioner is not None:
                captions |= {key: known[captioner]} if captioner in known else {}
            elif len(known) > 1:
                raise SettingError(
                    f"{str(self.path)!r} holds captions of {key!r} by {len(known)} captioners: {', '.join(known)}",
                    expected="the captions of one",
                    hint="name the captioner, or leave only its lines in the file",
                    command="name the captioner: --captioner MODEL",
                )
            elif known:
                (captions[key],) = known.values()
        return captions

    def add(self, key: str, image: str, captioner: str, caption: str) -> None:
        """Append a caption.

        Raises:
            OutputError: the file cannot be written.
        """
        line = json.dumps({"key": key, "image": image, "captioner": captioner, "caption": caption}, ensure_ascii=True)
        make_folder(self.path.parent)
        with writing(self.path):
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            try:
                size = os.fstat(fd).st_size
                cut_short = size and os.pread(fd, 1, size - 1) != b"\n"
                data = ("\n" * bool(cut_short) + line + "\n").encode()
                if os.write(fd, data) != len(data):
                    raise OutputError(
                        f"{str(self.path)!r}: a line was written in part",
                        expected="a disk with room",
                        hint="free some space; what was written is kept, and the rest is made again",
                    )
            finally:
                os.close(fd)

    def _refresh(self) -> None:
        """Read the lines that were appended since, by whichever process."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._read_to)
                data = file.read()
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise SettingError(
                f"{str(self.path)!r} cannot be read: {error.strerror or error}",
                expected="a file of captions, or a path where one can be made",
                hint="give another path",
            ) from error
        complete = data[: data.rfind(b"\n") + 1]
        self._read_to += len(complete)
        rows = [row for line in complete.splitlines() if (row := _row(line)) is not None]
        if not self._checked and complete.strip():
            if not rows:
                raise SettingError(
                    f"{str(self.path)!r} holds no captions",
                    expected='lines such as {"key": "aachen/000000.png", "caption": "a narrow street"}',
                    hint="give another path",
                )
            self._checked = True
        for row in rows:
            captioner = row.get("captioner", "")
            self._by_key.setdefault(row["key"], {})[captioner] = row["caption"]
            if "image" in row:
                self._found[row["image"], captioner] = row["caption"]


def _row(line: bytes) -> dict[str, str] | None:
    try:
        row = json.loads(line)
    except ValueError:  # cut short
        return None
    given = isinstance(row, dict) and "key" in row and "caption" in row
    return row if given and all(isinstance(row.get(name, ""), str) for name in _FIELDS) else None


class CachedCaptioner:
    """A captioner whose captions are kept in a `CaptionFile`: each frame is captioned once.

    Args:
        captioner: what captions frames that the file does not know.
        file: where captions are kept.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> class Grey:
        ...     def describe(self):
        ...         return {"captioner": "grey"}
        ...
        ...     def caption(self, images):
        ...         print(len(images), "captioned")
        ...         return ["a grey street"] * len(images)
        >>> with TemporaryDirectory() as folder:
        ...     captioner = CachedCaptioner(Grey(), CaptionFile(Path(folder) / "captions.jsonl"))
        ...     for _ in range(2):
        ...         captioner.caption([torch.zeros(3, 4, 8, dtype=torch.uint8)])
        1 captioned
        ['a grey street']
        ['a grey street']
    """

    def __init__(self, captioner: Captioner, file: CaptionFile) -> None:
        self.captioner, self.file = captioner, file
        self._name = captioner_name(captioner.describe())

    def describe(self) -> dict[str, Json]:
        """The captioner's own: where its captions are kept changes nothing."""
        return self.captioner.describe()

    def caption(self, images: Sequence[torch.Tensor], keys: Sequence[str] | None = None) -> list[str]:
        """One caption per image, uint8 ``[3, H, W]``, in order.

        Args:
            images: the frames.
            keys: their keys, for what was written by hand, and to name them in the file.
        """
        named = [""] * len(images) if keys is None else list(keys)
        digests = [pixel_digest(image) for image in images]
        captions = [self.file.find(digest, self._name, key) for digest, key in zip(digests, named, strict=True)]
        missing = list(dict.fromkeys(digest for digest, known in zip(digests, captions, strict=True) if known is None))
        numbers = [digests.index(digest) for digest in missing]
        made = self.captioner.caption([images[number] for number in numbers]) if numbers else []
        for digest, number, caption in zip(missing, numbers, made, strict=True):
            self.file.add(named[number], digest, self._name, caption)
        new = dict(zip(missing, made, strict=True))
        return [new[digest] if known is None else known for digest, known in zip(digests, captions, strict=True)]


def pixel_digest(image: torch.Tensor) -> str:
    """Hash of all pixels of an image, uint8 ``[3, H, W]``: 32 hex digits.

    Example:
        >>> black = torch.zeros(3, 2, 4, dtype=torch.uint8)
        >>> pixel_digest(black) == pixel_digest(black.reshape(3, 4, 2))
        False
    """
    digest = xxhash.xxh3_128(repr(tuple(image.shape)).encode())
    digest.update(image.contiguous().cpu().numpy().data)
    return digest.hexdigest()


def captioner_name(describe: Mapping[str, Any]) -> str:
    """Name of a captioner in a `CaptionFile`: its model, and a hash of all that decides what it says.

    Example:
        >>> captioner_name({"captioner": "transformers", "model": "Salesforce/blip-image-captioning-base"})
        'Salesforce/blip-image-captioning-base#...'
    """
    text = json.dumps(describe, sort_keys=True, ensure_ascii=True)
    name = describe.get("model") or describe.get("captioner") or "captioner"
    return f"{name}#{xxhash.xxh3_64_hexdigest(text.encode())}"
