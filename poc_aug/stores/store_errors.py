"""What a store's libraries raise, as few kinds; and as errors that say what to do, without secrets."""

from __future__ import annotations

import errno
from typing import Literal, TypeAlias

from poc_aug.errors import CacheDiskError, StoreError, in_one_line
from poc_aug.stores.store_address import StoreAddress, without_secrets

FailureKind: TypeAlias = Literal["rights", "missing", "range", "transient", "other"]
"""Why a request failed: no rights, no such file or bucket, beyond the file's end, worth another try, or for good."""

# By name, since these packages need not be installed: of aiohttp, botocore, httpx, requests, http.client, fsspec.
_TRANSIENT_NAMES = frozenset(
    "ClientConnectionError ClientPayloadError ServerTimeoutError TransportError HTTPClientError IncompleteRead "
    "EndpointConnectionError ConnectTimeoutError ConnectionClosedError ReadTimeoutError Timeout FSTimeoutError "
    "ChunkedEncodingError ResponseParserError ProtocolError".split()
)
_RIGHTS_NAMES = frozenset(
    "NoCredentialsError PartialCredentialsError TokenRetrievalError SSOTokenLoadError ProfileNotFound "
    "GatedRepoError UnauthorizedSSOTokenError CredentialRetrievalError LocalTokenNotFoundError".split()
)
_MISSING_NAMES = frozenset({"RepositoryNotFoundError", "EntryNotFoundError", "RevisionNotFoundError"})
_TRANSIENT_ERRNOS = (
    errno.EBUSY, errno.EIO, getattr(errno, "EREMOTEIO", errno.EIO), errno.ETIMEDOUT, errno.ECONNRESET, errno.EPIPE,
    errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EAGAIN,
)  # fmt: skip
_TRANSIENT_STATUS = (408, 425, 429, 500, 502, 503, 504)
_LOGIN = {
    "s3": "check the credentials that AWS tools use (AWS_PROFILE, AWS_ACCESS_KEY_ID) and their rights on the bucket; "
    "for a public bucket set FSSPEC_S3_ANON=true",
    "hf": "log in with `hf auth login`, or set HF_TOKEN to a token that may use this repository",
    "gs": "log in with `gcloud auth application-default login`",
}


class UnreachableStoreError(StoreError):
    """A store that did not answer, however often it was asked."""


def failure_kind(error: BaseException) -> FailureKind:
    """Why a request failed.

    Example:
        >>> failure_kind(PermissionError(13, "Access Denied")), failure_kind(ConnectionResetError())
        ('rights', 'transient')
    """
    names = {cls.__name__ for cls in type(error).__mro__}
    status = _status(error)
    if names & _RIGHTS_NAMES or isinstance(error, PermissionError) or status in (401, 403):
        return "rights"
    if status == 416 or "InvalidRange" in str(error.__cause__):
        return "range"
    if names & _MISSING_NAMES or isinstance(error, FileNotFoundError) or status in (404, 410):
        return "missing"
    if names & _TRANSIENT_NAMES or isinstance(error, ConnectionError | TimeoutError | EOFError):
        return "transient"
    if status is not None:
        return "transient" if status in _TRANSIENT_STATUS else "other"
    if isinstance(error, OSError) and error.errno in _TRANSIENT_ERRNOS:
        return "transient"
    return "other"


def no_rights(address: StoreAddress, doing: str, error: BaseException) -> StoreError:
    """The error of a store that does not let this user do something."""
    return StoreError(
        f"no rights to {doing} {address.shown}: {plain(error)}",
        expected="a store that this user may use",
        hint=_LOGIN.get(address.protocol, "check the address, and the credentials for this store"),
    )


def unreachable(address: StoreAddress, doing: str, error: BaseException, attempts: int) -> UnreachableStoreError:
    """The error of a request that failed too often."""
    endpoint = (
        ", the address and the store's endpoint (AWS_ENDPOINT_URL)" if address.protocol == "s3" else " and the address"
    )
    times = f"{attempts} times" if attempts > 1 else "once"
    return UnreachableStoreError(
        f"could not {doing} {address.shown}, tried {times} without getting further: {plain(error)}",
        expected="a store that can be reached",
        hint=f"check the network{endpoint}, then run the same again: it continues where it stopped",
    )


def failed(address: StoreAddress, doing: str, error: BaseException) -> StoreError:
    """The error of a request that failed for another reason."""
    return StoreError(
        f"could not {doing} {address.shown}: {plain(error)}",
        expected="a store that answers as its protocol says",
        hint="check the address and the settings of this store (FSSPEC_..., AWS_...)",
    )


def transfer_disk_error(path: object, error: OSError) -> CacheDiskError:
    """The error of a local disk that takes no more."""
    return CacheDiskError(
        f"{str(path)!r} cannot be written: {error.strerror or error}",
        expected="a disk with room, in a folder that this user may write to",
        hint="make room, or pull to another disk (POC_AUG_CACHE_HOME); what is there stays, and the same command "
        "continues",
        command="make room, or give a path on another disk: --out; what is there stays, and the same command continues",
    )


def plain(error: BaseException) -> str:
    """An exception of a store's library in one line, without secrets."""
    return without_secrets(in_one_line(error))


def cause_of(error: BaseException) -> BaseException | None:
    """The exception itself, to be chained to one of this package; ``None`` if its text holds a secret."""
    link: BaseException | None = error
    while link is not None:
        if without_secrets(str(link)) != str(link):
            return None
        link = link.__cause__ or link.__context__
    return error


def _status(error: BaseException) -> int | None:
    """HTTP status of an exception of aiohttp, requests or httpx."""
    status = getattr(error, "status", None)
    if status is None:
        status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None
