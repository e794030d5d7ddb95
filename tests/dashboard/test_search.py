"""How links change a search."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest

from examples.dashboard.view import View, tenant_of, view_of
from structlog_activity import InvalidFilterError
from structlog_activity.read.words import Word
from tests.dashboard.shown import NOW


def view(text: str) -> View:
    return view_of({"q": text}, tenants=[tenant_of("acme")], zone=ZoneInfo("UTC"), clock=NOW)


def search_of(url: str) -> str:
    return parse_qs(urlsplit(url).query).get("q", [""])[0]


def test_a_link_puts_a_condition_in_and_takes_it_out_again() -> None:
    before = view("actor:ann")

    after = search_of(before.toggled("channel", 'a "b"'))
    assert r'actor:ann channel:"a \"b\""' == after
    assert view(after).has("channel", 'a "b"')
    assert "actor:ann" == search_of(view(after).toggled("channel", 'a "b"'))


def test_a_channel_is_either_asked_for_or_left_out() -> None:
    asked = view("channel:web since:3d")

    left_out = search_of(asked.toggled("channel", "web", is_negated=True))
    assert "since:3d -channel:web" == left_out
    assert "since:3d channel:web" == search_of(view(left_out).toggled("channel", "web"))


def test_every_word_can_be_taken_out_by_itself() -> None:
    found = view('theme actor:ann "two words" data.n:"5"')

    assert ["theme", "actor:ann", '"two words"', 'data.n:"5"'] == [str(w) for w in found.words]
    assert 'theme actor:ann data.n:"5"' == search_of(found.without(Word(None, "two words")))
    assert "theme two words" == found.where["keyword"]


def test_another_time_takes_the_place_of_the_one_that_was_typed() -> None:
    found = view("actor:ann since:3d until:1d")

    assert "custom" == found.range
    assert "actor:ann" == search_of(found.ranged("24h"))
    assert "actor:ann" == search_of(found.zoomed(NOW, NOW))


@pytest.mark.parametrize(
    "text", ["colour:red", "-verb:x", "-word", "actor:1 actor:2", 'actor:""', "since:999999w"]
)
def test_what_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(InvalidFilterError):
        view(text)
