"""`LiveSettings` and `ServerSettings`: how insertions are generated while a dataset is read."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field, replace
from typing import Literal, SupportsIndex, get_args

from poc_aug.cache import CODECS, Codec
from poc_aug.errors import SettingError

OnTrouble = Literal["raise", "original"]


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How a generation process works; nothing here changes what is generated.

    Attributes:
        max_wait_s: seconds that a batch that is not full waits for further requests.
        queue_size: how many samples all workers together may have queued to be generated ahead ("background"); each
            takes the size of a frame and its labels in shared memory.
        grace_s: seconds that the running batch has to finish when training ends; then the process is killed.
        codec: codec of the patches or frames in a new cache; ``None``: that of the cache if it exists, otherwise
            "delta-zstd" for patches and "webp-lossy" for frames.
        threads: threads of torch on the CPU. One, as in loader workers, if the models run on an accelerator; more only
            for models that run on the CPU, where they compete with the workers.
        nice: niceness of the process (``os.nice``), 0 to 19; ``None``: 19 with ``on_miss="background"``, so that it
            uses what loader and training leave of the processors, otherwise 0.

    Raises:
        SettingError: a value outside its limits.

    Example:
        >>> ServerSettings(queue_size=64).queue_size
        64
        >>> ServerSettings(nice=30)
        Traceback (most recent call last):
        poc_aug.errors.SettingError: nice=30
        Expected: 0 to 19, or None
    """

    max_wait_s: float = 0.01
    queue_size: int = 32
    grace_s: float = 20.0
    codec: Codec | None = None
    threads: int = 1
    nice: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.max_wait_s <= 10:
            raise SettingError(f"max_wait_s={self.max_wait_s}", expected="over 0, at most 10 seconds")
        if self.queue_size < 1:
            raise SettingError(f"queue_size={self.queue_size}", expected="1 or more")
        if self.threads < 1:
            raise SettingError(f"threads={self.threads}", expected="1 or more")
        if self.nice is not None and not 0 <= self.nice <= 19:
            raise SettingError(f"nice={self.nice}", expected="0 to 19, or None")
        if self.grace_s <= 0:
            raise SettingError(f"grace_s={self.grace_s}", expected="over 0 seconds")
        if self.codec is not None and self.codec not in CODECS:
            raise SettingError(f"codec={self.codec!r}", expected=f"one of: {', '.join(CODECS)}, or None")


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """How a dataset with ``pipeline=`` has insertions generated while it is read.

    Attributes:
        num_variants: variants per sample, as in `warm_cache`.
        refresh: share of the variants that are generated anew for each epoch, in the background, while the previous
            epoch is read. They are added to the cache; nothing in it is replaced.
        timeout_s: seconds that an item waits for its insertions at most, loading models included.
        on_timeout: what happens then: ``"raise"``, or ``"original"``: the item comes without insertions.
        on_server_failure: what happens when the generation process has died, or could not make a variant:
            ``"raise"``, with its traceback, or ``"original"``: training continues, and one warning is logged.
        server: how the generation process works.

    Raises:
        SettingError: a value outside its limits.

    Example:
        As ``POCAugmentedDataset(base, "new.cache", pipeline=make_pipeline, live=LiveSettings(refresh=0.1))``.

        >>> settings = LiveSettings(refresh=0.1, on_timeout="original", server=ServerSettings(threads=4))
        >>> settings.num_variants, settings.timeout_s
        (3, 600.0)
        >>> LiveSettings(refresh=10)
        Traceback (most recent call last):
        poc_aug.errors.SettingError: refresh=10
        Expected: a share in [0, 1]
    """

    num_variants: int = 3
    refresh: float = 0.0
    timeout_s: float = 600.0
    on_timeout: OnTrouble = "raise"
    on_server_failure: OnTrouble = "raise"
    server: ServerSettings = field(default_factory=ServerSettings)

    def __post_init__(self) -> None:
        if self.num_variants < 1:
            raise SettingError(f"num_variants={self.num_variants}", expected="1 or more")
        if not 0 <= self.refresh <= 1:
            raise SettingError(f"refresh={self.refresh}", expected="a share in [0, 1]")
        if not self.timeout_s > 0:
            raise SettingError(f"timeout_s={self.timeout_s}", expected="over 0 seconds")
        for name in ("on_timeout", "on_server_failure"):
            if getattr(self, name) not in get_args(OnTrouble):
                raise SettingError(f"{name}={getattr(self, name)!r}", expected=f"one of {get_args(OnTrouble)}")
        if not isinstance(self.server, ServerSettings):
            raise SettingError(f"server={self.server!r}", expected="ServerSettings(...)")


def live_settings_of(live: LiveSettings | None, num_variants: int | None, variant: int | None) -> LiveSettings:
    """Settings from a number of variants, if only that was given, or that of the one variant that is shown.

    Raises:
        SettingError: both, and they disagree; or no number of variants.

    Example:
        >>> live_settings_of(None, 3, None).num_variants, live_settings_of(None, None, 1).num_variants
        (3, 2)
    """
    if num_variants is not None and (not isinstance(num_variants, SupportsIndex) or operator.index(num_variants) < 1):
        raise SettingError(f"num_variants={num_variants!r}", expected="1 or more")
    if live is not None and num_variants is not None and live.num_variants != num_variants:
        raise SettingError(
            f"num_variants={num_variants} and live={live!r}",
            expected="one of the two",
            hint=f"LiveSettings(num_variants={num_variants})",
        )
    if live is not None:
        return live
    return replace(LiveSettings(), num_variants=operator.index(num_variants or 1 + (variant or 0)))
