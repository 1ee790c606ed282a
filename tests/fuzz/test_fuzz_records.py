"""A few thousand mutated records in CI; ``python -m tests.fuzz --records 1000000`` runs more of them."""

from __future__ import annotations

import mmap

import pytest

from poc_aug.cache.record import decode_record
from tests.fuzz import children, mutations, outcome, records
from tests.fuzz.mutations import CLASSES, Template, mutated, templates
from tests.fuzz.records import fuzz_records

SEEDS = (1, 2, 3)
RECORDS = 4000


@pytest.mark.parametrize("seed", SEEDS)
def test_no_mutated_record_leaves_the_family(seed: int) -> None:
    done = fuzz_records(RECORDS, seed)
    assert not done.failures, "\n".join(done.failures)
    counts = done.counts
    assert counts["refused"] + counts["decoded"] == RECORDS
    assert min(counts["refused"], counts["decoded"]) > RECORDS / 10  # neither all sound nor all broken
    assert min(counts["read"], counts["refused on reading"]) > 10
    assert done.peak_nbytes > 0


def test_memory_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[mmap.mmap] = []

    def take(*arguments: object) -> None:
        kept.append(mmap.mmap(-1, 40 << 20))  # new pages: `bytes` may get some that an earlier test has freed
        kept[-1].write(b"x" * (40 << 20))

    monkeypatch.setattr(children, "MOST_GROWTH", 30 << 20)
    monkeypatch.setattr(records, "mutated", lambda seed, number, key="": ("mutation", b""))
    monkeypatch.setattr(records, "decode_record", take)
    assert "MB more memory" in fuzz_records(1, 1, read_every=0).failures[0]


def test_records_of_every_form_are_mutated() -> None:
    def has(test: str, template: Template) -> bool:
        items = template.header["insertions"]
        return {
            "matte": any(item["alpha"] for item in items),
            "shade": any(item["shade"] for item in items),
            "several parts": any(len(item["parts"]) > 1 for item in items),
            "ignored": any(part[0] == "(ignored)" for item in items for part in item["parts"]),
            "frame": "frame" in template.header,
            "labels": "label_digest" in template.header,
            "only rejections": not items and bool(template.header["rejections"]),
        }[test]

    assert {template.codec for template in templates()} == {"delta-zstd", "webp", "webp-lossy", "zstd", "raw"}
    for form in ("matte", "shade", "several parts", "ignored", "frame", "labels", "only rejections"):
        assert any(has(form, template) for template in templates()), form
    done = {mutated(0, number)[0] for number in range(600)}
    assert done >= {mutation.__name__ for mutation in (*mutations.HEADERS, *mutations.BLOBS, *mutations.WHOLE)}


def test_a_record_is_made_again_from_its_seed_and_number() -> None:
    assert mutated(5, 77) == mutated(5, 77)
    assert mutated(5, 77) != mutated(6, 77)
    number = next(number for number in range(1000) if mutated(5, number)[0] == "well-formed")
    assert decode_record(mutated(5, number)[1], "frame@dusk-2", 0, CLASSES).key == "frame@dusk-2"


def test_a_crash_a_hang_and_an_error_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import signal

    def decode(data: bytes, key: str, index: int, names: object) -> None:
        if data == b"crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        while data == b"hang":
            pass
        if data == b"error":
            raise KeyError("digest")

    made = {3: b"crash", 5: b"hang", 205: b"error"}
    monkeypatch.setattr(records, "decode_record", decode)
    monkeypatch.setattr(records, "mutated", lambda seed, number, key="": ("mutation", made.get(number, b"")))
    monkeypatch.setattr(outcome, "MOST_CPU_S", 0.2)
    done = fuzz_records(210, 1, read_every=0)
    assert done.counts["crashed"] == 2
    assert done.counts["escaped"] == 1
    found = "\n".join(done.failures)
    assert f"case 3 of seed 1: the process ended with {-signal.SIGSEGV}" in found
    assert f"case 5 of seed 1: the process ended with {-signal.SIGPROF}" in found
    assert "record 205 of seed 1, mutation: KeyError: 'digest'" in found
