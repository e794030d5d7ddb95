"""
The command line: ``structlog-activity`` or ``python -m structlog_activity``.
"""

from __future__ import annotations

import os
import sys

from collections.abc import Sequence

from ..errors import InvalidFilterError, RepositoryError, SchemaError
from .arguments import make_parser
from .progress import say


OK, FINDINGS, USAGE, UNREACHABLE, SCHEMA, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 3, 4, 130, 141


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
    options = make_parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except InvalidFilterError as error:
        return _failed(error, USAGE)
    except SchemaError as error:
        return _failed(error, SCHEMA)
    except RepositoryError as error:
        return _failed(error, UNREACHABLE)
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader went away. Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return code


def _failed(error: Exception, code: int) -> int:
    say(f"error: {error}")
    return code
