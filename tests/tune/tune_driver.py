"""A training in a process of its own, for tests that kill it: `python tune_driver.py JOB OUT [kill-at N]`.

With `kill-at N` the process ends itself by SIGKILL at the N-th call, counted over the whole run, of a write, sync
or rename that a checkpoint is made of, after doing half of it where it can be halved.
"""

from __future__ import annotations

import json
import os
import signal
import sys
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
    from tune_fakes import base_of, context_of, profile, spec, tokens_of

    from tunesmith.core.ids import digest_file
    from tunesmith.core.types import Base
    from tunesmith.tune import stage
    from tunesmith.tune.batches import Row

    told = json.loads(job.read_text())
    rows = {name: [Row(r[0], tuple(r[1]), tuple(r[2])) for r in told[name]] for name in ("train", "valid")}
    base: Base = base_of(Path(told["base"]))
    context = context_of(out)
    tokens = tokens_of(out / "tokens", rows["train"], rows["valid"])
    (out / "started").touch()
    if kill_at is not None:
        kill_inside_writing(kill_at)
    made = stage.run(spec(**told["spec"]), base=base, profile=profile(), tokens=tokens, context=context)
    curve = [json.loads(line) for line in (context.out / "curves.jsonl").read_text().splitlines()]
    result = {
        "adapter": digest_file(context.out / "adapter" / "adapter_model.safetensors"),
        "curve": [{key: value for key, value in point.items() if key != "tokens_per_second"} for point in curve],
        "valid_loss": made.valid_loss,
    }
    (out / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(Path(arguments[0]), Path(arguments[1]), int(arguments[3]) if len(arguments) > 2 else None)
