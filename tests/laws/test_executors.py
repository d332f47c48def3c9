"""What every executor on the shelf promises: where a shard is worked on never shows."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.protocols import Executor, Here
from tunesmith.core.shelf import Shelf

EXECUTORS = Shelf("executors", "tunesmith.project.executors")


def executors() -> Iterator[Any]:
    yield pytest.param("here", id="here")
    for name in EXECUTORS.names():
        marks = []
        if name == "ray":
            missing = importlib.util.find_spec("ray") is None
            marks.append(pytest.mark.skipif(missing, reason="needs the extra: pip install 'tunesmith[ray]'"))
            marks.append(pytest.mark.slow)
            marks.append(pytest.mark.filterwarnings("ignore"))  # its processes outlive the objects that started them
        yield pytest.param(name, id=name, marks=marks)


@pytest.fixture(scope="module", autouse=True)
def no_cluster_left() -> Iterator[None]:
    """A cluster of Ray's is started once for the tests of this file, and ends with them."""
    yield
    if "ray" in sys.modules:
        sys.modules["ray"].shutdown()


@pytest.fixture(params=executors())
def executor(request: pytest.FixtureRequest) -> Executor:
    built: Executor = Here() if request.param == "here" else EXECUTORS.build({"use": request.param, "workers": 2})
    return built


def slowest_first(add: int, shard: int) -> int:
    """The first shards take longest, so whoever gave results as they come would turn the order round."""
    time.sleep(0.05 * max(0, 3 - shard))
    return shard * shard + add


def stop_at_two(shard: int) -> int:
    if shard == 2:
        raise UserError(Problem("broken", "the third shard", path="rows.jsonl", line=3))
    return shard


def test_results_come_in_the_order_of_the_shards(executor: Executor) -> None:
    assert list(executor.map(partial(slowest_first, 1), range(6))) == [1, 2, 5, 10, 17, 26]


def test_no_shards_give_no_results_and_one_gives_one(executor: Executor) -> None:
    assert list(executor.map(stop_at_two, [])) == []
    assert list(executor.map(stop_at_two, [7])) == [7]


def test_what_a_shard_raises_is_raised_at_its_turn_as_it_was(executor: Executor) -> None:
    results = executor.map(stop_at_two, range(8))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(UserError) as caught:
        next(results)
    assert caught.value.problems == (Problem("broken", "the third shard", path="rows.jsonl", line=3),)
