"""
The object of an activity is told in many forms, and means a type and an id.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from enum import Enum, StrEnum
from typing import Any, NamedTuple

import pytest

from sqlalchemy import ForeignKey, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from structlog_activity.errors import InvalidRecordError
from structlog_activity.record import objects
from structlog_activity.record.objects import register_object, split_object
from tests.record.hostile import HOSTILE, LIMIT, cost, foreign, hostile_class


class Kind(StrEnum):
    INVOICE = "invoice:7"


class Entry(NamedTuple):
    ledger: str
    amount: int


class Document:
    def __init__(self, number: int) -> None:
        self.number = number

    def __activity_object__(self) -> tuple[str, int]:
        return "document", self.number


class Draft(Document):
    pass


class Plain:
    pass


class Special(Plain):
    pass


class Base(DeclarativeBase):
    __abstract__ = True

    def __repr__(self) -> str:
        return str(foreign())


class Author(Base):
    __tablename__ = "author"

    key: Mapped[int] = mapped_column("author_id", primary_key=True)
    name: Mapped[str] = mapped_column(default="ada")
    pages: Mapped[list[Page]] = relationship()


class Page(Base):
    __tablename__ = "page"

    book: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int | None] = mapped_column(ForeignKey("author.author_id"))


@pytest.fixture
def session() -> Iterator[Session]:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        yield session
    engine.dispose()


@pytest.fixture(autouse=True)
def only_own_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_registered", {})


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        (("settings", "global"), "settings:global"),
        (("settings", ""), "settings"),
        (("settings", ""), "settings:"),
        (("file", "C:/a:b"), "file:C:/a:b"),
        (("", ""), ""),
        (("invoice", "7"), Kind.INVOICE),
        (("settings", "global"), hostile_class(str)("settings:global")),
        (("export.job", 7), ("export.job", 7)),
        (("export.job", 7), ["export.job", 7]),
        (("export.job", 7), hostile_class(tuple)(("export.job", 7))),
        (("export.job", 7), hostile_class(list)(["export.job", 7])),
        (("export.job", 7), {"type": "export.job", "id": 7}),
        (("export.job", None), {"type": "export.job"}),
        (("export.job", 7), OrderedDict(id=7, type="export.job", more=1)),
        (("a", "b"), Entry("a", "b")),  # type: ignore[arg-type]
        (("document", 3), Document(3)),
        (("document", 3), Draft(3)),
    ],
    ids=[
        "type:id",
        "type",
        "type and colon",
        "id with colons",
        "empty",
        "StrEnum",
        "str subclass",
        "tuple",
        "list",
        "tuple subclass",
        "list subclass",
        "dict",
        "dict without id",
        "other mapping",
        "named pair",
        "__activity_object__",
        "inherited __activity_object__",
    ],
)
def test_every_form_is_a_pair(expected: tuple[Any, Any], value: Any) -> None:
    assert expected == split_object(value)


@pytest.mark.parametrize(
    "value",
    [
        5,
        True,
        ("one",),
        ("one", 2, 3),
        [],
        {},
        {"id": 7},
        {"type": None, "id": 7},
        {"a", "b"},
        Plain(),
        Plain,
        Enum("Kind", "A").A,  # type: ignore[attr-defined]
    ],
    ids=[
        "int",
        "bool",
        "one item",
        "three items",
        "no items",
        "empty dict",
        "dict without type",
        "dict with type null",
        "set",
        "unknown object",
        "class",
        "Enum",
    ],
)
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRecordError, match="or a registered class is needed, not ") as info:
        split_object(value)

    assert info.value.field == "object"


# -- classes that were registered ----------------------------------------------


def test_a_registered_class_is_described_by_its_function() -> None:
    register_object(Plain, lambda plain: ("plain", id(plain)))
    value = Plain()

    assert split_object(value) == ("plain", id(value))


@pytest.mark.parametrize(
    "form", ["plain:1", ("plain", "1"), {"type": "plain", "id": "1"}], ids=["text", "pair", "dict"]
)
def test_a_describing_function_may_use_any_plain_form(form: Any) -> None:
    register_object(Plain, lambda _: form)

    assert split_object(Plain()) == ("plain", "1")


def test_a_subclass_is_described_as_its_base() -> None:
    register_object(Plain, lambda _: "plain:1")

    assert split_object(Special()) == ("plain", "1")


def test_the_nearest_registered_class_counts() -> None:
    register_object(Plain, lambda _: "plain:1")
    register_object(Special, lambda _: "special:2")

    assert split_object(Special()) == ("special", "2")
    assert split_object(Plain()) == ("plain", "1")


def test_the_last_registration_counts() -> None:
    register_object(Plain, lambda _: "old")
    register_object(Plain, lambda _: "new")

    assert split_object(Plain()) == ("new", "")


def test_registration_goes_before_what_the_class_says() -> None:
    register_object(Document, lambda document: ("paper", document.number))

    assert split_object(Document(3)) == ("paper", 3)


def test_a_registered_named_pair_is_no_type_and_id() -> None:
    register_object(Entry, lambda entry: ("entry", entry.amount))

    assert split_object(Entry("ada", 5)) == ("entry", 5)


def test_a_registered_mapped_class_is_described_by_its_function() -> None:
    register_object(Author, lambda author: ("person", author.key))

    assert split_object(Author(key=3)) == ("person", 3)


def test_a_failing_description_is_an_invalid_record() -> None:
    def describe(_: Plain) -> str:
        raise KeyError("gone")

    register_object(Plain, describe)
    with pytest.raises(InvalidRecordError, match=r"Plain can't be described") as info:
        split_object(Plain())

    assert info.value.field == "object"
    assert isinstance(info.value.__cause__, KeyError)


def test_a_description_of_no_form_is_refused() -> None:
    register_object(Plain, lambda _: 5)

    with pytest.raises(InvalidRecordError, match="registered class is needed"):
        split_object(Plain())


@pytest.mark.parametrize(
    ("problem", "kind", "describe"),
    [
        ("needs a class, not str", "Plain", str),
        ("needs a class, not Plain", Plain(), str),
        ("needs a callable, not str", Plain, "text"),
        ("needs a callable, not NoneType", Plain, None),
    ],
    ids=["name", "instance", "text", "none"],
)
def test_only_a_class_and_a_callable_can_be_registered(
    problem: str, kind: Any, describe: Any
) -> None:
    with pytest.raises(TypeError, match=f"register_object {problem}"):
        register_object(kind, describe)


# -- SQLAlchemy ----------------------------------------------------------------


def test_a_pending_instance_has_the_key_that_was_set() -> None:
    assert split_object(Author(key=3)) == ("author", 3)


def test_a_pending_instance_without_key_has_none() -> None:
    assert split_object(Author()) == ("author", None)


def test_an_instance_that_was_never_initialised_has_none() -> None:
    assert split_object(object.__new__(Author)) == ("author", None)


def test_a_persistent_instance_has_its_primary_key(session: Session) -> None:
    author = Author()
    session.add(author)
    session.flush()

    assert split_object(author) == ("author", 1)


def test_a_composite_key_is_joined(session: Session) -> None:
    page = Page(book="log", number=7)
    assert split_object(page) == ("page", "log,7")
    session.add(page)
    session.flush()

    assert split_object(page) == ("page", "log,7")


@pytest.mark.parametrize("state", ["expired", "detached", "deleted"])
def test_an_instance_is_named_without_loading_it(session: Session, state: str) -> None:
    author = Author(pages=[Page(book="log", number=1)])
    session.add(author)
    session.commit()
    if state == "detached":
        session.expunge(author)
    if state == "deleted":
        author.pages.clear()
        session.delete(author)
        session.flush()
    statements: list[str] = []
    event.listen(
        session.get_bind(), "before_cursor_execute", lambda *args: statements.append(args[2])
    )

    actual = split_object(author)

    assert actual == ("author", 1)
    assert statements == []


# -- hostile values ------------------------------------------------------------


@pytest.mark.parametrize("name", list(HOSTILE))
def test_no_value_runs_or_costs_much(name: str) -> None:
    value = HOSTILE[name]()

    def read() -> None:
        try:
            split_object(value)
        except InvalidRecordError:
            return

    assert cost(read) < LIMIT
