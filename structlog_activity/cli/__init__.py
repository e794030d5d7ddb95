"""
The command line: ``structlog-activity`` or ``python -m structlog_activity``.
"""

from __future__ import annotations

import os
import sys

from collections.abc import Sequence
from typing import TextIO

from ..errors import ActivityError, RepositoryError, SchemaError
from .arguments import parse
from .codes import BROKEN_PIPE, INTERRUPTED, SCHEMA, UNREACHABLE, USAGE
from .progress import flush_output, say


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run a command and return its exit code.

    0 is success, 1 findings (nothing could be used of what was read), 2 a mistake
    in the command line or its input, 3 a database that can't be reached or
    refuses, 4 a schema that does not fit, 130 an interruption.

    Args:

        arguments: The command line without the program's name; default is that
            of this process.
    """
    _replace_closed_streams()
    options = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        code: int = options.run(options)
        flush_output()
    except ActivityError as error:
        say(f"error: {error}")
        return _code_of(error)
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # The reader went away.
        _drop_output()
        return BROKEN_PIPE
    except OSError as error:
        if error.filename is None:
            _drop_output()
        say(f"error: {error.filename or 'standard output'} can't be used: {error.strerror}")
        return USAGE
    return code


def _code_of(error: ActivityError) -> int:
    if isinstance(error, SchemaError):
        return SCHEMA
    # What a command line asks for may also be refused by the log, as a filter is.
    return UNREACHABLE if isinstance(error, RepositoryError) else USAGE


def _replace_closed_streams() -> None:
    """Make an output that the caller closed, as ``>&-`` does, one that nothing else takes."""
    # Else the next file gets its number. And `print` takes no stderr for stdout.
    if sys.stdout is None:
        sys.stdout = _null(1, os.O_RDONLY)  # Whoever writes to it, is told so.
    if sys.stderr is None:
        sys.stderr = _null(2, os.O_WRONLY)


def _null(number: int, flags: int) -> TextIO:
    null = os.open(os.devnull, flags)
    if null != number:
        os.dup2(null, number)
        os.close(null)
    return open(number, "w", encoding="utf-8")


def _drop_output() -> None:
    # Python would try again to write what is left, and complain, at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
