"""Trainings in processes of their own, for tests that kill them: `python tune_driver.py JOB`.

Reads one JSON line per training from standard input, `{"out": FOLDER, "kill_at": N or null, "kill_after": SECONDS or
null}`, forks a child that trains, and answers with one line `{"code": ..., "seconds": ...}`; code -9: killed. Only the
libraries are loaded in the parent, so a child starts at once and shares nothing with another one but the files.

`kill_at`: the child ends itself by SIGKILL in the N-th call of a write, sync or rename that a checkpoint is made of,
after doing half of it where it can be halved. `kill_after`: the parent kills it that long after its training began.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent.parent / "src")]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_inside_writing(at: int) -> None:
    """Count the calls by which checkpoints reach the disk, and die in the `at`-th."""
    import safetensors.torch

    from tunesmith.core import files

    seen = 0

    def counted(function: Any, halfway: Any = None) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen == at:
                if halfway:
                    halfway(*args)
                die()
            return function(*args, **kwargs)

        return call

    def half_of_tensors(tensors: Any, path: Path) -> None:
        Path(path).write_bytes(safetensors.torch.save(tensors)[:1000])

    def half_of_text(path: Path, data: bytes) -> None:
        Path(path).write_bytes(data[: len(data) // 2])

    safetensors.torch.save_file = counted(safetensors.torch.save_file, half_of_tensors)
    files.write_bytes = counted(files.write_bytes, half_of_text)
    files.fsync_path = counted(files.fsync_path)
    rename = Path.rename
    Path.rename = counted(rename)  # type: ignore[method-assign]


def main(job: Path, out: Path, kill_at: int | None) -> None:
    from tune_fakes import base_of, context_of, profile, snapshot_of, spec, tokens_of

    from tunesmith.core.ids import digest_file
    from tunesmith.tune import stage
    from tunesmith.tune.batches import Row

    told = json.loads(job.read_text())
    rows = {name: [Row(r[0], tuple(r[1]), tuple(r[2])) for r in told[name]] for name in ("train", "valid")}
    context = context_of(out)
    tokens = tokens_of(out / "tokens", rows["train"], rows["valid"])
    (out / "started").touch()
    if kill_at is not None:
        kill_inside_writing(kill_at)
    made = stage.run(
        spec(**told["spec"]),
        base=base_of(Path(told["base"])),
        profile=profile(),
        snapshot=snapshot_of(),
        tokens=tokens,
        context=context,
    )
    curve = [json.loads(line) for line in (context.out / "curves.jsonl").read_text().splitlines()]
    result = {
        "adapter": digest_file(context.out / "adapter" / "adapter_model.safetensors"),
        "curve": [{key: value for key, value in point.items() if key != "tokens_per_second"} for point in curve],
        "valid_loss": made.valid_loss,
    }
    (out / "result.json").write_text(json.dumps(result))


def one(job: Path, out: Path, *, kill_at: int | None, kill_after: float | None) -> dict[str, float]:
    """Fork, train in the child, kill it if asked; the exit code (negative: the signal) and seconds since it began."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "started").unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        try:
            main(job, out, kill_at)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    ended, status = 0, 0
    while not ended and not (out / "started").exists():
        time.sleep(0.001)
        ended, status = os.waitpid(child, os.WNOHANG)
    began = time.monotonic()
    if kill_after is not None and not ended:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    if not ended:
        _, status = os.waitpid(child, 0)
    return {"code": os.waitstatus_to_exitcode(status), "seconds": time.monotonic() - began}


def serve(job: Path) -> None:
    import peft  # noqa: F401 - loaded once, before the forks
    import torch
    import tune_fakes  # noqa: F401

    import tunesmith.tune.loop
    import tunesmith.tune.states
    import tunesmith.tune.terms.cross_entropy  # noqa: F401

    torch.set_num_threads(1)
    for line in sys.stdin:
        asked = json.loads(line)
        done = one(job, Path(asked["out"]), kill_at=asked["kill_at"], kill_after=asked["kill_after"])
        print(json.dumps(done), flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
