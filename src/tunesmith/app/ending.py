"""How a command ends: its exit code, and what is said of an error to people (standard error) or programs (JSON)."""

from __future__ import annotations

import errno
import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

import typer
from rich.console import Console

from tunesmith import __version__
from tunesmith.core.errors import (
    EXIT_GATE,
    EXIT_INTERRUPTED,
    EXIT_OUR_FAULT,
    EXIT_USER_INPUT,
    Problem,
    TunesmithError,
    UserError,
)

_MISUSED: type[Exception] = typer.BadParameter.__bases__[0]
"""Click's error for arguments that are wrong; newer typers bring a click of their own."""

_OF_THE_DISK = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.ENAMETOOLONG,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
    }
)
"""What the disk or its owner refuses; other errors of the system are ours to foresee."""


def ended(command: Callable[[], Any]) -> int:
    """Run a command and return its exit code; no error of the user's leaves a traceback.

    Args:
        command: returns an exit code or None, and raises what it raises.
    """
    try:
        code = command()
    except (KeyboardInterrupt, typer.Abort):
        code = EXIT_INTERRUPTED
    except _MISUSED as error:
        return _misused(error)
    except TunesmithError as error:
        return _told(error)
    except OSError as error:
        return _told(UserError(_refused(error))) if error.errno in _OF_THE_DISK else _confessed(error)
    except Exception as error:
        return _confessed(error)
    if code == EXIT_INTERRUPTED:  # typer makes this code of a Ctrl-C by itself
        _say_to_programs("interrupted", EXIT_INTERRUPTED)
        print("\ninterrupted; what was finished is kept, and the same command goes on from there", file=sys.stderr)
    return int(code or 0)


def _told(error: TunesmithError) -> int:
    problems = error.problems if isinstance(error, UserError) else ()
    if _say_to_programs(str(error), error.exit_code, problems):
        return error.exit_code
    console = Console(stderr=True)
    if problems:
        console.print(f"[red]{len(problems)} problem{'s' if len(problems) > 1 else ''}:[/]")
        for problem in problems:
            console.print(str(problem), markup=False, highlight=False, soft_wrap=True)
    else:
        word = "stopped by a gate" if error.exit_code == EXIT_GATE else "error"
        console.print(f"[red]{word}:[/] ", end="")
        console.print(str(error), markup=False, soft_wrap=True)
    return error.exit_code


def _misused(error: Any) -> int:
    """Arguments that the command does not take."""
    command = error.ctx.command_path if error.ctx else "tunesmith"
    problem = Problem("usage", error.format_message(), f"{command} --help", "command line")
    if not _say_to_programs(str(problem), EXIT_USER_INPUT, (problem,)):
        error.show()
    return EXIT_USER_INPUT


def _refused(error: OSError) -> Problem:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    hint = "free some space, or set TUNESMITH_CACHE to another disk" if full else "choose a place that you may write to"
    return Problem("refused-by-the-disk", error.strerror or str(error), hint, str(error.filename or ""))


def _confessed(error: Exception) -> int:
    """Our fault: the traceback, so that it can be reported, and what to do."""
    traceback.print_exception(error)
    message = f"this is a fault of tunesmith {__version__}, not yours: {type(error).__name__}: {error}"
    _say_to_programs(message, EXIT_OUR_FAULT)
    print(f"{message}\nplease report it with the lines above; finished stages are kept", file=sys.stderr)
    return EXIT_OUR_FAULT


def _say_to_programs(message: str, exit_code: int, problems: tuple[Problem, ...] = ()) -> bool:
    """The error as the one JSON document of `--json`; False where that was not asked for."""
    if "--json" not in sys.argv[1:]:
        return False
    body = {"error": message, "exit_code": exit_code, "problems": [problem.as_dict() for problem in problems]}
    print(json.dumps(body, ensure_ascii=False, indent=2))
    return True
