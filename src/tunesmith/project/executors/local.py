"""Shards in processes of this machine."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from tunesmith.core.errors import Problem, UserError

_AHEAD = 2
"""Shards a worker that are handed out before the first of them is asked for: enough that none waits for work."""


@dataclass(frozen=True)
class Local:
    """Shards in processes of this machine; with one worker, or one shard, in this process.

    Args:
        workers: processes.
    """

    workers: int = 1

    def map(self, function: Callable[[Any], Any], shards: Iterable[Any]) -> Iterator[Any]:
        """See `core.protocols.Executor.map`.

        Processes are started afresh (not forked: libraries with threads of their own do not survive a fork) and ignore
        Ctrl-C, which this process hears: it hands out no further shard, and waits for those under way.

        Raises:
            UserError: a worker died, as it does when the machine runs out of memory.
        """
        waiting = iter(shards)
        first = list(islice(waiting, 2))
        waiting = chain(first, waiting)
        if self.workers <= 1 or len(first) < 2:
            return map(function, waiting)
        return self._in_processes(function, waiting)

    def _in_processes(self, function: Callable[[Any], Any], shards: Iterator[Any]) -> Iterator[Any]:
        context = multiprocessing.get_context("spawn")
        pool = concurrent.futures.ProcessPoolExecutor(self.workers, mp_context=context, initializer=_begin)
        try:
            given = deque(pool.submit(function, shard) for shard in islice(shards, self.workers * _AHEAD))
            while given:
                yield given.popleft().result()
                given.extend(pool.submit(function, shard) for shard in islice(shards, 1))
        except BrokenProcessPool:
            found = f"one of {self.workers} workers died, most likely for want of memory"
            hint = "start with fewer --workers; what was finished is kept, so the same command goes on from there"
            raise UserError(Problem("worker-died", found, hint)) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _begin() -> None:
    """A worker ignores Ctrl-C, and ends when the process that started it has ended, however it did."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker that waits for work would never hear that nobody is left to give it any."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
