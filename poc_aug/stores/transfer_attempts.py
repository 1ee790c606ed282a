"""Trying again what a store refused for a moment: a bounded number of times, with growing waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NoReturn, TypeVar

from poc_aug.errors import PocAugError
from poc_aug.stores.store_address import StoreAddress
from poc_aug.stores.store_errors import cause_of, failed, failure_kind, no_rights, unreachable
from poc_aug.stores.transfer_settings import TransferSettings

_Result = TypeVar("_Result")


class TransferStopped(Exception):
    """Another transfer of the same run has failed."""


class Attempts:
    """Tries requests to one store again.

    Args:
        address: the cache that they are about, for messages.
        settings: how often, and how long it waits.
        stop: set when the run ends; nothing waits any longer then.
    """

    def __init__(self, address: StoreAddress, settings: TransferSettings, stop: threading.Event) -> None:
        self.address = address
        self.settings = settings
        self.stop = stop

    def of(self, doing: str, request: Callable[[], _Result]) -> _Result:
        """The result of a request.

        Args:
            doing: what it is for, for messages: "read 'contents.json' of".
            request: may be called several times.

        Raises:
            FileNotFoundError: there is no such file or bucket.
            StoreError: no rights, failed too often, or for a reason that another attempt does not change.
        """
        failures = 0
        while True:
            self.check_stopped()
            try:
                return request()
            except PocAugError:
                raise
            except Exception as error:
                if failure_kind(error) == "missing":
                    raise FileNotFoundError(*error.args) from error
                failures += 1
                self.after_failure(doing, error, failures)

    def after_failure(self, doing: str, error: Exception, failures: int) -> None:
        """Wait after the n-th failure in a row, or raise.

        Raises:
            StoreError: as `of`.
        """
        kind = failure_kind(error)
        if kind == "transient" and failures < self.settings.attempts:
            self.stop.wait(self.settings.wait_s(failures))
            return
        self._raise(kind, doing, error, failures)

    def check_stopped(self) -> None:
        """End a transfer whose run has failed elsewhere.

        Raises:
            TransferStopped: it has.
        """
        if self.stop.is_set():
            raise TransferStopped

    def _raise(self, kind: str, doing: str, error: Exception, failures: int) -> NoReturn:
        if kind == "rights":
            raise no_rights(self.address, doing, error) from cause_of(error)
        if kind == "transient":
            raise unreachable(self.address, doing, error, failures) from cause_of(error)
        raise failed(self.address, doing, error) from cause_of(error)
