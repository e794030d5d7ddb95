"""Which records a command is told about."""

from __future__ import annotations

import pytest

from structlog_activity.cli.arguments import parse
from structlog_activity.read.query import KEYS


@pytest.mark.parametrize("key", KEYS)
def test_the_help_names_each_key_that_a_query_has(
    key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(["feed", "--help"])

    told = " ".join(capsys.readouterr().out.split())
    assert f" {key}" in told.partition("the keys are")[2].partition("options:")[0]
