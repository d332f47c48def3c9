"""Shards on a Ray cluster."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import ray

from tunesmith.core.errors import Problem, UserError

_AHEAD = 2
_ATTEMPTS = 3
_STORE_BYTES = 100_000_000
"""What a cluster of this machine holds of results, which are small; Ray itself would take a third of the memory."""


@dataclass(frozen=True)
class Ray:
    """Shards as tasks of a Ray cluster.

    The cluster is the one that the environment variable RAY_ADDRESS names; without it, one of this machine is started
    at the first use, and ends with this process. Every node must see the project folder under the same path, and has
    tunesmith installed.

    Args:
        workers: tasks that run at the same time.
    """

    workers: int = 1

    def map(self, function: Callable[[Any], Any], shards: Iterable[Any]) -> Iterator[Any]:
        """See `core.protocols.Executor.map`.

        Raises:
            UserError: there is no cluster, or a worker died.
        """
        _join(self.workers)
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
    except ray.exceptions.RayError as error:
        found = f"a worker of the Ray cluster died: {str(error).splitlines()[0]}"
        hint = "start with fewer --workers; what was finished is kept, so the same command goes on from there"
        raise UserError(Problem("worker-died", found, hint)) from None


def _join(workers: int) -> None:
    """Join the cluster, or start one; one that this process started with fewer processors is started anew.

    Ray gives its own processes 30 s to come up, which a busy machine may not keep: then it is tried again.
    """
    named = bool(os.environ.get("RAY_ADDRESS"))
    if ray.is_initialized():
        if named or ray.cluster_resources().get("CPU", 0) >= workers:
            return
        ray.shutdown()
    settings: dict[str, Any] = {"log_to_driver": False}
    if not named:
        modules = {"PYTHONPATH": os.pathsep.join(sys.path)}  # a cluster of this machine finds what this process finds
        settings |= {"num_cpus": workers, "include_dashboard": False, "object_store_memory": _STORE_BYTES}
        settings |= {"runtime_env": {"env_vars": modules}}
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            ray.init(**settings)
            return
        except Exception as error:  # Ray raises a plain Exception where its processes are late
            ray.shutdown()
            if named or attempt == _ATTEMPTS:
                raise UserError(_no_cluster(named, error)) from None


def _no_cluster(named: bool, error: Exception) -> Problem:
    if named:
        found = f"no Ray cluster answers at {os.environ['RAY_ADDRESS']}: {error}"
        return Problem("no-cluster", found, "see `ray status`, or unset RAY_ADDRESS for a cluster of this machine")
    found = f"no Ray cluster came up on this machine in {_ATTEMPTS} attempts: {error}"
    return Problem("no-cluster", found, "leave out --executor ray, or start one: `ray start --head`, RAY_ADDRESS=auto")
