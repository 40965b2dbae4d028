"""The container of a sealed festival: any tool opens it, no byte of it changes unseen."""

from __future__ import annotations

import hashlib
import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.sealed.container import Members, SealError, pack_members

MEMBERS = {"README.txt": b"read me\n", "totals/orders.csv": b"orders\r\n1\r\n" * 50, "empty": b""}
DATA, DIGEST = pack_members(MEMBERS)


def test_what_is_packed_is_read_back_under_its_digest() -> None:
    members = Members(DATA)
    assert members.digest == DIGEST
    assert {name: members.read(name) for name in members.names()} == MEMBERS


def test_equal_members_make_equal_files() -> None:
    assert pack_members(dict(MEMBERS)) == (DATA, DIGEST)
    assert pack_members({**MEMBERS, "empty": b"x"})[1] != DIGEST


def test_a_stranger_checks_it_without_this_program() -> None:
    assert hashlib.sha256(DATA[:-64]).hexdigest() == DATA[-64:].decode() == DIGEST
    with zipfile.ZipFile(io.BytesIO(DATA)) as archive:
        assert archive.testzip() is None
        assert archive.comment.decode() == DIGEST
        for member in archive.infolist():  # what depends on where and when it was written is the same everywhere
            assert (member.date_time, member.create_system) == ((1980, 1, 1, 0, 0, 0), 3)


@pytest.mark.parametrize("place", range(len(DATA)))
def test_no_byte_changes_unseen(place: int) -> None:
    changed = bytearray(DATA)
    changed[place] ^= 1
    with pytest.raises(SealError, match=r"changed or cut off|no sealed festival"):
        Members(bytes(changed))


@pytest.mark.parametrize("size", [*range(4), 63, 64, 65, len(DATA) // 2, len(DATA) - 64, len(DATA) - 1])
def test_a_file_that_was_cut_off_is_refused(size: int) -> None:
    with pytest.raises(SealError, match="cut off" if size > 1 else "no sealed festival"):
        Members(DATA[:size])


@given(st.binary(max_size=300))
def test_whatever_else_it_is_it_is_no_sealed_festival(data: bytes) -> None:
    with pytest.raises(SealError):
        Members(data)
    with pytest.raises(SealError, match="no sealed festival"):
        Members(data + hashlib.sha256(data).hexdigest().encode())


def test_a_member_that_is_not_there_is_named() -> None:
    with pytest.raises(SealError, match="seal\\.json cannot be read"):
        Members(DATA).read("seal.json")


def test_a_member_whose_bytes_are_wrong_under_a_right_digest_is_refused() -> None:
    content = bytearray(DATA[:-64])
    content[content.index(b"read me") if b"read me" in content else 45] ^= 255
    with pytest.raises(SealError, match="cannot be read"):
        Members(bytes(content) + hashlib.sha256(content).hexdigest().encode()).read("README.txt")
