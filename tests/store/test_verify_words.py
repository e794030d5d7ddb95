"""What a check of the whole log says of each thing that it finds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from structlog_activity import to_uuid
from structlog_activity.store.seals import traces as lawful
from structlog_activity.store.seals.checkpoint import take_checkpoint
from structlog_activity.store.seals.report import SealFindings
from structlog_activity.store.seals.rowcheck import RowCheck, StoredRow
from structlog_activity.store.seals.seal import ADOPTED, GENESIS
from structlog_activity.store.table import user_activity_batch
from tests.store.sealed import KEY, ROWS, SealedLog, at, in_batch, line
from tests.store.test_traces import BETWEEN, declare, erase, stored
from tests.store.test_verify import remove_writer, truncate


FORGED = to_uuid("forged")


def too_many(log: SealedLog) -> None:
    log.copy(at(1, 1), id=FORGED, batch_ix=ROWS)


def before_all(log: SealedLog) -> None:
    log.copy(at(1, 1), id=FORGED, batch_ix=-1)


def of_no_batch(log: SealedLog) -> None:
    log.copy(at(1, 1), id=FORGED, batch_id=77, batch_ix=0)


def twice_in_one_place(log: SealedLog) -> None:
    log.change(at(1, 2), batch_ix=1, id=FORGED)


def changed(log: SealedLog) -> None:
    log.change(at(1, 2), verb="settings.reset")


def missing(log: SealedLog) -> None:
    log.remove(at(2, 1))


def erased_in_silence(log: SealedLog) -> None:
    erase(log, 1, 2, told=False)


def filled_again(log: SealedLog) -> None:
    erase(log, 1, 2, object_id="x")


def unreadable_stubs(log: SealedLog) -> None:
    log.change(line(2), user_activity_batch, dropped=b"x")


def gone_too_early(log: SealedLog) -> None:
    drop_all(log, 1)


def drop_all(log: SealedLog, n: int, **instead: bytes) -> None:
    """Have every row of a batch leave a stub."""
    stubs = {ix: lawful.stub(*stored(log, n, ix)) for ix in range(ROWS)}
    stubs.update({int(ix[1:]): found for ix, found in instead.items()})
    log.remove(in_batch(n))
    log.change(line(n), user_activity_batch, dropped=lawful.pack_stubs(stubs))


OF_ROWS: dict[str, tuple[Callable[[SealedLog], None], dict[str, tuple[str, int]]]] = {
    "a row too many": (
        too_many,
        {f"a row has no place in its batch (record {FORGED})": ("row.unsealed", 1002)},
    ),
    "a row before the first": (
        before_all,
        {f"a row has no place in its batch (record {FORGED})": ("row.unsealed", 1002)},
    ),
    "a row of no batch": (
        of_no_batch,
        {f"the ledger has no batch of that row (record {FORGED})": ("row.unsealed", 77)},
    ),
    "two rows in one place": (
        twice_in_one_place,
        {
            f"two rows have one place in their batch (record {FORGED})": ("row.unsealed", 1002),
            "only 3 of 4 rows are there": ("row.missing", 1002),
        },
    ),
    "a changed row": (changed, {"a row of the batch was changed": ("row.changed", 1002)}),
    "a missing row": (missing, {"only 3 of 4 rows are there": ("row.missing", 1003)}),
    "an erasure in silence": (
        erased_in_silence,
        {
            "a row was erased, and no sealed record says so (record {record})": (
                "row.erased",
                1002,
            )
        },
    ),
    "an erased row that says something": (
        filled_again,
        {"something stands in a row that was erased (record {record})": ("row.filled", 1002)},
    ),
    "stubs that can't be read": (
        unreadable_stubs,
        {"what is left of dropped rows can't be read": ("retention.stubs", 1003)},
    ),
    "rows that went too early": (
        gone_too_early,
        {"a row went before its time": ("retention.early", 1002)},
    ),
}


@pytest.mark.parametrize("what", OF_ROWS)
def test_of_rows_it_says_what_is_wrong_and_in_which_batch(log: SealedLog, what: str) -> None:
    attack, told = OF_ROWS[what]
    record_id = log.row(1, 2).id
    attack(log)

    found = log.verify().findings

    assert {(one.problem, one.kind, one.batch_id) for one in found} == {
        (f"batch {batch_id}: {text.format(record=record_id)}", kind, batch_id)
        for text, (kind, batch_id) in told.items()
    }


def gap(log: SealedLog) -> None:
    log.remove(in_batch(1))
    log.remove(line(1), user_activity_batch)


def unlinked(log: SealedLog) -> None:
    log.change(line(1), user_activity_batch, prev=bytes(32))


def repeated(log: SealedLog) -> None:
    log.change(line(2), user_activity_batch, link=2)


def first_again(log: SealedLog) -> None:
    log.change(line(1), user_activity_batch, flags=GENESIS)
    log.reseal(KEY)


def adopted(log: SealedLog) -> None:
    log.change(line(1), user_activity_batch, flags=ADOPTED)


def unsigned(log: SealedLog) -> None:
    log.change(line(1), user_activity_batch, key_id="")


def signed_by_another(log: SealedLog) -> None:
    log.change(line(1), user_activity_batch, key_id="theirs")


def forged_signature(log: SealedLog) -> None:
    log.change(line(1), user_activity_batch, mac=bytes(32))


def rewritten(log: SealedLog) -> None:
    log.change(at(2, 2), verb="settings.reset")
    log.reseal(KEY)


def link(n: int, batch: int | None = None, who: str = "batch") -> str:
    """What a link is called, of the batch with that number."""
    of = batch or n
    return f"link {n} of chain {{chain}} ({who} {1000 + of}, writer {{writer}}, seq {of})"


CHANGED = "is not as it was sealed"
OF_LINES: dict[str, tuple[Callable[[SealedLog], None], set[tuple[str, str]]]] = {
    "a gap": (gap, {("chain.gap", f"{link(3)} follows a gap: link 2 is gone")}),
    "a link that is tied to another": (
        unlinked,
        {
            ("chain.broken", f"{link(2)} is not tied to the link before it"),
            ("seal.changed", f"{link(2)} {CHANGED}"),
        },
    ),
    "a link twice": (
        repeated,
        {
            ("chain.repeated", f"{link(2, 3)} stands twice in its chain"),
            ("seal.changed", f"{link(2, 3)} {CHANGED}"),
            ("mac.wrong", f"{link(2, 3)} is not signed by who has the key"),
            ("chain.truncated", "chain {chain} ends at link 2, a checkpoint knows 3"),
        },
    ),
    "a second that says it is the first": (
        first_again,
        {
            ("seal.changed", f"{link(2)} says that it is the first link, or should"),
            ("chain.rewritten", f"{link(3)} is not the one that a checkpoint knows"),
        },
    ),
    "a link that was adopted": (
        adopted,
        {("seal.changed", f"{link(2, who='adopted batch')} {CHANGED}")},
    ),
    "no signature": (
        unsigned,
        {("mac.missing", f"{link(2)} is not signed"), ("seal.changed", f"{link(2)} {CHANGED}")},
    ),
    "another's signature": (
        signed_by_another,
        {
            ("mac.unknown", f"{link(2)} is signed with the unknown key theirs"),
            ("seal.changed", f"{link(2)} {CHANGED}"),
        },
    ),
    "a forged signature": (
        forged_signature,
        {("mac.wrong", f"{link(2)} is not signed by who has the key")},
    ),
    "a chain that was cut off": (
        truncate,
        {("chain.truncated", "chain {chain} ends at link 2, a checkpoint knows 3")},
    ),
    "a chain that is gone": (
        remove_writer,
        {("chain.removed", "chain {chain} is gone, a checkpoint knows 3 links of it")},
    ),
    "a link that was rewritten": (
        rewritten,
        {("chain.rewritten", f"{link(3)} is not the one that a checkpoint knows")},
    ),
}


@pytest.mark.parametrize("what", OF_LINES)
def test_of_the_ledger_it_says_what_is_wrong_and_with_which_link(log: SealedLog, what: str) -> None:
    attack, told = OF_LINES[what]
    path = log.folder / "checkpoints.jsonl"
    take_checkpoint(log.engine, path, key=KEY)
    chain_id = log.chain_id
    attack(log)

    found = log.verify(checkpoint=path).findings

    expected = {(kind, text.format(chain=chain_id, writer=log.writer_id)) for kind, text in told}
    assert expected == {(one.kind, one.problem) for one in found}
    for one in found:
        assert chain_id == one.chain_id
        assert f"link {one.link}" in one.problem or f"knows {one.link}" in one.problem
        if one.kind not in {"chain.truncated", "chain.removed"}:
            assert one.batch_id is not None
            assert (log.writer_id, one.batch_id - 1000) == (one.writer_id, one.seq)


# -- batches of which nothing is left but stubs ------------------------------


def test_a_batch_that_went_as_a_whole_is_proved_by_its_stubs(log: SealedLog) -> None:
    drop_all(log, 1)
    declare(log, [lawful.pruned_row(BETWEEN, ROWS, channel="a")])

    assert log.verify().ok, log.verify().findings


def test_a_forged_stub_of_a_batch_that_went_as_a_whole_is_found(log: SealedLog) -> None:
    row, _ = stored(log, 1, 2)
    drop_all(log, 1, _2=lawful.stub(row, bytes(32)))
    declare(log, [lawful.pruned_row(BETWEEN, ROWS, channel="a")])

    assert ("row.changed", 1002, ()) == (
        log.found().kind,
        log.found().batch_id,
        log.found().record_ids,
    )


def test_a_batch_of_which_only_some_rows_left_stubs_is_missed(log: SealedLog) -> None:
    stubs = lawful.pack_stubs({0: lawful.stub(*stored(log, 1, 0))})
    log.remove(in_batch(1))
    log.change(line(1), user_activity_batch, dropped=stubs)
    declare(log, [lawful.pruned_row(BETWEEN, ROWS, channel="a")])

    assert ("batch.empty", 1002) == (log.found().kind, log.found().batch_id)


def test_a_batch_that_went_lawfully_hides_none_that_is_missed(log: SealedLog) -> None:
    drop_all(log, 0)
    log.remove(in_batch(2))
    declare(log, [lawful.pruned_row(BETWEEN, ROWS, channel="a")])

    assert f"batch 1003 (writer {log.writer_id}, seq 3): all its rows are gone" == (
        log.found().problem
    )


def test_what_was_written_meanwhile_is_no_finding_and_counts_as_said() -> None:
    findings, declared = SealFindings(), lawful.Declarations()
    rows = RowCheck(findings, declared, str, {77}.__contains__)
    told = lawful.pruned_row(5, 1)

    rows.check([StoredRow(told, batch, 0, b"", None, None, None, None) for batch in (77, 78)])

    assert [78] == [found.batch_id for found in findings.kept]
    assert (2, 5) == (rows.rows, declared.before)
