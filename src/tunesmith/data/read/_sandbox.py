"""Documents of others are parsed in a process of their own: what hangs, crashes or swells there is told, and over.

The child may not write a file, has a limit of memory and of processor time for each document, and is started anew after
a document that killed it. Both sides talk in length-prefixed JSON over a pipe: what comes back from a process that a
hostile document may have taken over is data, never objects.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

from tunesmith.core.errors import MissingLibrary, Problem, shorten
from tunesmith.core.shelf import Shelf

FORMATS = Shelf("formats", "tunesmith.data.formats")
MEMORY_MB = 1024
"""What a document may take beyond what the parser's own code has: enough for 50 MB files of every format."""
_START_SECONDS = 60.0
_PATIENCE = 10.0
"""Wall time over processor time at which a document is given up: other programs may keep the processor busy."""
_COMMAND = (sys.executable, "-m", __name__)
_LONGEST_FRAME = 256_000_000


class Unreadable(Exception):
    """A document that cannot be read: `reason` in kebab-case, `detail` for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Sandbox:
    """A child process that parses one document after the other."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._line: Connection | None = None

    def frames(self, job: dict[str, Any], content: bytes, *, seconds: float) -> Iterator[Any]:
        """What the child makes of `content`, as it comes.

        Args:
            job: `{"format": NAME}` for the pieces of a document, or `{"rows": True}` for the rows of a workbook.
            content: the document.
            seconds: processor time that it may take.

        Raises:
            Unreadable: the parser refused it (`broken-document`), or it took too much (`took-too-long`,
                `took-too-much-memory`), or killed the parser (`crashed-parser`).
            UserError: a library that the format needs is not installed.
        """
        line = self._started(job)
        try:
            line.send_bytes(json.dumps({"seconds": seconds}).encode())
            line.send_bytes(content)
            while True:
                if not line.poll(seconds * _PATIENCE + _PATIENCE):
                    raise Unreadable("took-too-long", _too_long(seconds))
                told = json.loads(line.recv_bytes(_LONGEST_FRAME))
                if "end" in told:
                    return
                if "reason" in told:
                    raise Unreadable(str(told["reason"]), shorten(str(told["detail"]), width=200))
                yield told["piece"]
        except (EOFError, OSError):
            raise self._death(seconds) from None
        except BaseException as error:
            if not isinstance(error, Unreadable) or error.reason == "took-too-long":
                self.close()
            raise

    def close(self) -> None:
        """End the child, if there is one."""
        if self._line is not None:
            self._line.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._line = None

    def _started(self, job: dict[str, Any]) -> Connection:
        """A child that has loaded what the job needs, which counts for no document's time."""
        if self._line is None or self._process is None or self._process.poll() is not None:
            self.close()
            ours, theirs = Pipe()
            with theirs:
                self._process = subprocess.Popen(
                    [*_COMMAND, str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore"},
                )
            self._line = ours
        try:
            self._line.send_bytes(json.dumps(job).encode())
            told = json.loads(self._line.recv_bytes()) if self._line.poll(_START_SECONDS) else {"detail": "no answer"}
        except (EOFError, OSError):
            raise self._death(_START_SECONDS) from None
        if "ready" not in told:
            self.close()
            raise Unreadable("crashed-parser", f"the parser could not be started: {told.get('detail')}")
        if told["missing"]:
            what = f"documents of this kind need the library '{told['missing']}', which is not installed"
            raise MissingLibrary(Problem("needs-library", what, "pip install 'tunesmith[documents]'"))
        return self._line

    def _death(self, seconds: float) -> Unreadable:
        """Why the child is gone."""
        code = self._process.wait() if self._process is not None else 0
        self.close()
        if code == -signal.SIGPROF:
            return Unreadable("took-too-long", _too_long(seconds))
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return Unreadable("crashed-parser", f"the parser died of it ({how})")


def _too_long(seconds: float) -> str:
    return f"more than {seconds:g} s of processor time (`seconds`)"


_SANDBOX = Sandbox()
atexit.register(_SANDBOX.close)


def pieces_of(name: str, content: bytes, *, seconds: float) -> list[tuple[int | None, str]]:
    """The pieces of a document in the format `name`; within limits where the format is a risky one.

    Raises:
        Unreadable: it cannot be read as a whole; a document is taken whole or not at all.
        UserError: a library that the format needs is not installed.
    """
    component = FORMATS.build(name)
    if component.risky:
        return [(number, text) for number, text in _SANDBOX.frames({"format": name}, content, seconds=seconds)]
    try:
        return list(component.pieces(content))
    except ValueError as error:
        raise Unreadable("broken-document", str(error)) from None


def sheet_rows(content: bytes, *, seconds: float) -> Iterator[tuple[str, int, list[Any]]]:
    """(sheet, row, cells) of every row of a workbook, headers too; raises like `pieces_of`."""
    yield from _SANDBOX.frames({"rows": True}, content, seconds=seconds)


# -- the child ------------------------------------------------------------------------------------------------------


def serve(descriptor: int) -> None:
    """Parse what comes until the line ends."""
    line = Connection(descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    with contextlib.suppress(EOFError, OSError):
        while True:
            job = json.loads(line.recv_bytes())
            _say(line, {"ready": True, "missing": _loaded(job)})
            seconds = json.loads(line.recv_bytes())["seconds"]
            content = line.recv_bytes()
            try:
                with _limits(seconds):
                    for piece in _made(job, content):
                        _say(line, {"piece": piece})
                told: dict[str, Any] = {"end": True}
            except MemoryError:
                told = {"reason": "took-too-much-memory", "detail": f"more than {MEMORY_MB:,} MB while it was parsed"}
            except Exception as error:  # a parser of others may raise anything at all
                told = {"reason": "broken-document", "detail": f"{error}" or type(error).__name__}
            _say(line, told)


def _loaded(job: dict[str, Any]) -> str:
    """Bring in the format's library with a document of no bytes; the name of the library where it is missing."""
    try:
        list(_made(job, b""))
    except ModuleNotFoundError as error:
        return error.name or ""
    except Exception:  # a parser of others may raise anything at all
        pass
    return ""


def _made(job: dict[str, Any], content: bytes) -> Iterator[Any]:
    if "rows" in job:
        from tunesmith.data.formats._sheets import sheet_rows as rows_of

        yield from rows_of(content)
        return
    for number, text in FORMATS.build(job["format"]).pieces(content):
        yield number, text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


@contextlib.contextmanager
def _limits(seconds: float) -> Iterator[None]:
    """Processor time by a timer that kills; memory by what the system refuses to give."""
    pages = Path("/proc/self/statm")
    held = int(pages.read_text().split()[0]) * resource.getpagesize() if pages.exists() else 0
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY_MB * 1_000_000, hard))
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def _say(line: Connection, told: dict[str, Any]) -> None:
    line.send_bytes(json.dumps(told).encode())


if __name__ == "__main__":
    serve(int(sys.argv[1]))
