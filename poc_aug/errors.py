"""Errors of poc_aug: each names the value, what was expected and the next step, in Python and on the command line.

::

    PocAugError
    ├── DatasetError                 an item of the base dataset cannot be used
    │   ├── ItemFormatError          unknown item form, dtype, mode or shape
    │   ├── SampleReadError          the dataset itself failed on an item (named by key)
    │   ├── DatasetKeyError          not a map-style dataset, or keys that are not valid
    │   └── CalibrationError         a frame's camera file that is missing, broken, or of other frames
    ├── SchemaError                  ids or names that the schema does not know, or a schema of other labels
    ├── LabelPolicyError             an insertion's class has no id, one that is taken, or one that does not fit
    ├── TransformError               transforms that cannot take a pair, or that make ids that do not exist
    ├── RecipeError                  a recipe that is not valid, or does not fit the dataset
    ├── SettingError (ValueError)    an argument, option or setting out of its range
    ├── ObjectBankError              an empty bank, an unreadable or unusable cut-out
    ├── CacheError
    │   ├── CacheNotFoundError       no cache at that path, or no longer
    │   ├── CacheFormatError         not a cache, another schema version, a half-written or truncated file
    │   ├── CacheMismatchError       made with another recipe
    │   ├── CacheDatasetMismatchError  made from another, or a re-ordered, dataset
    │   ├── CacheMissError           no insertion stored for a key, and ``on_miss="raise"``
    │   ├── CacheCorruptError        a record whose hash does not fit its bytes
    │   ├── CacheBusyError           another process writes the same shard
    │   └── CacheDiskError           the disk is full, or cannot be written
    ├── ModelError                   a model that does not exist, cannot be loaded, or is not of the kind needed
    ├── DeviceError                  a device that this machine does not have, or a dtype that it cannot use
    ├── GenerationError              a backend failed on a crop (named by key, object and seed)
    ├── GenerationProcessError       the process that generates while training died, or could not start
    │   └── GenerationTimeoutError   an item waited for its insertion longer than ``timeout_s``
    ├── OutputError                  a file or folder of results cannot be written
    ├── MissingDependencyError       an optional package is not installed (with its install line)
    └── UnsupportedPlatformError     neither Linux nor macOS
"""

from __future__ import annotations

from typing import NamedTuple, Self

_LONGEST = 1000


class NextStep(NamedTuple):
    """What to do next, in Python and on the command line; see `PocAugError`."""

    hint: str
    command: str


class PocAugError(Exception):
    """Base of all errors that poc_aug raises on purpose.

    Args:
        problem: What is wrong, with the value.
        expected: What is needed instead.
        hint: The next step: the line to change or the command to run.
        command: The next step on the command line if it differs, such as the option to give; shown by
            `on_command_line`.

    Example:
        >>> error = PocAugError("size 3", expected="4 or more", hint="pass size=4", command="--size 4")
        >>> print(error)
        size 3
        Expected: 4 or more
        Next step: pass size=4
        >>> print(error.on_command_line())
        size 3
        Expected: 4 or more
        Next step: --size 4
    """

    def __init__(self, problem: str, *, expected: str = "", hint: str = "", command: str = "") -> None:
        self.problem = problem
        self.expected = expected
        self.hint = hint
        self.command = command
        super().__init__(_message(problem, expected, hint))

    def on_command_line(self) -> str:
        """The message with the next step of the command line; ``str`` has that of Python."""
        return _message(self.problem, self.expected, self.command or self.hint)

    def with_hint(self, hint: str, command: str = "") -> Self:
        """The same error with another next step, for code that passes it on to its own caller."""
        error = type(self)(self.problem, expected=self.expected, hint=hint, command=command)
        error.__cause__ = self.__cause__
        return error

    def __reduce__(self) -> tuple[object, ...]:
        # The default would call the class with one joined message; DataLoader workers pickle exceptions.
        return (_rebuild, (type(self), self.problem, self.expected, self.hint, self.command))


def _rebuild(cls: type[PocAugError], problem: str, expected: str, hint: str, command: str) -> PocAugError:
    return cls(problem, expected=expected, hint=hint, command=command)


def _message(problem: str, expected: str, step: str) -> str:
    lines = [problem]
    if expected:
        lines.append(f"Expected: {expected}")
    if step:
        lines.append(f"Next step: {step}")
    return "\n".join(lines)


def in_one_line(error: BaseException) -> str:
    r"""Type and message of an exception of other code, to quote within a message: without line breaks, not endless.

    Example:
        >>> in_one_line(ValueError("first line\nsecond line"))
        'ValueError: first line second line'
    """
    try:
        text = " ".join(str(error).split())
    except Exception as failed:  # a __str__ of other code
        text = f"its text cannot be read ({type(failed).__name__})"
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
    return f"{type(error).__name__}: {text}".removesuffix(": ")


class DatasetError(PocAugError):
    """An item of the base dataset cannot be used."""


class ItemFormatError(DatasetError):
    """An item whose form, dtype, mode or shape is not supported."""


class SampleReadError(DatasetError):
    """The base dataset raised while reading an item; the message names the item's key."""


class DatasetKeyError(DatasetError):
    """Not a map-style dataset, or keys that are missing, not strings, or the same for different images."""


class CalibrationError(DatasetError):
    """A frame's camera calibration is missing, broken, or of frames of another shape; the message names the file."""


class SchemaError(PocAugError):
    """The schema does not know an id or a class name, is not that of the labels, or is missing where one is needed."""


class LabelPolicyError(PocAugError):
    """A class of an insertion has no label id, one with another meaning, or one that the dtype cannot hold."""


class TransformError(PocAugError):
    """Transforms that cannot take image and labels together, or that make label ids which were not there before."""


class RecipeError(PocAugError):
    """A recipe that is not valid, or does not fit the dataset or the backends."""


class SettingError(PocAugError, ValueError):
    """An argument, option or setting out of its range, or one that does not go with another."""


class ObjectBankError(PocAugError):
    """An object bank that is empty, or one of its cut-outs that cannot be read or used."""


class ModelError(PocAugError):
    """A model that is neither on disk nor reachable, cannot be loaded, or is not of the kind that is needed."""


class DeviceError(PocAugError):
    """A device that this machine does not have, or a dtype that the device cannot use."""


class GenerationError(PocAugError):
    """A backend raised on a crop; the message names the sample's key, the object and the seed."""


class GenerationProcessError(PocAugError):
    """The process that generates while training has died, could not start, or was closed; the message says why."""


class GenerationTimeoutError(GenerationProcessError):
    """An item waited for its insertion longer than ``timeout_s``."""


class CacheError(PocAugError):
    """Base of the cache's errors."""


class CacheNotFoundError(CacheError):
    """There is no cache at the path, or the cache or one of its shards no longer exists."""


class CacheFormatError(CacheError):
    """Not a cache, a cache of another schema version, or a half-written or truncated file."""


class CacheMismatchError(CacheError):
    """The cache was made with another recipe than the requested one, or was replaced by another."""


class CacheDatasetMismatchError(CacheError):
    """The cache was made from another dataset, or from the same one in another order or size, or holds a part of it."""


class CacheMissError(CacheError):
    """The cache holds nothing for a key, and ``on_miss="raise"`` is set."""


class CacheCorruptError(CacheError):
    """A record's hash does not fit its bytes."""


class CacheBusyError(CacheError):
    """Another process is writing the same shard."""


class CacheDiskError(CacheError):
    """The disk is full, or a file cannot be written or read."""


class OutputError(PocAugError):
    """A file or folder of results cannot be written; the message names it."""


class ExportError(PocAugError):
    """Frames cannot be exported as asked: the layout lacks something, or the folder holds another export."""


class ImportFilesError(PocAugError):
    """Files that are to be imported are missing, do not fit together, or are not of the layout that is expected."""


class StoreError(PocAugError):
    """An object store cannot be reached or used, or what it holds is not what its cache says."""


class ClusterError(PocAugError):
    """Processes or machines that fill a cache together cannot: no cluster, a wrong job number, a lost driver."""


class MissingDependencyError(PocAugError, ImportError):
    """An optional package is not installed; the message holds its exact install line."""


class UnsupportedPlatformError(PocAugError, ImportError):
    """Raised by ``import poc_aug`` on a platform that it does not run on."""
