"""Who of two workers of one name may stay."""

from __future__ import annotations

import copy

from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from aiokafka.errors import KafkaError, UnknownMemberIdError, for_code

from streams.kafka.group.members import Member, is_put_out, other_holder, process_of, refuse, this_process

FIRST = Member(1_000, "a", 7, "2.0")
SECOND = Member(2_000, "a", 8, "2.0")


def test_a_client_id_says_host_process_start_and_version() -> None:
    """What is written is read again, of that name only."""
    assert FIRST.client_id("one") == "festival-one@a:7:1000:2.0"
    assert Member.of(FIRST.client_id("one"), "one") == FIRST
    for other in ("festival-one", "festival-one-two@a:7:1000:2.0", "aiokafka-0.14.0", ""):
        assert Member.of(other, "one") is None


def test_who_started_first_is_first_and_ties_go_by_host_and_process() -> None:
    """Whatever two workers compare, they agree on who stays."""
    assert FIRST < SECOND
    assert sorted([Member(1, "b", 1), Member(1, "a", 2), Member(1, "a", 1)]) == [
        Member(1, "a", 1),
        Member(1, "a", 2),
        Member(1, "b", 1),
    ]


def test_the_holder_of_a_name_is_another_process_of_that_name() -> None:
    """Neither oneself nor workers of other names."""
    ids = [SECOND.client_id("one"), FIRST.client_id("two"), "consumer-1"]
    assert other_holder("one", ids, FIRST) == SECOND
    assert other_holder("one", ids, SECOND) is None


def test_a_worker_is_told_who_has_its_name_and_what_to_do() -> None:
    """The client library copies the error before it hands it on."""
    error = copy.copy(refuse("one", FIRST))
    assert error.exit_status == 2
    assert "on a, process 7, since 1970-01-01 00:00:01 UTC. Give this worker another --name" in str(error)


def test_the_client_library_does_not_know_the_error_of_a_name_that_was_taken() -> None:
    """Code 82 is told by it in these words."""
    assert is_put_out(KafkaError(repr(for_code(82)())))
    assert not is_put_out(KafkaError(repr(UnknownMemberIdError())))


def test_which_process_a_member_is_is_read_out_of_its_subscription() -> None:
    """And out of nothing else."""
    data = b'{"process": "festival-one@a:7:1000:2.0"}'
    assert process_of(ConsumerProtocolMemberMetadata(4, ["orders"], data).encode()) == FIRST.client_id("one")
    for other in (b"", b"{}", b"[1]", b"not JSON"):
        assert not process_of(ConsumerProtocolMemberMetadata(4, ["orders"], other).encode())
    assert not process_of(b"")


def test_this_process_is_one_member() -> None:
    """Its start does not change."""
    assert this_process() is this_process()
