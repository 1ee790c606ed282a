"""Talking to a review's server as a page does, and caches to review."""

from __future__ import annotations

import http.client
import json
import os
import signal
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np
import torch

from poc_aug.cache import CacheWriter, Manifest
from poc_aug.items.image_digest import digest_of_sample
from poc_aug.review import serve, served
from poc_aug.types import Insertion, Sample, Variant
from tests.helpers.cache_cases import make_insertion, make_manifest
from tests.helpers.killed_server import fork
from tests.helpers.waiting import WATCHDOG_S, wait_until

SIZE_HW = (96, 128)


class Streets:
    """Frames of noise that know their keys."""

    def __init__(self, keys: Sequence[str] | None = None) -> None:
        self.keys = [f"street/{number:04d}" for number in range(8)] if keys is None else list(keys)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng(number)
        image = torch.from_numpy(rng.integers(0, 256, (3, *SIZE_HW), np.uint8))
        labels = torch.zeros(SIZE_HW, dtype=torch.uint8)
        labels[SIZE_HW[0] // 2 :] = 1
        return image, labels

    def digest(self, number: int) -> bytes:
        """Digest of a frame."""
        image, labels = self[number]
        return digest_of_sample(Sample(image, labels, self.keys[number]))


@dataclass
class Answered:
    """An answer of the server."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


@dataclass
class Client:
    """A browser without a window: it has one session."""

    address: str
    cookie: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = urlsplit(self.address)
        self.host = parts.netloc
        self.token = parse_qs(parts.query)["token"][0]

    def open(self) -> Client:
        """Open the page, which gives the session."""
        answered = self.send("GET", f"/?token={self.token}")
        assert answered.status == 200, answered.body
        self.cookie = answered.headers["set-cookie"].partition(";")[0]
        return self

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answered:
        """One request, with exactly these headers besides the cookie."""
        sent = {"Cookie": self.cookie} if self.cookie else {}
        sent |= {name: value for name, value in (headers or {}).items() if value}
        with closing(http.client.HTTPConnection(self.host, timeout=WATCHDOG_S)) as connection:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return Answered(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())

    def get(self, path: str, **query: object) -> Answered:
        """A request for something."""
        return self.send("GET", f"{path}?{urlencode(query)}" if query else path)

    def post(self, path: str, value: object = None, **headers: str) -> Answered:
        """A request that changes something."""
        own = {"Origin": f"http://{self.host}", "Content-Type": "application/json"} | headers
        return self.send("POST", path, json.dumps({} if value is None else value).encode(), own)

    def things(self, **query: object) -> list[dict[str, Any]]:
        """The things that a filter leaves."""
        answered = self.get("/api/things", limit=1000, **query)
        assert answered.status == 200, answered.body
        found: list[dict[str, Any]] = answered.json["things"]
        return found

    def decide(self, things: Sequence[Mapping[str, Any]], op: str, **more: object) -> dict[str, Any]:
        """Decide about things as they were seen."""
        seen = {thing["id"]: thing["seen"] for thing in things}
        answered = self.post("/api/decide", {"ids": [*seen], "op": op, "seen": seen, **more})
        assert answered.status == 200, answered.body
        report: dict[str, Any] = answered.json
        return report


@contextmanager
def opened_review(
    paths: Sequence[Path], dataset: object = None, *, reviewer: str = "anna", **settings: Any
) -> Iterator[Client]:
    """A review that is served from this process, all of it listed, and a browser that has opened it."""
    with served(paths, dataset, reviewer=reviewer, **settings) as (address, review):
        assert review.wait(WATCHDOG_S)
        yield Client(address).open()


@contextmanager
def review_process(path: Path, reviewer: str = "anna") -> Iterator[tuple[int, Client]]:
    """A review that another process serves: its id, and a browser; it is killed in the end."""
    reads, writes = os.pipe()
    child = fork()
    if not child:
        try:
            os.close(reads)
            serve([path], reviewer=reviewer, on_start=lambda address: _tell(writes, address))
        finally:
            os._exit(1)
    os.close(writes)
    try:
        with open(reads) as told:
            client = Client(told.readline().strip()).open()
        assert wait_until(lambda: not client.get("/api/state").json["indexing"])
        yield child, client
    finally:
        kill(child)
        os.waitpid(child, 0)


def _tell(pipe: int, address: str) -> None:
    os.write(pipe, f"{address}\n".encode())


def kill(process: int) -> None:
    """End a process at once; one that has not been waited for may have ended before."""
    os.kill(process, signal.SIGKILL)


def placed(seed: int, y: int, x: int, **forms: Any) -> Insertion:
    """An insertion somewhere in a frame."""
    made = make_insertion(seed, **forms)
    return replace(made, box_yxhw=(y, x, *made.box_yxhw[2:]))


def street_cache(
    path: Path, streets: Streets | None = None, variants: int = 2, manifest: Manifest | None = None
) -> Path:
    """A cache of `Streets`: two insertions per variant, the second one of two parts."""
    streets = streets or Streets()
    with CacheWriter(path, manifest or make_manifest()) as writer:
        writer.put_many(
            Variant(
                key,
                index,
                streets.digest(number),
                (placed(number, 20 + number, 10), placed(number + 1, 40, 60 + index, parts=2)),
            )
            for number, key in enumerate(streets.keys)
            for index in range(variants)
        )
    return path


def key_digest(height: int, width: int) -> bytes:
    """A digest of some frame of a size."""
    return struct.pack("<II", height, width) + bytes(768)
