"""Programs that are measured: each in a process of its own, none of which outlives the benchmark."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.drivers._shared import Job

ROOT = Path(__file__).parents[1]
SHOWN_LINES = 12
_GRACE_SECONDS = 5
_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \|\s+(\S+)")


class Failed(Exception):
    """A program that ended badly; the message has the last lines that it wrote."""


def run(command: Sequence[str | Path], *, log: Path, environment: dict[str, str] | None = None) -> None:
    """Run `command` in the repository with what it writes going to `log`; whatever it started ends with it.

    Raises:
        Failed: it ended with another exit code than 0, or there is no such program.
    """
    with log.open("wb") as out:
        try:
            process = subprocess.Popen(
                [str(word) for word in command],
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that its children can be ended with it
            )
        except OSError as error:
            raise Failed(str(error)) from None
        try:
            process.wait()
        finally:
            _end(process)
    if process.returncode:
        lines = [line for line in log.read_text(errors="replace").splitlines() if not _IMPORT.search(line)]
        raise Failed("\n".join([f"exit code {process.returncode}", *lines[-SHOWN_LINES:]]))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End everything in the process's session: first asked, then made to."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            continue


def drive(python: Path, driver: str, job: Job) -> dict[str, Any]:
    """The result that `bench/drivers/DRIVER.py` writes, and in `import_s` what it imported besides torch.

    Raises:
        Failed: the driver did.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        place = Path(folder)
        (place / "work").mkdir()
        (place / "job.json").write_text(json.dumps(asdict(job) | {"folder": str(place / "work")}), encoding="utf-8")
        # The working folder stands first among the places of modules, so bench is found and trl is the real one.
        command: list[str | Path] = [
            python,
            "-X",
            "importtime",
            "-m",
            f"bench.drivers.{driver}",
            place / "job.json",
            place / "result",
        ]
        environment = {
            "OMP_NUM_THREADS": str(job.threads),
            "HF_HUB_OFFLINE": "1",
            "HF_DATASETS_CACHE": str(place / "datasets"),
            "TOKENIZERS_PARALLELISM": "false",
            "PYTHONDONTWRITEBYTECODE": "",  # else our own modules would be compiled anew in each round
            "PYTHONPATH": str(ROOT / "src") if driver == "ours" else "",
        }
        if job.device == "cpu":
            environment["CUDA_VISIBLE_DEVICES"] = ""
        run(command, log=place / "log", environment=environment)
        result: dict[str, Any] = json.loads((place / "result").read_text(encoding="utf-8"))
        return result | {"import_s": import_seconds((place / "log").read_text(errors="replace"))}


def import_seconds(log: str) -> float:
    """Seconds of all imports that `python -X importtime` told, less those of torch and of what it imports itself.

    A line is `import time: OWN | WITH ALL IT IMPORTS | name` in microseconds; the first line named torch is the
    driver's import of it.
    """
    lines = [(int(own), int(whole), name) for own, whole, name in _IMPORT.findall(log)]
    torch = next((whole for _, whole, name in lines if name == "torch"), 0)
    return (sum(own for own, _, _ in lines) - torch) / 1e6
