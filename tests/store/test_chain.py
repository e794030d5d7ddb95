"""How batches are tied to each other, whatever became of the ones before."""

from __future__ import annotations

import dataclasses

from structlog_activity.record.ids import uuid7
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.store.batch import Batch
from structlog_activity.store.seals import seal as seals
from structlog_activity.store.seals.chain import Chain, SealedBatch
from structlog_activity.store.seals.seal import ADOPTED, CLOSING, GENESIS, SESSION
from tests.support.records import record


WRITER = uuid7()
KEY = b"secret"


def batch(seq: int, rows: int = 2, *, inherited: bool = False) -> Batch:
    made = [RowMaker().make_from(record(object_id=str(n))) for n in range(rows)]
    return Batch(WRITER, seq, seq, made, inherited=inherited)


def commit(chain: Chain, one: Batch) -> SealedBatch:
    sealed = chain.seal(one)
    chain.refused()
    chain.in_doubt()
    chain.committed()
    return sealed


def lost(chain: Chain, one: Batch) -> SealedBatch:
    """Send a batch whose COMMIT gets no answer."""
    sealed = chain.seal(one)
    chain.refused()
    chain.in_doubt()
    return sealed


def test_each_batch_is_tied_to_the_one_before() -> None:
    chain = Chain()
    first, second = commit(chain, batch(1)), commit(chain, batch(2))

    assert seals.genesis(first.seal.chain_id) == first.seal.prev
    assert first.digest == first.seal.digest() == second.seal.prev
    assert [1, 2] == [first.seal.link, second.seal.link]
    assert [GENESIS, 0] == [first.seal.flags, second.seal.flags]
    assert first.seal.chain_id == second.seal.chain_id


def test_a_batch_that_was_never_committed_leaves_no_gap() -> None:
    chain = Chain()
    first = commit(chain, batch(1))
    chain.seal(batch(2))
    chain.refused()

    third = commit(chain, batch(3))

    assert (2, first.digest) == (third.seal.link, third.seal.prev)


def test_the_rest_of_a_refused_batch_takes_its_place() -> None:
    chain = Chain()
    whole = batch(1)
    chain.seal(whole)
    chain.refused()

    rest = commit(chain, dataclasses.replace(whole, rows=whole.rows[1:]))

    assert (1, 1) == (rest.seal.link, rest.seal.n)


def test_a_batch_that_is_sent_again_is_the_same_byte_for_byte() -> None:
    chain = Chain()
    one = batch(1)
    sealed = lost(chain, one)

    again = chain.seal(dataclasses.replace(one))

    assert sealed == again
    assert sealed.ledger_row() == again.ledger_row()


def test_a_commit_in_doubt_that_turns_out_to_be_there_moves_the_head() -> None:
    chain = Chain()
    sealed = lost(chain, batch(1))
    chain.seal(sealed.batch)
    chain.found(lambda: sealed.digest)

    assert sealed.digest == commit(chain, batch(2)).seal.prev


def test_a_commit_in_doubt_that_turns_out_to_be_missing_is_sent_again() -> None:
    chain = Chain()
    sealed = lost(chain, batch(1))
    again = commit(chain, sealed.batch)

    assert sealed == again
    assert again.digest == commit(chain, batch(2)).seal.prev


def test_a_commit_that_stays_in_doubt_ends_its_chain() -> None:
    chain = Chain()
    sealed = lost(chain, batch(1))

    other = commit(chain, batch(2))

    assert sealed.seal.chain_id != other.seal.chain_id
    assert (1, GENESIS) == (other.seal.link, other.seal.flags)


def refuse() -> bytes:
    raise RuntimeError("no privilege")


def test_who_may_not_look_begins_a_new_chain() -> None:
    for look in (refuse, lambda: b"another's seal"):
        chain = Chain()
        sealed = lost(chain, batch(1))
        chain.seal(sealed.batch)
        chain.found(look)

        assert sealed.seal.chain_id != commit(chain, batch(2)).seal.chain_id


def test_a_batch_that_another_process_had_committed_is_no_link() -> None:
    chain = Chain()
    first = commit(chain, batch(1))
    chain.seal(batch(7, inherited=True))
    chain.found(refuse)

    second = commit(chain, batch(2))

    assert (2, first.digest) == (second.seal.link, second.seal.prev)


def test_a_chain_goes_on_where_another_process_had_committed_its_first_batch() -> None:
    chain = Chain()
    sealed = chain.seal(batch(7, inherited=True))
    chain.found(refuse)

    first = commit(chain, batch(1))

    assert (sealed.seal.chain_id, 1) == (first.seal.chain_id, first.seal.link)


def test_an_adopted_batch_keeps_its_identity_and_says_so() -> None:
    sealed = commit(Chain(), batch(7, inherited=True))

    assert (WRITER, 7, GENESIS | ADOPTED) == (
        sealed.seal.writer_id,
        sealed.seal.seq,
        sealed.seal.flags,
    )


def test_the_end_is_a_link_without_rows() -> None:
    chain = Chain()
    assert not chain.is_begun
    last = commit(chain, batch(1))
    assert chain.is_begun

    end = chain.seal_end()
    chain.committed()

    assert (last.digest, 2, CLOSING, 0, 0, WRITER) == (
        end.seal.prev,
        end.seal.link,
        end.seal.flags,
        end.seal.n,
        end.seal.seq,
        end.seal.writer_id,
    )
    assert not chain.is_begun
    assert last.seal.chain_id != commit(chain, batch(2)).seal.chain_id


def test_the_end_is_that_of_the_writer_and_not_of_one_it_took_over_from() -> None:
    chain = Chain()
    commit(chain, batch(1))
    commit(chain, dataclasses.replace(batch(7, inherited=True), writer_id=uuid7()))

    assert WRITER == chain.seal_end().seal.writer_id


def test_nothing_ends_with_a_commit_in_doubt() -> None:
    chain = Chain()
    commit(chain, batch(1))
    lost(chain, batch(2))

    assert not chain.is_begun


def test_a_batch_alone_is_begun_and_closed() -> None:
    sealed = Chain.alone(batch(1), KEY)

    assert GENESIS | CLOSING | SESSION == sealed.seal.flags
    key = seals.first_key(KEY, sealed.seal.chain_id)
    assert seals.mac(key, sealed.digest) == sealed.mac


def test_each_link_is_signed_with_a_key_that_follows_from_the_last() -> None:
    chain = Chain(KEY)
    key = b""
    for seq in (1, 2, 3):
        sealed = commit(chain, batch(seq))
        key = seals.next_key(key) if key else seals.first_key(KEY, sealed.seal.chain_id)

        assert seals.mac(key, sealed.digest) == sealed.mac
        assert seals.key_id_of(KEY) == sealed.seal.key_id


def test_without_a_key_nothing_is_signed() -> None:
    chain = Chain()
    for sealed in (commit(chain, batch(1)), commit(chain, batch(2)), Chain.alone(batch(1))):
        assert ("", b"") == (sealed.seal.key_id, sealed.mac)


def test_salts_differ_from_row_to_row_and_batch_to_batch() -> None:
    chain = Chain()
    salts = [salt for seq in (1, 2) for salt in commit(chain, batch(seq, 3)).salts]

    assert 6 == len(set(salts))
    assert {16} == set(map(len, salts))


def test_the_span_of_a_batch_is_sealed() -> None:
    made = batch(1, 3)
    rows = [row._replace(created_at=at) for row, at in zip(made.rows, (5, 3, 9), strict=True)]
    sealed = Chain(clock=lambda: 7_000).seal(dataclasses.replace(made, rows=rows))

    assert (3, 9, 7) == (sealed.seal.first_at, sealed.seal.last_at, sealed.seal.written_at)
