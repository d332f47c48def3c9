"""One stage run by several worker processes: started, followed and ended together.

Own processes instead of torch's launcher: that one gives workers 30 seconds to end, and a large checkpoint takes
longer to write; and it listens on the network, where a file is enough for processes of one machine to meet.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from tunesmith.core import files
from tunesmith.core.errors import EXIT_INTERRUPTED, Problem, UserError
from tunesmith.core.events import Events
from tunesmith.core.interrupts import interruptible
from tunesmith.core.protocols import Context
from tunesmith.core.spec import Section
from tunesmith.core.types import Artifact
from tunesmith.models.hardware import free_threads
from tunesmith.project.trunk import Stage
from tunesmith.project.worker import Job

GRACE_SECONDS = 10.0
"""How long the others may take to end by themselves when a worker has died."""

_LOOK_SECONDS = 0.1


@dataclass
class Crew:
    """The workers of one job.

    Args:
        processes: by rank.
        logs: what each wrote to standard error.
        lines: what they say, with their ranks.
        ended: ranks in the order in which they ended.
        problems: what they found wrong, by rank.
        made: fields of the artifact, from rank 0.
        interrupted: they were sent a Ctrl-C; one that had not yet begun to train ends by it as any process does.
    """

    processes: list[subprocess.Popen[str]]
    logs: list[Path]
    lines: queue.Queue[tuple[int, str]] = field(default_factory=queue.Queue)
    ended: list[int] = field(default_factory=list)
    problems: dict[int, list[Problem]] = field(default_factory=dict)
    made: dict[str, Any] | None = None
    interrupted: bool = False

    def follow(self, events: Events, stop: threading.Event) -> None:
        """Pass on what the workers tell until all have ended; `stop` sends each of them one Ctrl-C."""
        until = float("inf")
        while len(self.ended) < len(self.processes):
            self._listen(events, _LOOK_SECONDS)
            for rank, process in enumerate(self.processes):
                if rank not in self.ended and process.poll() is not None:
                    self.ended.append(rank)
                    if process.returncode not in (0, EXIT_INTERRUPTED):
                        until = min(until, time.monotonic() + GRACE_SECONDS)
            if stop.is_set() and not self.interrupted:
                self.interrupted = True
                self._send(signal.SIGINT)
            if time.monotonic() > until:
                break
        self._listen(events, 0.0)

    def outcome(self) -> dict[str, Any]:
        """Fields of the artifact that they made.

        Raises:
            KeyboardInterrupt: they were interrupted, and have saved.
            UserError: what they found wrong, or which of them died.
        """
        codes = [process.poll() for process in self.processes]
        told = [problem for rank in sorted(self.problems) for problem in self.problems[rank]]
        if told:
            raise UserError(dict.fromkeys(told))
        if self.interrupted and self.made is None:
            raise KeyboardInterrupt
        dead = [rank for rank in self.ended if codes[rank] not in (0, EXIT_INTERRUPTED)]
        if dead:
            raise UserError(self._death(min(dead, key=lambda rank: ((codes[rank] or 0) >= 0, dead.index(rank)))))
        if self.made is None:
            raise KeyboardInterrupt
        return self.made

    def end(self) -> None:
        """Kill whoever still runs."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
        for process in self.processes:
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()

    def _listen(self, events: Events, seconds: float) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                rank, line = self.lines.get(timeout=seconds) if seconds else self.lines.get_nowait()
                self._heard(rank, line, events)
                seconds = 0.0

    def _heard(self, rank: int, line: str, events: Events) -> None:
        told = json.loads(line)
        if "event" in told:
            event = told["event"]
            events.tell(event["kind"], event["stage"], event["message"], **event["data"])
        elif "problems" in told:
            self.problems[rank] = [Problem(**problem) for problem in told["problems"]]
        else:
            self.made = told["artifact"]

    def _send(self, number: signal.Signals) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(number)

    def _death(self, rank: int) -> Problem:
        process = self.processes[rank]
        code = process.returncode
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        words = self.logs[rank].read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
        found = f"worker {rank + 1} of {len(self.processes)} (process {process.pid}) {how}"
        found += f": {words}" if words and code > 0 else ""
        hint = f"the same command goes on from the last checkpoint; what it said is in {self.logs[rank]}"
        if code == -signal.SIGKILL:
            hint = "often memory ran out: take fewer workers, or tune.parallel: sharded; " + hint
        return Problem("worker-died", found, hint, "--workers")


def run_in_workers(
    stage: Stage, spec: Section, inputs: Mapping[str, Artifact], *, context: Context, workers: int
) -> Artifact:
    """Run `stage` in `workers` processes of this machine and return its artifact, files in `context.out`.

    They save and end at the first Ctrl-C, as one process does, and are killed at the second. None outlives this
    process: their standard input is a pipe from here, and they end when it does.

    Raises:
        UserError: what the stage finds wrong; a worker died.
        KeyboardInterrupt: after they have saved.
    """
    folder = context.scratch / "workers"
    job = Job(
        stage=stage.name,
        spec=spec.model_dump(mode="json"),
        inputs={name: {**made.model_dump(mode="json"), "folder": str(made.folder)} for name, made in inputs.items()},
        root=str(context.root.absolute()),
        scratch=str(context.scratch.absolute()),
        out=str((folder / "made").absolute()),
        seed=context.seed,
        run=context.run,
    )
    files.write_json(folder / "job.json", asdict(job))
    with interruptible() as stop, _crew(folder, workers) as crew:
        crew.follow(context.events, stop)
    made = crew.outcome()
    for path in Path(job.out).iterdir():
        shutil.move(path, context.out / path.name)
    return stage.makes.model_validate(made)


@contextlib.contextmanager
def _crew(folder: Path, workers: int) -> Iterator[Crew]:
    """So many workers of the job in `folder`, on the cores that are free; none is left at the end."""
    meeting = folder / f"meeting-{secrets.token_hex(6)}"
    threads = max(1, free_threads() // workers)
    crew = Crew([], [])
    try:
        for rank in range(workers):
            crew.logs.append(folder / f"worker-{rank + 1}.log")
            with crew.logs[-1].open("wb") as log:
                crew.processes.append(_start(folder / "job.json", meeting, _surroundings(rank, workers, threads), log))
            threading.Thread(target=listen, args=(crew, rank), daemon=True).start()
        yield crew
    finally:
        crew.end()
        meeting.unlink(missing_ok=True)


def _start(job: Path, meeting: Path, surroundings: dict[str, str], log: IO[bytes]) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "tunesmith.project.worker", str(job.absolute()), "--watched"]
    return subprocess.Popen(
        [*command, "--rendezvous", meeting.absolute().as_uri()],
        env=surroundings,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        encoding="utf-8",
        start_new_session=True,  # a terminal's Ctrl-C goes to this process alone, which passes it on once
    )


def _surroundings(rank: int, workers: int, threads: int) -> dict[str, str]:
    """Environment of one worker: torchrun's names, its share of the cores, this very tunesmith, no network."""
    import tunesmith

    own = str(Path(tunesmith.__file__).resolve().parent.parent)
    path = os.pathsep.join([own, *filter(None, [os.environ.get("PYTHONPATH")])])
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": workers, "OMP_NUM_THREADS": threads}
    return {**os.environ, **{name: str(n) for name, n in numbers.items()}, "PYTHONPATH": path, **_loopback()}


def _loopback() -> dict[str, str]:
    """Tells gloo to keep to this machine."""
    import psutil

    for name, addresses in psutil.net_if_addrs().items():
        if any(address.address == "127.0.0.1" for address in addresses):
            return {"GLOO_SOCKET_IFNAME": name}
    return {}


def listen(crew: Crew, rank: int) -> None:
    """Collect what a worker says until it falls silent."""
    out = crew.processes[rank].stdout
    for line in out or ():
        crew.lines.put((rank, line))
