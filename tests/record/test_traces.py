"""
Nobody but the log itself may say that it took something away.
"""

from __future__ import annotations

import pytest

from structlog_activity.errors import InvalidRecordError
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.record.traces import TRACES, refuse_traces
from tests.support.records import record


@pytest.mark.parametrize("verb", TRACES)
def test_a_record_that_says_so_is_refused_by_its_verb(verb: str) -> None:
    with pytest.raises(InvalidRecordError, match=f"{verb} is for") as info:
        refuse_traces(RowMaker().make_from(record(verb=verb)))

    assert info.value.field == "verb"


@pytest.mark.parametrize("verb", ["settings.updated", "activity.erased.not", "activity"])
def test_any_other_record_stays_as_it_is(verb: str) -> None:
    row = RowMaker().make_from(record(verb=verb))

    assert refuse_traces(row) is row
