"""Model files: telling them apart, and fetching one from the hub."""

from __future__ import annotations

from pathlib import Path

import xxhash

from poc_aug.errors import ModelError

_SAMPLE = 1 << 20
_SAMPLES = 8
_TEXTS = (".json", ".txt", ".py")


def model_identity(model: str | Path) -> str:
    """The name of a model in provenance and fingerprints, without the path to it.

    A hub id stands for itself. A file is identified by its name and a hash of its size and of eight pieces of 1 MiB
    spread over it, in which two fine-tunes of one size differ. A folder is identified by its name and a hash of its
    files' names and contents: JSON and text files are read whole, weights as above.

    Example:
        >>> model_identity("facebook/sam3")
        'facebook/sam3'
    """
    path = Path(model)
    if path.is_file():
        return f"{path.name}#{_sampled(path).hexdigest()}"
    if not path.is_dir():
        return str(model)
    digest = xxhash.xxh3_64()
    for file in sorted(path.rglob("*")):
        if file.is_file():
            digest.update(file.relative_to(path).as_posix().encode())
            digest.update(file.read_bytes() if file.suffix in _TEXTS else _sampled(file).digest())
    return f"{path.name}#{digest.hexdigest()}"


def _sampled(file: Path) -> xxhash.xxh3_64:
    size = file.stat().st_size
    digest = xxhash.xxh3_64(str(size).encode())
    with file.open("rb") as stream:
        for number in range(_SAMPLES):
            stream.seek(max(0, size - _SAMPLE) * number // (_SAMPLES - 1))
            digest.update(stream.read(_SAMPLE))
    return digest


def hub_file(model: str, name: str, *, what: str, expected: str) -> Path:
    """A small file of a model on the hub, from the local hub cache or the network.

    Args:
        model: hub id.
        name: the file.
        what: the role of the model, for errors: "model", "detector".
        expected: what is accepted, for errors.

    Raises:
        ModelError: gated, not on the hub, or not reachable.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import GatedRepoError

    try:
        return Path(hf_hub_download(model, name))
    except GatedRepoError as error:
        raise ModelError(
            f"the {what} {model!r} is gated",
            expected="access granted to your account",
            hint=f"accept its licence on its hub page, then: hf auth login, and hf download {model}",
        ) from error
    # The hub's own errors (no such repository, no such file, nothing cached, no network) are OSErrors.
    except OSError as error:
        raise ModelError(
            f"the {what} {model!r} is neither a folder nor in the local hub cache, and the hub answered: "
            f"{type(error).__name__}",
            expected=expected,
            hint=f"check the spelling and the network, or fetch it while online: hf download {model}",
        ) from error
