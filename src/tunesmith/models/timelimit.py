"""A time limit for Python code that others wrote, in any thread, for microseconds a use."""

from __future__ import annotations

import contextlib
import ctypes
import threading
import time
from collections.abc import Iterator

_POLL_SECONDS = 0.2


class _Watchdog:
    """One thread that interrupts whoever stays in a `time_limit` block too long; ends when nobody is in one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._deadlines: dict[int, float] = {}
        self._thread: threading.Thread | None = None

    def begin(self, ident: int, seconds: float) -> None:
        with self._lock:
            self._deadlines[ident] = time.monotonic() + seconds
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="tunesmith-time-limit", daemon=True)
                self._thread.start()

    def end(self, ident: int) -> bool:
        """Whether the block of thread `ident` had run out of time."""
        with self._lock:
            return self._deadlines.pop(ident, None) is None

    def _watch(self) -> None:
        while True:
            time.sleep(_POLL_SECONDS)
            with self._lock:
                if not self._deadlines:
                    self._thread = None
                    return
                now = time.monotonic()
                for ident in [i for i, deadline in self._deadlines.items() if deadline < now]:
                    del self._deadlines[ident]
                    _interrupt(ident, TimeoutError)


_WATCHDOG = _Watchdog()


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the block once it has run for `seconds` (0.2 s late at most).

    The error comes between two bytecodes: a single call into C that does not return is not interrupted. Not nested.
    """
    ident = threading.get_ident()
    _WATCHDOG.begin(ident, seconds)
    try:
        yield
    finally:
        expired = _WATCHDOG.end(ident)
    if expired:
        # The block ended while its interruption was on the way: take it back, so that it cannot strike later.
        _interrupt(ident, None)
        raise TimeoutError


def _interrupt(ident: int, error: type[BaseException] | None) -> None:
    what = ctypes.py_object(error) if error is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), what)
