"""
The command line: ``structlog-activity`` or ``python -m structlog_activity``.
"""

from __future__ import annotations

import os
import sys

from collections.abc import Sequence

from ..errors import ActivityError, RepositoryError, SchemaError
from .arguments import parse
from .codes import BROKEN_PIPE, INTERRUPTED, SCHEMA, UNREACHABLE, USAGE
from .progress import say


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
    options = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
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
    return UNREACHABLE if isinstance(error, RepositoryError) else USAGE


def _drop_output() -> None:
    # Python would try again to write what is left, and complain, at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
