"""What a sealed file holds, and what is refused although its digest fits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from streams.domain.pages import fingerprint_key
from streams.engine.sealed.container import Members, SealError
from streams.engine.sealed.contents import FORMAT, sha256, unseal
from tests.unit.handover.seals import SEALED_MS, sealed_day, state_of, with_member

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.engine.sealed.contents import Sealed

DATA = sealed_day()


def members() -> dict[str, bytes]:
    read = Members(DATA)
    return {name: read.read(name) for name in read.names()}


def with_header(**changes: object) -> bytes:
    return with_member(DATA, "seal.json", {**json.loads(members()["seal.json"]), **changes})


def test_it_says_what_was_sealed() -> None:
    state, sealed = state_of(), unseal(DATA)
    header = sealed.header
    assert sealed.digest == Members(DATA).digest
    assert (header.format, header.made_by, header.festival, header.ledger) == (FORMAT, "1.2.3", state.festival.id, "g1")
    assert (header.complete, header.exact, header.reasons) == (True, True, ())
    assert (header.sealed_ms, header.judgement) == (SEALED_MS, state.judgement)
    assert header.fingerprint_sha256 == sha256(sealed.fingerprint) == sha256(state.fingerprint)
    assert sealed.totals == state.document()
    assert (sealed.audit or {})["exact"] is True


def test_the_festival_is_as_it_was_counted_without_what_a_replay_sells() -> None:
    state = state_of()
    assert state.snapshot.as_counted(state.festival) == unseal(DATA).festival


def test_the_fingerprint_that_is_shown_holds_the_sealed_festival_alone() -> None:
    document = json.loads(unseal(DATA).fingerprint)
    other = {**document["festivals"], "other": next(iter(document["festivals"].values()))}
    sealed = unseal(with_member(DATA, "fingerprint.json", {**document, "festivals": other}))
    key = (0, fingerprint_key("g1"))
    assert json.loads(sealed.delta().changed_pages[key])["festivals"].keys() == {sealed.header.festival}
    assert sealed.delta(knows_others=True).changed_pages[key] == sealed.fingerprint


def test_all_partitions_have_their_cursors_and_sketches() -> None:
    state, delta = state_of(), unseal(DATA).delta()
    assert (delta.generation, delta.partitions, delta.reset) == ("g1", 2, True)
    assert {part: json.loads(value) for part, value in delta.cursors.items()} == {
        part: json.loads(value) for part, value in state.snapshot.raw_cursors.items()
    }
    sketches = state.snapshot.sketches(state.festival.id)
    assert sketches["buyers"].keys() == {0, 1}
    assert {name for name in members() if name.startswith("distinct/")} == {
        f"distinct/{name}/{partition}.hll" for name, of in sketches.items() for partition in of
    }


def test_a_newer_format_asks_for_a_newer_version() -> None:
    with pytest.raises(SealError, match=f"its format is {FORMAT + 1}, this version reads up to {FORMAT}"):
        unseal(with_header(format=FORMAT + 1, judgement="of another shape"))


def test_keys_of_a_later_version_are_passed_over() -> None:
    assert unseal(with_header(later=1)).header == unseal(DATA).header


def test_a_cursor_that_is_older_than_a_field_has_a_value_for_it() -> None:
    cursors = json.loads(members()["cursors.json"])
    for cursor in cursors.values():
        del cursor["sequence"]
    delta = unseal(with_member(DATA, "cursors.json", cursors)).delta()
    assert json.loads(delta.cursors[0])["sequence"] == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"7", b"[" * 10_000])
def test_a_header_that_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(SealError, match=r"no sealed festival: seal\.json"):
        unseal(with_member(DATA, "seal.json", content))


READS: dict[str, Callable[[Sealed], Any]] = {
    "festival.json": lambda sealed: sealed.festival,
    "totals.json": lambda sealed: sealed.totals,
    "audit.json": lambda sealed: sealed.audit,
    "cursors.json": lambda sealed: sealed.delta(),
    "fingerprint.json": lambda sealed: sealed.delta(),
}


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("content", [b"\xff", b"[", b'["x"]'])
def test_a_member_that_cannot_be_read_is_named(name: str, content: bytes) -> None:
    sealed = unseal(with_member(DATA, name, content))
    with pytest.raises(SealError, match=f"no sealed festival: {name}"):
        READS[name](sealed)


def test_a_fingerprint_without_the_festival_is_refused() -> None:
    with pytest.raises(SealError, match="its fingerprint does not have singles-day-2019"):
        unseal(with_member(DATA, "fingerprint.json", {"festivals": {}})).delta()
    with pytest.raises(SealError, match=r"fingerprint\.json"):
        unseal(with_member(DATA, "fingerprint.json", {})).delta()


@pytest.mark.parametrize("path", ["distinct/buyers", "distinct/buyers/x.hll", "distinct/buyers/0/1.hll"])
def test_a_sketch_of_no_partition_is_refused(path: str) -> None:
    with pytest.raises(SealError, match=path):
        unseal(with_member(DATA, path, b"")).delta()
