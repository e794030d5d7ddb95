"""
What the database refuses is kept, where a person finds it.
"""

from __future__ import annotations

import json
import os
import stat

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from structlog_activity.write.deadletters import DeadLetter, LettersInFolder, LettersInMemory
from tests.write.doubles import numbers, row


AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def letter(number: int = 1, reason: str = "refused: CheckViolation (23514)") -> DeadLetter:
    return DeadLetter(row(number, data='{"a": 1e-07, "ü": "\\n"}'), reason, AT)


@pytest.fixture
def letters(tmp_path: Path) -> LettersInFolder:
    return LettersInFolder(tmp_path / "spool" / "dead", most=3)


def test_a_letter_comes_back_as_it_was(letters: LettersInFolder) -> None:
    assert letters.add(letter())
    assert list(letters) == [letter()]
    assert letters.get(letter().name) == letter()


def test_a_record_that_is_refused_twice_has_one_letter(letters: LettersInFolder) -> None:
    letters.add(letter())
    letters.add(replace(letter(), reason="another"))
    assert [found.reason for found in letters] == ["another"]


def test_letters_beyond_the_bound_are_not_taken(letters: LettersInFolder) -> None:
    assert [letters.add(letter(number)) for number in range(5)] == [True] * 3 + [False] * 2
    assert letters.add(letter(1)), "one that is there already needs no room"
    assert letters.remove(letter(0).name)
    assert letters.add(letter(4))
    assert numbers([found.row for found in letters]) == [1, 2, 4]


def test_removing_tells_whether_it_was_there(letters: LettersInFolder) -> None:
    letters.add(letter())
    assert letters.remove(letter().name) is True
    assert letters.remove(letter().name) is False
    assert letters.names() == []


def test_only_the_owner_may_read_letters(letters: LettersInFolder) -> None:
    before = os.umask(0)
    try:
        letters.add(letter())
    finally:
        os.umask(before)
    (file,) = letters.folder.iterdir()
    assert stat.S_IMODE(letters.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "{", "[]", '{"row": {}}', '{"row": 1, "reason": "x"}'])
def test_a_file_that_is_no_letter_hides_no_other(letters: LettersInFolder, content: str) -> None:
    letters.add(letter())
    (letters.folder / "00.json").write_text(content)
    assert list(letters) == [letter()]
    with pytest.raises(ValueError, match=r"no dead letter|Expecting"):
        letters.get("00")


def test_a_folder_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    letters = LettersInFolder(tmp_path / "file" / "dead")
    assert letters.add(letter()) is False
    assert list(letters) == []


def test_half_a_letter_is_never_seen(
    letters: LettersInFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert letters.add(letter()) is False
    assert list(letters.folder.iterdir()) == []


def test_a_letter_is_json_that_a_person_can_read(letters: LettersInFolder) -> None:
    letters.add(letter())
    (file,) = letters.folder.iterdir()
    found = json.loads(file.read_text())
    assert found["row"]["verb"] == "settings.updated"
    assert found["reason"] == "refused: CheckViolation (23514)"
    assert found["at"] == "2026-01-02T03:04:05+00:00"


def test_memory_keeps_the_last_thousand() -> None:
    letters = LettersInMemory()
    assert all(letters.add(letter(number)) for number in range(1200))
    assert numbers([found.row for found in letters]) == [*range(200, 1200)]
