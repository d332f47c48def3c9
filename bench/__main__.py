"""Benchmarks: `./dev bench [NAME ...]`; a file of this folder is a benchmark.

A benchmark has `run(asked) -> Outcome`. Run on a quiet machine; figures go into docs/lab.md.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import os
import platform
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from bench._frame import Asked

HERE = Path(__file__).parent
DEFAULT_MODEL = "smollm2-135m-instruct"
ONLY_BY_NAME = {"data", "detection", "effects", "reasoning", "reports"}
"""They take hours, or install much."""

EXAMPLES = """\
examples:
  ./dev bench peers                              everybody on 32 rows, 3 rounds
  ./dev bench peers --only trl --rows 400        ours and TRL's on all rows
  ./dev bench peers --device cuda --rows 400 --epochs 3
                                                 on a GPU in bfloat16, with model FLOP utilisation
  ./dev bench data --megabytes 10 --megabytes 100 --only "near copies"
                                                 MB/s and memory beside datatrove and data-juicer
  ./dev bench effects --only credit              what methods do to accuracy and retention, 2 seeds
  ./dev bench reports --only chinese             a whole project from raw data to the full report
  ./dev bench floor layered --json figures.json  what the work could take, what layered tuning saves
"""


def names() -> dict[str, str]:
    """Benchmark -> the first line of its docstring; nothing is imported."""
    files = (file for file in sorted(HERE.glob("*.py")) if not file.stem.startswith("_"))
    return {file.stem: (ast.get_docstring(ast.parse(file.read_text())) or "").partition("\n")[0] for file in files}


def main() -> None:
    """Run the named benchmarks, or all of them."""
    known = names()
    parser = _parser(known)
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in known]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    if given.rounds is not None and given.rounds < 2:
        parser.error("--rounds must be at least 2: one round has no spread")
    if given.device == "cuda" and not _has_cuda():
        parser.error("--device cuda: torch finds no GPU here")
    signal.signal(signal.SIGTERM, _interrupted)  # so that what was started is ended, as on Ctrl-C
    try:
        asked = _asked(given)
        print(f"model {asked.model}, {asked.threads} threads, load {os.getloadavg()[0]:.1f}", flush=True)
        usual = [name for name in known if name not in ONLY_BY_NAME]
        figures = {name: _run(name, known[name], asked) for name in given.names or usual}
    except KeyboardInterrupt:
        sys.exit(130)
    if given.json:
        machine = {"machine": platform.machine(), "python": platform.python_version(), "threads": asked.threads}
        given.json.write_text(json.dumps({"on": machine, "benchmarks": figures}, indent=2) + "\n", encoding="utf-8")


def _parser(known: dict[str, str]) -> argparse.ArgumentParser:
    about = "\n".join(f"  {name:<12} {line}" for name, line in known.items())
    parser = argparse.ArgumentParser(
        prog="./dev bench",
        epilog=f"benchmarks:\n{about}\n\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="which to run; all but those that take hours by default"
    )
    parser.add_argument("--model", default=DEFAULT_MODEL, help="catalog name or model folder; %(default)s by default")
    parser.add_argument("--rounds", type=int, help="rounds of each benchmark, at least 2; each has its own default")
    parser.add_argument("--rows", type=_positive, help="training rows, at most 400; each benchmark has its own default")
    parser.add_argument("--epochs", type=_positive, help="passes over the rows")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where peers are compared")
    parser.add_argument("--threads", type=_positive, help="threads of each run; the free cores by default")
    parser.add_argument("--only", action="append", default=[], metavar="PART", help="contenders with PART in the name")
    parser.add_argument(
        "--megabytes", type=float, action="append", default=[], help="of texts, for data; again for more"
    )
    parser.add_argument("--peak-tflops", type=float, help="of the GPU in bfloat16, where cards.json does not know it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    return parser


def _run(name: str, about: str, asked: Asked) -> dict[str, Any]:
    began = time.monotonic()
    outcome = importlib.import_module(f"bench.{name}").run(asked)
    print(f"{name}: {about}\n{outcome.told()}\n  {time.monotonic() - began:.0f} s in all", flush=True)
    return dict(outcome.as_dict())


def _asked(given: argparse.Namespace) -> Asked:
    from tunesmith.models.hardware import free_threads

    return Asked(
        model=Path() if given.names == ["data"] else _model(given.model),
        rounds=given.rounds,
        rows=given.rows,
        epochs=given.epochs,
        device=given.device,
        threads=given.threads or free_threads(),
        only=tuple(given.only),
        peak_tflops=given.peak_tflops,
        megabytes=tuple(given.megabytes),
    )


def _model(name: str) -> Path:
    from tunesmith.core.errors import UserError
    from tunesmith.core.events import Events
    from tunesmith.models.load import resolve
    from tunesmith.models.spec import ModelSpec

    try:
        return resolve(ModelSpec(use=name), Path.cwd(), Events()).path
    except UserError as error:
        sys.exit(str(error))


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _interrupted(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
