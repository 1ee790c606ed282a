"""One cut-out, and the protocol of its sources."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Protocol

import torch

from poc_aug.backends.paste.bank_licences import NO_LICENCE, ObjectLicence
from poc_aug.types import Json

_RESOURCE_ERRNOS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


@dataclass(frozen=True, slots=True)
class Cutout:
    """One object, trimmed to its visible part.

    Attributes:
        image: uint8 ``[3, h, w]``: its colours, which go on beyond its edge (see `poc_aug.backends.paste.matte`).
        alpha: uint8 ``[h, w]``, 255 opaque; only 0 and 255 unless ``soft``.
        soft: whether ``alpha`` is a soft matte.
        category: class name.
        source: where it comes from, relative to the bank.
        licence: of its picture, if the bank's files say so.
    """

    image: torch.Tensor
    alpha: torch.Tensor
    soft: bool
    category: str
    source: str
    licence: ObjectLicence = NO_LICENCE


class CutoutSource(Protocol):
    """Where one cut-out can be read; holds a few values and no pixels.

    A source that knows the licence of its picture has it as an attribute ``licence``.
    """

    @property
    def category(self) -> str:
        """Class name."""
        ...

    @property
    def name(self) -> str:
        """Where it comes from, relative to the bank."""
        ...

    def identity(self) -> Json:
        """JSON values that change when the cut-out does; independent of the bank's path."""
        ...

    def read(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Raw image uint8 ``[3, h, w]`` and alpha uint8 ``[h, w]``; raises `ObjectBankError` naming the file."""
        ...


def is_resource_error(error: BaseException | None) -> bool:
    """Whether an error or its cause is about the machine and not the file: out of memory or file descriptors."""
    while error is not None:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _RESOURCE_ERRNOS):
            return True
        error = error.__cause__
    return False
