"""Reading small files of a cache on a store whole: its list, its manifests."""

from __future__ import annotations

from poc_aug.cache.manifest import MANIFEST
from poc_aug.errors import StoreError
from poc_aug.stores.store_address import without_secrets
from poc_aug.stores.store_contents import CONTENTS, MAX_CONTENTS_NBYTES, StoreContents
from poc_aug.stores.store_errors import failure_kind
from poc_aug.stores.store_files import StoreFiles
from poc_aug.stores.transfer_attempts import Attempts

_MOST_NAMES = 10


def read_whole(store: StoreFiles, path: str, most_nbytes: int, attempts: Attempts) -> bytes | None:
    """A small file of a store; ``None`` if there is none.

    Raises:
        StoreError: it is larger than ``most_nbytes``, or the store cannot be used.
    """
    try:
        text = attempts.of(f"read {path!r} of", lambda: store.read(path, most_nbytes))
    except FileNotFoundError:
        return None
    if len(text) > most_nbytes:
        raise StoreError(
            f"{path!r} of {store.address.shown} has more than {most_nbytes} bytes",
            expected="a cache as `poc-aug push` leaves it",
            hint="check the address",
        )
    return text


def read_contents(store: StoreFiles, attempts: Attempts) -> StoreContents:
    """The list of a cache on a store, checked.

    Raises:
        StoreError: there is none (the message says what is there), it is not valid, or the store cannot be used.
    """
    text = read_whole(store, CONTENTS, MAX_CONTENTS_NBYTES, attempts)
    if text is not None:
        return StoreContents.parse(text, store.address.shown)
    begun = read_whole(store, MANIFEST, MAX_CONTENTS_NBYTES, attempts) is not None
    if begun:
        problem = (
            f"{store.address.shown} has a {MANIFEST}, but no {CONTENTS}: a push was interrupted, or made otherwise"
        )
        hint = "push it again with `poc-aug push`: only what is missing is sent"
    else:
        problem = f"no cache at {store.address.shown}; {_what_is_there(store)}"
        hint = "check the address, or push a cache there: `poc-aug push CACHE URL`"
    raise StoreError(problem, expected=f"a cache with its list {CONTENTS}, as `poc-aug push` leaves it", hint=hint)


def _what_is_there(store: StoreFiles) -> str:
    try:
        names = store.neighbours()
    except Exception as error:  # only for the message
        above = without_secrets(store.address.base.rpartition("/")[0])
        reason = "there is no such bucket or folder" if failure_kind(error) == "missing" else "it cannot be listed"
        return f"{above}: {reason}"
    if names is None:
        return "a web server does not say what is there"
    if not names:
        return "nothing is next to it"
    listed = ", ".join(name if name.isprintable() else ascii(name) for name in names[:_MOST_NAMES])
    return f"next to it are: {listed}" + (f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else "")
