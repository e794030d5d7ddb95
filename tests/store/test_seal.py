"""The bytes that are sealed."""

from __future__ import annotations

import re

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from struct import pack
from typing import Any
from uuid import UUID

import psycopg
import pytest

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from structlog_activity.record.canonical import canonical
from structlog_activity.record.ids import NIL_BYTES
from structlog_activity.record.row import Row
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.store.seals import seal as seals
from structlog_activity.store.seals.seal import Seal
from tests.record.test_canonical import DATA
from tests.support.records import record


ROW = Row(
    tenant_id=bytes(range(16)),
    created_at=1_700_000_000_123_456,
    id=bytes(range(16, 32)),
    actor_id=b"a" * 16,
    user_id=NIL_BYTES,
    org_id=b"o" * 16,
    verb="theme.updated",
    object_type="settings",
    object_id="é",
    channel="",
    ip="192.0.2.1",
    data='{"to":"dark","n":1,"é":[1.5,null,true]}',
)
SALT = bytes(range(100, 116))
SEAL = Seal(
    batch_id=1,
    writer_id=UUID(int=2),
    seq=3,
    chain_id=UUID(int=4),
    link=5,
    n=6,
    flags=1,
    first_at=-7,
    last_at=8,
    written_at=9,
    root=b"r" * 32,
    prev=b"p" * 32,
    key_id="key",
)


def text(value: str) -> bytes:
    encoded = value.encode()
    return pack(">I", len(encoded)) + encoded


# -- what another implementation must come to ---------------------------------


def test_a_leaf_is_made_as_the_page_says() -> None:
    header = b"".join(
        (b"\x01", ROW.id, pack(">q", ROW.created_at), ROW.tenant_id, ROW.org_id,
         text("theme.updated"), text("settings"), text(""))
    )  # fmt: skip
    data = '{"n": 1, "to": "dark", "é": [1.5, null, true]}'
    personal = ROW.actor_id + ROW.user_id + text("é") + text("192.0.2.1") + text(data)
    commit = sha256(b"\x03" + SALT + personal).digest()

    assert header == seals.header(ROW)
    assert commit == seals.commit(ROW, SALT)
    assert [sha256(b"\x00" + header + commit).digest()] == seals.leaves([ROW], [SALT])


def test_the_vectors_never_change() -> None:
    (leaf,) = seals.leaves([ROW], [SALT])

    assert "3742299c74a4df6090ba54981634de488ddd738a000d2b954a95b2c452402abf" == leaf.hex()
    assert (
        "8d1ed75d6daad837207f5832f66f526004c347cccea59c34259c0ec075171aab"
        == seals.root([leaf, leaf]).hex()
    )
    assert "ec1bb599bfbf115b8f176095d724c16c60e0c4d38081bf423daf2b180b45b052" == SEAL.digest().hex()
    assert (
        "a41db9d31db91e88c4bb82ab986b331cabaff6e9a3b79bcab228b77449183639"
        == seals.genesis(UUID(int=4)).hex()
    )
    assert (
        "933269b4ff2463d043eb83d9d3a738aba9a73b9fffd3dbb49d188338d8fbe767"
        == seals.mac(seals.next_key(seals.first_key(b"k", UUID(int=4))), leaf).hex()
    )
    assert "ff875b4e2131ab9e" == seals.key_id_of(b"k")
    assert "" == seals.key_id_of(b"")


def test_every_part_of_a_seal_is_in_its_digest() -> None:
    others: dict[str, Any] = {
        "batch_id": 2, "writer_id": UUID(int=9), "seq": 4, "chain_id": UUID(int=9), "link": 6,
        "n": 7, "flags": 3, "first_at": 7, "last_at": 9, "written_at": 10, "root": b"x" * 32,
        "prev": b"x" * 32, "key_id": "kez",
    }  # fmt: skip
    digests = {replace(SEAL, **{name: other}).digest() for name, other in others.items()}

    assert len(others) == len(Seal.__dataclass_fields__) == len(digests - {SEAL.digest()})


def test_every_field_of_a_row_is_in_its_leaf() -> None:
    others: dict[str, Any] = {
        "tenant_id": NIL_BYTES, "created_at": 1, "id": NIL_BYTES, "actor_id": NIL_BYTES,
        "user_id": b"u" * 16, "org_id": NIL_BYTES, "verb": "x", "object_type": "x",
        "object_id": "x", "channel": "x", "ip": "x", "data": '{"to":"dark"}',
    }  # fmt: skip
    rows = [ROW, *(ROW._replace(**{name: other}) for name, other in others.items())]

    assert set(others) == set(Row._fields)
    assert len(rows) == len(set(seals.leaves(rows, [SALT] * len(rows))))


def test_a_leaf_can_not_pose_as_anything_else() -> None:
    (leaf,) = seals.leaves([ROW], [SALT])
    found = [leaf, seals.root([leaf]), seals.commit(ROW, SALT), SEAL.digest()]

    assert 4 == len(set(found))


TEXTS = ("verb", "object_type", "object_id", "channel", "ip")


@given(
    values=st.lists(st.text(max_size=6), min_size=5, max_size=5),
    at=st.integers(0, 3),
    cut=st.integers(1, 6),
)
def test_bytes_shifted_between_fields_give_another_leaf(
    values: list[str], at: int, cut: int
) -> None:
    moved: Any = dict(zip(TEXTS, values, strict=True))
    row = ROW._replace(**moved)
    left, right = values[at], values[at + 1]
    moved |= {TEXTS[at]: left + right[:cut], TEXTS[at + 1]: right[cut:]}
    shifted = ROW._replace(**moved)

    (one,), (other,) = seals.leaves([row], [SALT]), seals.leaves([shifted], [SALT])

    assert (row == shifted) == (one == other)


def test_a_row_that_can_not_be_sealed_is_named() -> None:
    for bad in ({"verb": "\ud800"}, {"data": "[}"}, {"created_at": 2**63}, {"data": '{"a":NaN}'}):
        with pytest.raises(seals.UnsealableRowError) as caught:
            seals.leaves([ROW, ROW._replace(**bad)], [SALT, SALT])

        assert 1 == caught.value.row
        assert "\ud800" not in str(caught.value)
        assert re.fullmatch(r"\w+Error|error", str(caught.value))


@pytest.mark.parametrize("salts", [[], [SALT, SALT]])
def test_no_row_goes_without_a_salt_nor_a_salt_without_a_row(salts: list[bytes]) -> None:
    with pytest.raises(ValueError, match="zip"):
        seals.leaves([ROW], salts)


# -- data -------------------------------------------------------------------


def made(data: dict[str, Any], **fields: Any) -> Row:
    return RowMaker().make_from(record(data=data, **fields))


def test_data_that_are_not_as_they_are_sealed_are_made_so() -> None:
    row = made({"to": "dark", "n": 1, "é": [1.5, None, True]})
    other = row._replace(data='{"to":"dark","n":1,"\\u00e9":[1.5,null,true]}')

    assert seals.leaves([row], [SALT]) == seals.leaves([other], [SALT])


@contextmanager
def connected(url: str) -> Iterator[psycopg.Connection[Any]]:
    dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(dsn, autocommit=True, client_encoding="UTF8") as connection:
        yield connection


IN_SQL = """
    SELECT data::text, sha256(
        '\\x00'::bytea || header || sha256('\\x03'::bytea || %(salt)s::bytea || personal))
    FROM (SELECT %(data)s::jsonb AS data) u,
    LATERAL (SELECT
        '\\x01'::bytea || uuid_send(%(id)s) || int8send(%(at)s)
            || uuid_send(%(tenant)s) || uuid_send(%(org)s)
            || int4send(octet_length(%(verb)s)) || convert_to(%(verb)s, 'UTF8')
            || int4send(octet_length(%(type)s)) || convert_to(%(type)s, 'UTF8')
            || int4send(octet_length(%(channel)s)) || convert_to(%(channel)s, 'UTF8') AS header,
        uuid_send(%(actor)s) || uuid_send(%(user)s)
            || int4send(octet_length(%(object)s)) || convert_to(%(object)s, 'UTF8')
            || int4send(octet_length(%(ip)s)) || convert_to(%(ip)s, 'UTF8')
            || int4send(octet_length(data::text)) || convert_to(data::text, 'UTF8') AS personal
    ) parts
"""


def test_postgresql_comes_to_the_same_leaf(postgres_url: str) -> None:
    """Plain SQL recomputes what Python sealed, for any record."""
    with connected(postgres_url) as connection:

        @given(DATA, st.text(max_size=8), st.text(max_size=8))
        @settings(max_examples=150)
        def check(data: dict[str, Any], object_id: str, channel: str) -> None:
            row = made(data, object_id=object_id, channel=channel)
            values = {
                "data": row.data, "salt": SALT, "at": row.created_at,
                "id": UUID(bytes=row.id), "tenant": UUID(bytes=row.tenant_id),
                "org": UUID(bytes=row.org_id), "actor": UUID(bytes=row.actor_id),
                "user": UUID(bytes=row.user_id), "verb": row.verb, "type": row.object_type,
                "channel": row.channel, "object": row.object_id, "ip": row.ip,
            }  # fmt: skip
            printed, leaf = connection.execute(IN_SQL, values).fetchone() or ("", b"")

            assert row.data == printed
            assert canonical(str(row.data)) == printed
            assert seals.leaves([row], [SALT]) == [bytes(leaf)]

        check()
