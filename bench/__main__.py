"""Benchmarks: `./dev bench [NAME ...] [--model FOLDER] [--rounds N]`; a file of this folder is a benchmark.

A benchmark has `ROUNDS` and `run(model, rounds) -> Outcome`. Run on a quiet machine; figures go into docs/lab.md.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
DEFAULT_MODEL = "smollm2-135m-instruct"


def names() -> dict[str, str]:
    """Benchmark -> the first line of its docstring; nothing is imported."""
    files = (file for file in sorted(HERE.glob("*.py")) if not file.stem.startswith("_"))
    return {file.stem: (ast.get_docstring(ast.parse(file.read_text())) or "").partition("\n")[0] for file in files}


def main() -> None:
    """Run the named benchmarks, or all of them."""
    known = names()
    about = "\n".join(f"  {name:<12} {line}" for name, line in known.items())
    parser = argparse.ArgumentParser(
        prog="./dev bench", epilog=f"benchmarks:\n{about}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which to run; all by default")
    parser.add_argument("--model", help=f"catalog name or model folder; {DEFAULT_MODEL} by default")
    parser.add_argument("--rounds", type=int, help="rounds of each benchmark, at least 2; each has its own default")
    asked = parser.parse_args()
    if unknown := [name for name in asked.names if name not in known]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    if asked.rounds is not None and asked.rounds < 2:
        parser.error("--rounds must be at least 2: one round has no spread")
    model = _model(asked.model or DEFAULT_MODEL)
    print(f"model {model}, {_threads()} threads, load {os.getloadavg()[0]:.1f}")
    for name in asked.names or known:
        benchmark = importlib.import_module(f"bench.{name}")
        began = time.monotonic()
        outcome = benchmark.run(model, asked.rounds or benchmark.ROUNDS)
        print(f"{name}: {known[name]}\n{outcome.told()}\n  {time.monotonic() - began:.0f} s in all", flush=True)


def _model(name: str) -> Path:
    from tunesmith.core.errors import UserError
    from tunesmith.core.events import Events
    from tunesmith.models.load import resolve
    from tunesmith.models.spec import ModelSpec

    try:
        return resolve(ModelSpec(use=name), Path.cwd(), Events()).path
    except UserError as error:
        sys.exit(str(error))


def _threads() -> int:
    import torch

    from tunesmith.models.hardware import free_threads

    torch.set_num_threads(free_threads())
    return torch.get_num_threads()


if __name__ == "__main__":
    main()
