"""Cursors hold exactly one place of exactly one feed."""

from __future__ import annotations

import base64
import hmac
import re

from uuid import UUID

import pytest

from hypothesis import given
from hypothesis import strategies as st

from structlog_activity import InvalidCursorError
from structlog_activity.read.cursor import Place, decode_cursor, encode_cursor


places = st.builds(Place, st.integers(0, 2**62), st.uuids())


@given(place=places, digest=st.binary(min_size=16, max_size=16), key=st.binary(max_size=40))
def test_a_cursor_leads_back_to_its_place(place: Place, digest: bytes, key: bytes) -> None:
    text = encode_cursor(place, digest, key)

    assert place == decode_cursor("after", text, digest, key)
    assert re.fullmatch(r"[\w-]{44}", text, re.ASCII)  # Needs no quotes in an address.


@given(place=places, digest=st.binary(min_size=16, max_size=16))
def test_a_cursor_is_of_no_use_with_another_key_or_digest(place: Place, digest: bytes) -> None:
    text = encode_cursor(place, digest, b"key")

    with pytest.raises(InvalidCursorError):
        decode_cursor("after", text, digest, b"other")
    with pytest.raises(InvalidCursorError):
        decode_cursor("after", text, digest[::-1] + b"x", b"key")


@given(place=places, digest=st.binary(min_size=16, max_size=16), key=st.binary(max_size=140))
def test_a_cursor_is_signed_as_rfc_2104_says(place: Place, digest: bytes, key: bytes) -> None:
    raw = base64.urlsafe_b64decode(encode_cursor(place, digest, key))

    assert hmac.digest(key, raw[:25] + digest, "sha256")[:8] == raw[25:]


def test_a_cursor_has_one_spelling() -> None:
    # Which holds a digit of each kind that has two.
    text = encode_cursor(Place(2**62 - 1, UUID(int=2**128 - 1)), b"d" * 16, b"")
    spellings = [
        text.replace("_", "/"),
        text.replace("-", "+"),
        f"{text}=",
        f"{text}====",
        f" {text}",
    ]

    assert text == decode_and_encode(text)
    for other in {*spellings} - {text}:
        with pytest.raises(InvalidCursorError):
            decode_cursor("after", other, b"d" * 16, b"")


def decode_and_encode(text: str) -> str:
    return encode_cursor(decode_cursor("after", text, b"d" * 16, b""), b"d" * 16, b"")


@given(text=st.text(max_size=80))
def test_junk_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursorError, match=r"^after=.*start from its first page") as info:
        decode_cursor("after", text, b"d" * 16, b"")

    assert info.value.value == text


def test_a_cursor_of_another_version_is_refused() -> None:
    text = encode_cursor(Place(1, UUID(int=7)), b"d" * 16, b"")
    raw = bytearray(base64.urlsafe_b64decode(text))
    raw[0] = 2

    with pytest.raises(InvalidCursorError):
        decode_cursor("after", base64.urlsafe_b64encode(raw).decode(), b"d" * 16, b"")
