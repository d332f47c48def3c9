"""Shards on a Ray cluster."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import ray

_AHEAD = 2


@dataclass(frozen=True)
class Ray:
    """Shards as tasks of a Ray cluster.

    The cluster is the one that the environment variable RAY_ADDRESS names; without it, one of this machine is started
    for the length of the work. Every node must see the project folder under the same path, and has tunesmith installed.

    Args:
        workers: tasks that run at the same time.
    """

    workers: int = 1

    def map(self, function: Callable[[Any], Any], shards: Iterable[Any]) -> Iterator[Any]:
        """See `core.protocols.Executor.map`."""
        with _cluster(self.workers):
            work = ray.remote(num_cpus=1, max_retries=0)(function_on)
            waiting = iter(shards)
            given = deque(work.remote(function, shard) for shard in islice(waiting, self.workers * _AHEAD))
            try:
                while given:
                    yield _result(given.popleft())
                    given.extend(work.remote(function, shard) for shard in islice(waiting, 1))
            finally:
                for task in given:
                    ray.cancel(task)


def function_on(function: Callable[[Any], Any], shard: Any) -> Any:
    """`function(shard)`; a function of this module, so that a cluster finds it by name."""
    return function(shard)


def _result(task: Any) -> Any:
    """What the task gave; what it raised is raised as it was, not wrapped into Ray's own error."""
    try:
        return ray.get(task)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None


@contextlib.contextmanager
def _cluster(workers: int) -> Iterator[None]:
    """Joined for the length of the block, unless this process had joined before."""
    if ray.is_initialized():
        yield
        return
    settings: dict[str, Any] = {"log_to_driver": False}
    if not os.environ.get("RAY_ADDRESS"):
        modules = {"PYTHONPATH": os.pathsep.join(sys.path)}  # a cluster of this machine finds what this process finds
        settings |= {"num_cpus": workers, "include_dashboard": False, "runtime_env": {"env_vars": modules}}
    ray.init(**settings)
    try:
        yield
    finally:
        ray.shutdown()
