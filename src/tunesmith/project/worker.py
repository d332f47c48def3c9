"""One worker process of a training that several share.

`tunesmith run --workers N` starts N of these and follows them (`project.workers`). By hand, on one machine or on many
that see the same project folder, torchrun starts them; JOB is what an earlier `run --workers` left in the project,
`.tunesmith/scratch/RUN/workers/job.json`, when it was interrupted, and the next `tunesmith run` takes over what they
finish:

    torchrun --standalone --nproc-per-node 2 -m tunesmith.project.worker JOB

A worker speaks in JSON lines on its standard output: `{"event": ...}` and `{"artifact": ...}` from rank 0,
`{"problems": [...]}` from any. Exit codes are those of the command line.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tunesmith.core import files
from tunesmith.core.errors import EXIT_INTERRUPTED, EXIT_PASSED, Problem, TunesmithError, UserError
from tunesmith.core.events import Event, Events
from tunesmith.core.protocols import Context
from tunesmith.project.trunk import TRUNK, Stage

PATIENCE = timedelta(days=7)
"""How long a process waits for the others: rank 0 may be busy for hours with what is computed once."""

LAST_SECONDS = 60.0
"""How long a worker whose parent is gone may take to finish its step and save."""


@dataclass(frozen=True)
class Job:
    """A stage that workers run, as it stands in the job file.

    Args:
        stage: its name.
        spec: its section of the project file, filled as far as the user filled it.
        inputs: parameter name -> fields of the artifact, and its folder under `folder`.
        root, scratch, out: folders, see `Context`.
        seed: of the project.
        run: id of the stage's run.
    """

    stage: str
    spec: dict[str, Any]
    inputs: dict[str, dict[str, Any]]
    root: str
    scratch: str
    out: str
    seed: int
    run: str

    def work(self, events: Events) -> Any:
        """Run the stage; its artifact.

        Raises:
            UserError: what the stage finds wrong.
            KeyboardInterrupt: on Ctrl-C, after the state was saved.
        """
        from tunesmith.evaluate.scoring import scorer_of
        from tunesmith.reason.answerer import open_answerer

        stage = stage_named(self.stage)
        context = Context(
            root=Path(self.root),
            out=Path(self.out),
            scratch=Path(self.scratch),
            events=events,
            seed=self.seed,
            run=self.run,
            open=open_answerer,
            scorer=scorer_of,
        )
        inputs = {name: kind.model_validate(self.inputs[name]) for name, kind in stage.needs.items()}
        return stage.module.run(stage.spec.model_validate(self.spec), context=context, **inputs)


def stage_named(name: str) -> Stage:
    """The stage of the trunk with this name."""
    return next(stage for stage in TRUNK if stage.name == name)


def main(argv: list[str] | None = None) -> int:
    """Join the other processes, run the job, say what happens; the exit code."""
    reader = argparse.ArgumentParser(prog="tunesmith.project.worker", description=__doc__.partition("\n")[0])
    reader.add_argument("job", type=Path, help="the job file")
    reader.add_argument("--rendezvous", default="env://", help="where the processes meet; torchrun says it itself")
    reader.add_argument("--watched", action="store_true", help="end when standard input does")
    asked = reader.parse_args(argv)
    say = _voice()
    if asked.watched:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        job = Job(**files.read_json(asked.job))
        with _joined(asked.rendezvous) as rank:
            out = Path(job.out)
            if rank == 0:
                shutil.rmtree(out, ignore_errors=True)
                out.mkdir(parents=True)
            events = Events(_as_line(say)) if rank == 0 else Events()
            made = job.work(events)
            if rank == 0:
                say({"artifact": made.model_dump(mode="json")})
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except UserError as error:
        say({"problems": [problem.as_dict() for problem in error.problems]})
        return error.exit_code
    except TunesmithError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return EXIT_PASSED


@contextlib.contextmanager
def _joined(rendezvous: str) -> Iterator[int]:
    """The process group of all workers, on CPU by gloo and on GPUs by NCCL; yields this process's rank."""
    import torch
    from torch import distributed

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    place = int(os.environ.get("LOCAL_RANK", "0"))
    if gpus and place >= gpus:
        raise UserError(Problem("too-many-workers", f"this machine has {gpus} GPUs", f"--workers {gpus}", "--workers"))
    if gpus:
        torch.cuda.set_device(place)
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    backend = "cpu:gloo,cuda:nccl" if gpus else "gloo"
    distributed.init_process_group(backend, init_method=rendezvous, rank=rank, world_size=world, timeout=PATIENCE)
    try:
        yield rank
    finally:
        distributed.destroy_process_group()


def _voice() -> Callable[[dict[str, Any]], None]:
    """Says one JSON line on standard output, which nobody else writes to from now on."""
    out, sys.stdout = sys.stdout, sys.stderr
    lock = threading.Lock()

    def say(told: dict[str, Any]) -> None:
        with lock, contextlib.suppress(BrokenPipeError):  # nobody listens any more: `_end_with_parent` sees to it
            out.write(json.dumps(told, default=str) + "\n")
            out.flush()

    return say


def _as_line(say: Callable[[dict[str, Any]], None]) -> Callable[[Event], None]:
    return lambda event: say({"event": event.as_dict()})


def _end_with_parent() -> None:
    """Wait for the end of standard input, which the parent holds open; then stop as by Ctrl-C, or at last at once."""
    while os.read(0, 1):  # not through sys.stdin, whose lock this thread would hold at the interpreter's end
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(LAST_SECONDS)
    os._exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())
