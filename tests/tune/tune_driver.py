"""Trainings in processes of their own, for tests that kill them: `python tune_driver.py FOLDER`.

Reads one JSON line per training from standard input, `{"job": NAME, "out": FOLDER, "kill_at": N or null, "kill_after":
SECONDS or null}`, forks a child that trains the job of that name in `tune_jobs`, and answers with one line
`{"code": ..., "seconds": ...}`; code -9: killed. A training that ends writes `result.json`, see `train`.

`kill_at`: the child ends itself by SIGKILL in the N-th of the calls that its checkpoints are made of (`tune_disk`),
after half of it where it is a write. `kill_after`: the parent kills it that long after the fork. Both null and `here`
true: the parent trains itself. That is asked first for every job: what libraries load and make on first use takes
longer than a whole training, and the children have it then. They draw from random states of their own, so a training
whose numbers hung on the state of its process would not equal the parent's.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent.parent / "src")]

UNLIKE = {"tokens_per_second"}
"""Fields of a point that differ between two runs of the same training."""


def train(folder: Path, name: str, out: Path) -> dict[str, Any]:
    """Train job `name` in `out`, or go on with it; what two runs of the same training must have in common."""
    from tune_fakes import base_of, context_of, profile, snapshot_of, some_rows, spec, tokens_of
    from tune_jobs import COMPILED, JOBS

    from tunesmith.core.events import Event
    from tunesmith.core.ids import digest_file
    from tunesmith.tune import stage

    heard: list[Event] = []
    context, job = context_of(out, heard), {**JOBS, **COMPILED}[name]
    made = stage.run(
        spec(**job.settings),
        base=base_of(model_folder(folder, job.architecture)),
        profile=profile(),
        snapshot=snapshot_of(),
        tokens=tokens_of(out / "tokens", job.rows(), some_rows(3, seed=1)),
        context=context,
    )
    curve = [json.loads(line) for line in (context.out / "curves.jsonl").read_text().splitlines()]
    steps = sorted(context.scratch.glob("*/steps/*"))
    files = [*context.out.rglob("*.safetensors"), *(step / "tensors.safetensors" for step in steps)]
    resumed = [event.data["step"] for event in heard if "resumed" in event.message]
    return {
        "digests": {path.relative_to(out).as_posix(): digest_file(path) for path in sorted(files)},
        "curve": [{key: value for key, value in point.items() if key not in UNLIKE} for point in curve],
        "valid_loss": made.valid_loss,
        "resumed_after": max(resumed, default=0),
        "told": [event.message for event in heard if event.kind in ("warning", "incident")],
    }


@cache
def model_folder(folder: Path, architecture: str) -> Path:
    from fakes import tiny_model_folder

    return tiny_model_folder(folder, architecture, num_hidden_layers=4)


@contextlib.contextmanager
def checkpoints_watched(kill_at: int | None) -> Iterator[list[Any]]:
    """Yields the calls of which the checkpoints were made; dies in the `kill_at`-th."""
    from unittest import mock

    from tune_disk import die, nothing, watched

    from tunesmith.tune.checkpoint import Keeper

    calls: list[Any] = []
    save = Keeper.save

    def counted(self: Keeper, *args: Any) -> None:
        with watched(nothing if kill_at is None else die(kill_at - len(calls))) as made:
            save(self, *args)
        calls.extend(made)

    with mock.patch.object(Keeper, "save", counted):
        yield calls


def finish(folder: Path, asked: dict[str, Any]) -> None:
    """Train to the end, or to the kill."""
    with checkpoints_watched(asked["kill_at"]) as calls:
        result = train(folder, asked["job"], Path(asked["out"]))
    (Path(asked["out"]) / "result.json").write_text(json.dumps({**result, "calls": len(calls)}))


def in_a_child(folder: Path, asked: dict[str, Any]) -> int:
    """Fork, train in the child, kill it if asked; the exit code, negative for a signal."""
    import torch

    forked = os.fork()
    if forked == 0:
        try:
            torch.seed()
            random.seed()
            finish(folder, asked)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if asked["kill_after"] is not None:
        time.sleep(asked["kill_after"])
        os.kill(forked, signal.SIGKILL)  # it cannot be another's: nobody has waited for it yet
    return os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1])


def serve(folder: Path) -> None:
    import torch

    torch.set_num_threads(1)
    for line in sys.stdin:
        asked, began, code = json.loads(line), time.monotonic(), 0
        Path(asked["out"]).mkdir(parents=True, exist_ok=True)
        if asked["here"]:
            with contextlib.redirect_stdout(sys.stderr):
                finish(folder, asked)
            gc.collect()
            gc.freeze()  # else each child copies every page that its collector looks at
        else:
            code = in_a_child(folder, asked)
        print(json.dumps({"code": code, "seconds": time.monotonic() - began}), flush=True)
    os._exit(0)  # taking torch apart takes seconds


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
