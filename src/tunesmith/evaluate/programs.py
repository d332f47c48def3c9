"""Other programs that an evaluation starts: garak, a browser."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

SAID = "said.txt"


@contextlib.contextmanager
def started(words: Sequence[str], *, folder: Path, env: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A program in a group of processes of its own, all of which are gone when the block ends.

    Args:
        words: the program and its arguments; no shell reads them.
        folder: where it runs; what it says goes to `SAID` there.
        env: its environment.
    """
    with (folder / SAID).open("wb") as said:
        process = subprocess.Popen(
            list(words),
            cwd=folder,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if sys.platform != "win32":
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    process.kill()
            process.wait()
