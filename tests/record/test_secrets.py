"""
Secrets within texts are known by their looks, and nothing else is touched.
"""

from __future__ import annotations

import re

from typing import Any
from uuid import UUID

import pytest

from hypothesis import given
from hypothesis import strategies as st

from structlog_activity.record.redact import DROPPED, FAILED, Redactor
from structlog_activity.record.secrets import LOOKS, OPTIONAL, may_hold_secret
from tests.record.hostile import LIMIT, cost


PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIBOgIBAAJBAKj34GkxFhD9\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
AWS = "AKIA" + "IOSFODNN7EXAMPLE"
GITHUB = "ghp_" + "a1B2" * 9
SLACK = "xoxb-" + "123456789012-abcdefABCDEF"
STRIPE = "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc"
GOOGLE = "AIza" + "SyA-1234567890abcdefghijklmnopqrstuv"
HASH_KEY = b"sixteen bytes or"

SECRETS = {
    f"key: {PEM} end": f"key: {PEM[:31]}[redacted]{PEM[-29:]} end",
    PEM[:60]: f"{PEM[:31]}[redacted]",
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\nlQ": "-----BEGIN PGP PRIVATE KEY BLOCK-----[redacted]",
    "to postgresql://app:hun%zzter2@db:5432/app": "to postgresql://app:[redacted]@db:5432/app",
    "redis://:s3cret@cache": "redis://:[redacted]@cache",
    "smtp://ana@example.org:s3cret@mail": "smtp://ana@example.org:[redacted]@mail",
    "amqp://u:p@ss@mq/vhost": "amqp://u:[redacted]@mq/vhost",
    "http://u:pa/ss@host/x": "http://u:[redacted]@host/x",
    f"sent {JWT} twice": "sent [redacted] twice",
    f"token:{JWT}": "token:[redacted]",
    f"x{JWT}": "x[redacted]",
    "no signature: eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.": "no signature: [redacted]",
    "eyJhbGci.abcd": "[redacted]",
    "Authorization: Bearer abc123def456": "Authorization: Bearer [redacted]",
    "authorization: basic dXNlcjpwYXNz": "authorization: basic [redacted]",
    "BEARER abcdefghijklmnopqrstuvwxyz": "BEARER [redacted]",
    "Token 9944b09199c62bcf9418ad846dd0e4bb": "Token [redacted]",
    "token abcdefghijklmnop": "token [redacted]",
    "token ABcdefghij": "token [redacted]",
    f"key {AWS}.": "key [redacted].",
    f"key {AWS.replace('AKIA', 'ASIA')}": "key [redacted]",
    f"push with {GITHUB}": "push with [redacted]",
    "github_pat_11AAAAAAA0aBcDeFgHiJkL": "[redacted]",
    f"bot {SLACK}": "bot [redacted]",
    f"pay {STRIPE}": "pay [redacted]",
    f"map {GOOGLE}": "map [redacted]",
    # Nothing else in these makes them worth a look.
    "map AIzaSyAbCdEfGhIjKlMnOpQrStUvWxYzAbCdEf": "map [redacted]",
    "bot xoxp-abcdefgh": "bot [redacted]",
    "app xapp-abcdefgh": "app [redacted]",
    "sent apikey abc-DEF-ghi": "sent apikey [redacted]",
    "Api-Key\tabc-DEF-ghi": "Api-Key\t[redacted]",
    "pin=1234": "pin=[redacted]",
    "GET /a?token=abcdef&page=2": "GET /a?token=[redacted]&page=2",
    "https://x.org/?a=1&api_key=K;b=2": "https://x.org/?a=1&api_key=[redacted];b=2",
    "host=db user=app password=hunter2": "host=db user=app password=[redacted]",
    "user[password]=hunter2": "user[password]=[redacted]",
    "password='hun ter2' x": "password=[redacted] x",
    '{"u": "b", "password": "hun\\"ter2", "n": 1}': '{"u": "b", "password": "[redacted]", "n": 1}',
    '{"password":"hunter2': '{"password":"[redacted]',
    '{"pin": 1234, "n": 5}': '{"pin": [redacted], "n": 5}',
    "{'password': 'hunter2'}": "{'password': '[redacted]'}",
    '"{\\"client_secret\\": \\"abcdef\\"}"': '"{\\"client_secret\\": \\"[redacted]\\"}"',
    "card 4111111111111111 ok": "card [pan *1111] ok",
    "4111 1111 1111 1111": "[pan *1111]",
    "5500-0000-0000-0004,": "[pan *0004],",
    "amex 3782 822463 10005": "amex [pan *0005]",
    "mc 2223003122003222": "mc [pan *3222]",
    "pan=4111111111111111 x": "pan=[redacted] x",
}

HARMLESS = [
    "",
    "a theme was changed",
    "4bcd1111-4111-4111-8111-411111111111",
    "44444444-4444-4444-4444-444444444444",
    str(UUID(int=0x41111111111111114111111111111111)),
    "41111111111111114111111111111111",
    "1700000000000000000",
    "20260102030405060",
    "4111111111111112",
    "0.4111111111111111",
    "+4111111111111111",
    "a4111111111111111",
    "1234-5678-9012-3456",
    "https://example.org:8080/a@b",
    "http://[::1]:80/",
    "http://ana@example.org:80/x@y",
    "mail bob@example.org",
    "the bearer certificates",
    "basic training",
    "token expired",
    "token congratulations",
    "a == b",
    "count=3&page=2",
    '{"name": "bob", "token_count": 5}',
    '{"password": null}',
    "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
    "eyJ",
    "eyJhbGc.abcdefgh",
    "eyJhbGciOiJIUzI1NiJ9.abc",
    "monkey_live_show",
    "base64:" + "QUJD" * 200 + "==",
    "xox",
    "AKIA",
]


@pytest.mark.parametrize("text", SECRETS, ids=range(len(SECRETS)))
def test_a_secret_within_a_text_is_replaced_and_nothing_else(text: str) -> None:
    assert Redactor().cleaned("note", text) == SECRETS[text]


@pytest.mark.parametrize("text", HARMLESS)
def test_a_text_without_a_secret_stays_as_it_is(text: str) -> None:
    assert Redactor().cleaned("note", text) == text


@pytest.mark.parametrize("text", SECRETS, ids=range(len(SECRETS)))
def test_what_was_redacted_once_stays_as_it_is(text: str) -> None:
    assert Redactor().cleaned("note", SECRETS[text]) == SECRETS[text]


@pytest.mark.parametrize("text", SECRETS, ids=range(len(SECRETS)))
def test_the_gate_lets_no_secret_pass(text: str) -> None:
    assert may_hold_secret(text)


@pytest.mark.parametrize(
    "key", ["id", "uid", "uuids", "order_id", "orderId", "user-ids", "orderIDs", "x.id"]
)
def test_a_number_under_the_name_of_an_id_is_no_card(key: str) -> None:
    assert Redactor().cleaned(key, "4111111111111111") == "4111111111111111"
    for other in ("paid", "grid", "IDX", "idea"):
        assert Redactor().cleaned(other, "4111111111111111") == "[pan *1111]"
    assert Redactor().cleaned(key, "card 4111111111111111") == "card [pan *1111]"


def card(beginning: str, length: int) -> str:
    """A number of so many digits whose last one is right."""
    number = beginning.ljust(length - 1, "0")
    doubled = [int(digit) * (2 - place % 2) for place, digit in enumerate(reversed(number))]
    return f"{number}{-sum(sum(divmod(one, 10)) for one in doubled) % 10}"


@pytest.mark.parametrize(
    ("lengths", "beginnings"),
    [
        ({13, 16, 19}, ["4", "42"]),
        ({14}, ["30", "39"]),
        ({15}, ["34", "37"]),
        ({16, 17, 18, 19}, ["35"]),
        ({14, 16, 17, 18, 19}, ["36", "38"]),
        ({13, 14, 15, 16, 17, 18, 19}, ["50", "56", "62", "69"]),
        ({16}, ["51", "55", "2221", "2500", "2720"]),
        (set(), ["2220", "2721", "31"]),
    ],
)
def test_a_card_begins_as_issuers_say_and_has_as_many_digits(
    lengths: set[int], beginnings: list[str]
) -> None:
    for beginning in beginnings:
        numbers = {length: card(beginning, length) for length in range(13, 20)}

        assert lengths == {
            length
            for length, number in numbers.items()
            if Redactor().cleaned("note", number) == f"[pan *{number[-4:]}]"
        }


@pytest.mark.parametrize("name", [*LOOKS, *OPTIONAL])
def test_each_look_can_be_told_to_keep_what_it_finds(name: str) -> None:
    personal = "a@b.org DE89 3704 0044 0532 0130 00 10.1.2.3 +49 171 1234567"
    text = " ".join([personal, *(secret for secret in SECRETS if "BEGIN" not in secret), PEM])

    all_but_one = Redactor(values={**dict.fromkeys(OPTIONAL, "mask"), name: "keep"})

    everything = Redactor(values=dict.fromkeys(OPTIONAL, "mask"))
    assert all_but_one.cleaned("", text) != everything.cleaned("", text)


def test_personal_data_is_left_alone_unless_asked_for() -> None:
    text = "a@b.org, DE89 3704 0044 0532 0130 00, 10.1.2.3, +49 171 1234567"

    assert Redactor().cleaned("", text) == text
    everything = Redactor(values=dict.fromkeys(OPTIONAL, "mask"))
    assert everything.cleaned("", text) == ", ".join(["[redacted]"] * 4)


@pytest.mark.parametrize("text", SECRETS, ids=range(len(SECRETS)))
def test_no_text_is_looked_into_where_that_is_switched_off(text: str) -> None:
    assert Redactor(values=False).cleaned("", text) == text


def test_a_look_of_the_hosts_own_is_added() -> None:
    redactor = Redactor(patterns={"badge": r"B-\d{4}", "name": re.compile("bob", re.IGNORECASE)})

    assert redactor.cleaned("", "badge B-1234 of Bob") == "badge [redacted] of [redacted]"
    assert redactor.cleaned("", JWT) == "[redacted]"


@pytest.mark.parametrize(
    "options",
    [
        {"patterns": {"badge": "B-1234"}, "values": {"jwt": "keep"}},
        {"patterns": {"badge": "B-1234"}, "values": False},
        {"patterns": {"jwt": "B-1234"}},
        {"values": {"jwt": "keep", "phone": "mask"}},
    ],
    ids=["own for another", "own alone", "own under a name of ours", "optional for another"],
)
def test_an_added_look_finds_what_has_no_mark_of_ours(options: dict[str, Any]) -> None:
    text = "badge B-1234" if "patterns" in options else "badge +49 171 1234567"

    assert Redactor(**options).cleaned("", text) == "badge [redacted]"


def test_a_secret_within_a_text_may_be_dropped_hashed_or_told_by_a_function() -> None:
    redactor = Redactor(
        values={"card": "drop", "jwt": "hash", "aws": lambda name, text: f"<{name} {text[-2:]}>"},
        hash_key=HASH_KEY,
    )

    assert redactor.cleaned("", "a 4111111111111111 b") == "a  b"
    assert redactor.cleaned("", JWT) == redactor.hashed(JWT)
    assert redactor.cleaned("", AWS) == "<aws LE>"


def test_a_value_that_a_text_gives_to_a_name_meets_the_mode_of_the_name() -> None:
    redactor = Redactor(
        keys={"email": "hash", "session": "keep", "phone": lambda key, value: f"<{key} {value}>"},
        hash_key=HASH_KEY,
    )

    actual = redactor.cleaned("", "email=bob&session=5&token=x&phone=7")

    assert actual == f"email={redactor.hashed('bob')}&session=5&token=[redacted]&phone=<phone 7>"


def test_what_is_too_long_for_a_name_is_given_no_value() -> None:
    for length, stored in ((64, "[redacted]"), (65, "abc")):
        name = "token".rjust(length, "x")
        redactor = Redactor(stems=["token"])

        assert redactor.cleaned("", f"{name}=abc") == f"{name}={stored}"


def test_equal_values_have_equal_hashes_that_depend_on_the_key() -> None:
    one, other = (Redactor(hash_key=key) for key in (HASH_KEY, HASH_KEY[::-1]))

    assert one.hashed("bob") == one.hashed("bob")
    assert len({one.hashed("bob"), one.hashed("bop"), other.hashed("bob")}) == 3
    assert re.fullmatch(r"\[hmac [0-9a-f]{16}\]", one.hashed({"a": [1]}))
    assert one.hashed({"a": 1, "b": 2}) == one.hashed({"b": 2, "a": 1})


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ("[hmac 9e4f81427f2c1714]", "bob"),
        ("[hmac 9d5f77ead2e05ec2]", "é"),
        ("[hmac dbdc808b83a8084e]", "\ud800"),
        ("[hmac 86c8219f2cf47d89]", {"b": 1, "a": 2}),
    ],
    ids=["text", "beyond ASCII", "surrogate", "object"],
)
def test_a_hash_never_changes(expected: str, value: object) -> None:
    """Values are still found that an older version hashed."""
    assert Redactor(hash_key=HASH_KEY).hashed(value) == expected


def test_without_a_key_nothing_is_hashed() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Redactor().hashed("bob")


def test_a_function_that_fails_costs_the_value_and_is_counted() -> None:
    def fail(key: str, value: object) -> object:
        raise ZeroDivisionError

    redactor = Redactor(keys={"email": fail}, values={"jwt": fail, "aws": lambda *_: 5})

    assert redactor.hidden("email", "bob") == FAILED
    assert redactor.cleaned("", f"{JWT} {AWS}") == f"{FAILED} {FAILED}"
    assert redactor.failures == 3


def test_hidden_values_are_dropped_where_the_mode_says_so() -> None:
    redactor = Redactor(mode="drop", keys={"note": "mask"})

    assert redactor.hidden("password", "x") is DROPPED
    assert redactor.hidden("note", "x") == "[redacted]"


@pytest.mark.parametrize(
    ("problem", "options"),
    [
        ("mode='blur': use mask, drop", {"mode": "blur"}),
        ("keys['email']='hash': needs hash_key=", {"keys": {"email": "hash"}}),
        ("values['jwt']='hash': needs hash_key=", {"values": {"jwt": "hash"}}),
        ("values['passport']: is no look; use one of pem, url,", {"values": {"passport": "mask"}}),
        ("hash_key: 16 bytes", {"hash_key": b"short"}),
        ("hash_key: 16 bytes", {"hash_key": b"x"}),
        ("hash_key: 16 bytes", {"hash_key": "sixteen letters!"}),
    ],
)
def test_an_option_without_sense_is_refused_by_its_name(
    problem: str, options: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}"):
        Redactor(**options)  # type: ignore[arg-type]


def test_which_keys_may_be_stored_is_told_by_the_longest_fitting_verb() -> None:
    redactor = Redactor(allow={"a.*": ["x"], "a.b.*": ["y"], "a.b.c": ["z"], "free.*": ["*"]})

    assert redactor.allowed("a.q") == frozenset("x")
    assert redactor.allowed("a.b.q") == frozenset("y")
    assert redactor.allowed("a.b.c") == frozenset("z")
    assert redactor.allowed("free.x") is None
    assert redactor.allowed("other") == redactor.allowed("ab.q") == frozenset()
    assert Redactor(allow={"a.*": ["x"], "a.#1": ["z"]}).allowed("a.#1") == frozenset("z")
    assert Redactor().allowed("other") is None


def test_a_secret_that_is_a_key_itself_is_replaced_too() -> None:
    assert Redactor().cleaned_key("4111111111111111") == "[pan *1111]"
    assert Redactor().cleaned_key(AWS) == "[redacted]"


ADVERSARIAL = [
    "eyJ", "eyJ.", "://a:", "://", "a=", "token=", '"a":', '\\"', "\\", "'", "-----BEGIN ",
    "-----BEGIN PRIVATE KEY-----", "4111 ", "4-", "4", "411111111111111 ", "Bearer ", "ghp_",
    "github_pat_", "xoxb-", "AKIA", "a.", "a@", "+1 2", "1.1.", "AA11", "Bearer\t", "://a:b",
    "'password': '", '"password": "\\', '\\\\\\"',
    "sk_live_", "AIza", "-", " ", "[", "%5D=", "a:b@",
]  # fmt: skip


@pytest.mark.parametrize("piece", ADVERSARIAL)
def test_no_text_costs_much(piece: str) -> None:
    text = (piece * 8192)[:8192]
    redactor = Redactor(values=dict.fromkeys(OPTIONAL, "mask"))

    assert cost(lambda: redactor.cleaned("note", text)) < LIMIT
    assert cost(lambda: redactor.cleaned("note", f"{text}!")) < LIMIT


@given(st.text(max_size=300))
def test_any_text_is_cleaned_and_stays_clean(text: str) -> None:
    redactor = Redactor()
    once = redactor.cleaned("note", text)

    assert redactor.cleaned("note", once) == once


@given(st.text(max_size=40), st.sampled_from([JWT, AWS, GITHUB, SLACK, STRIPE, GOOGLE]))
def test_a_token_is_found_behind_anything(before: str, token: str) -> None:
    assert token not in Redactor().cleaned("note", f"{before}{token} after")
