"""
Ids grow with time and never repeat; any raw id stands for one UUID.
"""

from __future__ import annotations

import os
import threading
import time

from contextlib import suppress
from enum import IntEnum, StrEnum
from functools import reduce
from operator import and_, or_
from typing import Any
from uuid import UUID, uuid5

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from structlog_activity.errors import InvalidRecordError
from structlog_activity.record.ids import (
    NAMESPACE,
    NIL,
    IdGenerator,
    _cached_parse,
    derived_uuid7,
    field_uuid,
    id_bytes,
    int_text,
    raw_id,
    to_uuid,
    uuid7,
)
from tests.record.hostile import HOSTILE, LIMIT, cost, foreign


SOME = UUID("0199c8a2-7d3f-7b1a-9c4e-1f2a3b4c5d6e")
MOMENTS = st.integers(min_value=0, max_value=(1 << 48) * 1_000_000 - 1)


class Number(IntEnum):
    ONE = 1


class Name(StrEnum):
    ADA = "ada"


class OwnUUID(UUID):
    pass


LyingUUID: Any = type("LyingUUID", (UUID,), {"int": property(foreign)})


# -- the generator -------------------------------------------------------------


def test_an_id_is_a_uuid_of_version_7() -> None:
    actual = uuid7()

    assert (actual.version, actual.variant) == (7, "specified in RFC 4122")


def test_an_id_begins_with_its_millisecond() -> None:
    actual = uuid7(1_700_000_000_123_456_789)

    assert actual.int >> 80 == 1_700_000_000_123


def test_an_id_holds_the_part_of_its_millisecond() -> None:
    """RFC 9562, section 6.2, method 3: the next 12 bits are 1/4096 milliseconds."""
    actual = uuid7(1_700_000_000_123_500_000)

    assert (actual.int >> 64) & 0xFFF == 4096 // 2


def test_an_id_of_now_is_of_now() -> None:
    before = time.time_ns() // 1_000_000
    actual = uuid7().int >> 80

    assert before <= actual <= time.time_ns() // 1_000_000


def test_the_ids_that_calls_get_tell_their_moment_too() -> None:
    ids = IdGenerator()
    for ms, rest in enumerate([0, 250_000, 0, 0, 750_000]):
        first = ids.next(ms * 1_000_000 + rest)
        last = ids.next(ms * 1_000_000 + 999_999)

        assert (ms, ms) == (first >> 80, last >> 80)
        assert (first >> 64) & 0xFFF == 4096 * rest // 1_000_000


def varying(ids: list[int]) -> int:
    """The bits that are not the same in all of these."""
    return reduce(or_, ids) & ~reduce(and_, ids)


def test_every_generator_draws_all_bits_that_are_free() -> None:
    """Two processes meet the more often the fewer of them differ."""
    generators = [IdGenerator() for _ in range(100)]
    of_now = [one.next(1) for one in generators]
    of_the_past = [one.at(1) for one in generators]

    group = (1 << 13) - 1 << 49
    assert group | (1 << 32) - 1 << 12 == varying(of_now)
    assert group | (1 << 47) - 1 == varying(of_the_past)
    assert {0} == {id_ >> 48 & 1 for id_ in of_now}
    assert {1} == {id_ >> 48 & 1 for id_ in of_the_past}
    for id_ in of_now + of_the_past:
        assert (7, "specified in RFC 4122") == (UUID(int=id_).version, UUID(int=id_).variant)


def test_an_id_as_text_is_in_canonical_form() -> None:
    for text in [IdGenerator().next_text(1) for _ in range(20)]:
        assert text == str(UUID(text))


def test_only_a_state_without_ids_left_is_renewed() -> None:
    ids = IdGenerator()

    assert ids.renew(2_000_000)
    until, head, part = ids.state
    before = UUID(head + part())
    assert (3_000_000, 2) == (until, before.int >> 80)
    assert not ids.renew(2_000_000)
    assert (until, head, part) == ids.state
    with suppress(StopIteration):
        while True:
            part()
    assert ids.renew(2_000_000)
    assert before.int < ids.next(2_000_000)


def test_ids_of_one_tick_keep_their_order() -> None:
    ids = IdGenerator()

    actual = [ids.next(1_000_000) for _ in range(1000)]

    assert sorted(set(actual)) == actual


@settings(max_examples=40)
@given(st.lists(MOMENTS, min_size=2, max_size=50))
def test_ids_never_go_back_even_if_the_clock_does(moments: list[int]) -> None:
    ids = IdGenerator()

    actual = [ids.next(ns) for ns in moments]

    assert sorted(set(actual)) == actual


@settings(max_examples=40)
@given(MOMENTS, MOMENTS)
def test_ids_sort_by_their_moments(one: int, other: int) -> None:
    ids = IdGenerator()
    early, late = sorted((one, other))

    assert ids.at(early) < ids.at(late)


def test_an_id_of_the_past_does_not_hold_back_those_of_now() -> None:
    ids = IdGenerator()
    now = ids.next(2_000_000_000)

    assert ids.at(1_000_000_000) < now < ids.next(2_000_000_000)


def test_threads_never_get_the_same_id() -> None:
    ids = IdGenerator()
    found: list[list[int]] = [[] for _ in range(8)]
    start = threading.Barrier(len(found))

    def ask(mine: list[int]) -> None:
        start.wait()
        mine.extend(ids.next(time.time_ns()) for _ in range(2000))

    threads = [threading.Thread(target=ask, args=(mine,)) for mine in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({id_ for mine in found for id_ in mine}) == 8 * 2000


def test_two_generators_do_not_meet() -> None:
    one, other = IdGenerator(), IdGenerator()

    assert not {one.at(1) for _ in range(100)} & {other.at(1) for _ in range(100)}


def test_a_reseeded_generator_counts_from_elsewhere() -> None:
    ids = IdGenerator()
    before = ids.at(1)
    ids.reseed()

    assert abs(ids.at(1) - before) > 1_000_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_makes_ids_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without new random bits parent and child would count through the same ids."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(theirs, uuid7(1).bytes)
        os._exit(0)
    expected = uuid7(1)
    os.waitpid(child, 0)
    actual = UUID(bytes=os.read(ours, 16))
    os.close(ours)
    os.close(theirs)

    assert abs(expected.int - actual.int) > 1_000_000


@settings(max_examples=40)
@given(MOMENTS, st.binary(max_size=50))
def test_a_derived_id_is_the_same_every_time(ns: int, source: bytes) -> None:
    actual = derived_uuid7(ns, source)

    assert derived_uuid7(ns, source) == actual
    assert (7, ns // 1_000_000) == (actual.version, actual.int >> 80)
    assert actual.variant == "specified in RFC 4122"


def test_a_derived_id_never_changes() -> None:
    """An import finds the records again that an older version stored."""
    assert (
        str(derived_uuid7(1_700_000_000_123_456_789, b"a line"))
        == "018bcfe5-687b-731b-ae4a-830b75580e39"
    )


def test_derived_ids_of_other_sources_differ() -> None:
    assert derived_uuid7(1, b"one line") != derived_uuid7(1, b"another line")


# -- anything as a UUID --------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "0199c8a2-7d3f-7b1a-9c4e-1f2a3b4c5d6e",
        "0199C8A2-7D3F-7B1A-9C4E-1F2A3B4C5D6E",
        "urn:uuid:0199c8a2-7d3f-7b1a-9c4e-1f2a3b4c5d6e",
        "URN:UUID:0199C8A2-7d3f-7b1a-9c4e-1f2a3b4c5d6e",
        "{0199c8a2-7d3f-7b1a-9c4e-1f2a3b4c5d6e}",
        "0199c8a27d3f7b1a9c4e1f2a3b4c5d6e",
        " \t0199c8a2-7d3f-7b1a-9c4e-1f2a3b4c5d6e\n",
    ],
    ids=["canonical", "upper", "urn", "upper urn", "braces", "32 digits", "space around"],
)
def test_uuid_text_is_parsed(text: str) -> None:
    assert to_uuid(text) == SOME
    assert raw_id(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "0199c8a27-d3f-7b1a-9c4e-1f2a3b4c5d6e",
        "0-199c8a27d3f7b1a9c4e1f2a3b4c5d6e",
        "{0199c8a2-7d3f-7b1a-9c4e-1f2a3b4c5d6e",
        "0199c8a2-7d3f-7b1a-9c4e-1f2a3b4c5d6",
        "\uff10199c8a27d3f7b1a9c4e1f2a3b4c5d6e",
        "urn:uuid:{0199c8a2-7d3f-7b1a-9c4e-1f2a3b4c5d6e}",
        "0199c8a2 7d3f-7b1a-9c4e-1f2a3b4c5d6e",
    ],
    ids=[
        "hyphens elsewhere",
        "one hyphen",
        "half a brace",
        "too short",
        "full-width digit",
        "urn and braces",
        "space inside",
    ],
)
def test_text_that_only_resembles_a_uuid_is_a_name(text: str) -> None:
    """`uuid.UUID` takes hyphens anywhere, so two different texts would be one actor."""
    assert uuid5(NAMESPACE, text) == to_uuid(text)
    assert text == raw_id(text)


@pytest.mark.parametrize(
    "value",
    [None, "", "  \n", NIL, str(NIL), "0" * 32],
    ids=["none", "empty", "blank", "NIL", "text of NIL", "digits of NIL"],
)
def test_nothing_means_not_set(value: Any) -> None:
    assert to_uuid(value) == NIL
    assert raw_id(value) is None


@pytest.mark.parametrize(
    ("value", "raw"),
    [(42, "42"), ("42", "42"), (" 42 ", "42"), (0, "0"), (-7, "-7"), (Number.ONE, "1")],
    ids=repr,
)
def test_a_raw_id_stands_for_a_uuid_in_our_namespace(value: Any, raw: str) -> None:
    assert uuid5(NAMESPACE, raw) == to_uuid(value)
    assert raw == raw_id(value)


def test_the_namespace_never_changes() -> None:
    """Stored ids would no longer be found if it did."""
    assert UUID("0d1c7a5e-7b3c-5f43-9a55-6f0f6c1e7a10") == NAMESPACE


@settings(max_examples=40)
@given(st.integers(min_value=-(10**50), max_value=10**50))
def test_an_int_and_its_digits_are_one_id(number: int) -> None:
    assert to_uuid(str(number)) == to_uuid(number)


@settings(max_examples=40)
@given(st.uuids(), st.sampled_from(["{}", "urn:uuid:{}", "{{{}}}", " {} "]))
def test_every_form_of_a_uuid_is_that_uuid(expected: UUID, form: str) -> None:
    assert expected == to_uuid(form.format(expected))


@settings(max_examples=40)
@given(st.one_of(st.text(), st.integers(), st.uuids(), st.none()))
def test_bytes_and_uuid_agree(value: Any) -> None:
    assert to_uuid(value).bytes == id_bytes(value)


@settings(max_examples=40)
@given(st.text(alphabet=st.characters(codec=None, exclude_categories=())))
def test_any_text_is_an_id_and_the_same_every_time(text: str) -> None:
    assert to_uuid(text) == to_uuid(text)


def test_subclasses_count_as_what_they_are() -> None:
    assert to_uuid(OwnUUID(str(SOME))) == SOME
    assert raw_id(OwnUUID(str(SOME))) is None
    assert to_uuid("ada") == to_uuid(Name.ADA)
    assert raw_id(Name.ADA) == "ada"


def test_a_uuid_of_another_class_is_read_without_its_code() -> None:
    value = object.__new__(LyingUUID)
    UUID.__dict__["int"].__set__(value, SOME.int)

    assert to_uuid(value) == SOME


@pytest.mark.parametrize(
    "value",
    [True, False, 1.0, b"1", ["1"], {"id": 1}, object()],
    ids=["true", "false", "float", "bytes", "list", "dict", "object"],
)
def test_values_of_other_types_are_refused(value: Any) -> None:
    with pytest.raises(InvalidRecordError, match="a UUID, text or an int is needed") as info:
        to_uuid(value)

    assert info.value.field == "id"


@pytest.mark.parametrize(
    ("problem", "value"),
    [
        ("text of 65537 characters is no id", "a" * 65_537),
        ("an int of 4097 bits is no id", 1 << 4096),
        ("a UUID without a value is no id", object.__new__(UUID)),
    ],
    ids=["long text", "long int", "UUID without a value"],
)
def test_what_can_be_no_id_is_refused(problem: str, value: Any) -> None:
    with pytest.raises(InvalidRecordError, match=f"^id: {problem}"):
        to_uuid(value)


@pytest.mark.parametrize(("length", "kept"), [(128, 1), (129, 0)])
def test_only_what_may_be_an_id_is_remembered(length: int, kept: int) -> None:
    """Long text comes from mistakes or attacks, and would fill the memory."""
    _cached_parse.cache_clear()

    for _ in range(2):
        to_uuid("a" * length)

    found = _cached_parse.cache_info()
    assert (kept, kept) == (found.currsize, found.hits)


@pytest.mark.parametrize("value", ["a" * 65_536, (1 << 4096) - 1], ids=["text", "int"])
def test_the_longest_ids_are_taken(value: Any) -> None:
    assert to_uuid(value) != NIL


def test_an_id_is_refused_in_the_name_of_its_field() -> None:
    with pytest.raises(InvalidRecordError, match=r"^tenant_id: a UUID, text or an int") as info:
        field_uuid("tenant_id", [])

    assert info.value.field == "tenant_id"


def test_the_digits_of_an_int_are_those_of_its_value() -> None:
    assert int_text(Number.ONE) == "1"


@pytest.mark.parametrize("name", list(HOSTILE))
def test_no_value_breaks_an_id_or_costs_much(name: str) -> None:
    value = HOSTILE[name]()

    def read() -> None:
        with suppress(InvalidRecordError):
            id_bytes(value)
            raw_id(value)

    assert cost(read) < LIMIT
