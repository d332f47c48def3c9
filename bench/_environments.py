"""Virtual environments of the peers, under `.bench/` in the repository, which git does not see.

Wheels are found as the script `dev` finds them: what pip is told about where wheels lie holds for uv too, and where
nothing is told, uv takes the build of torch that fits the machine. Versions are pinned by `constraints.txt`; a peer
that conflicts with it keeps torch's pin alone.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench._process import ROOT, Failed, run

HOME = ROOT / ".bench"
COMPANIONS = ("torchvision", "torchaudio")
"""Come with some peers in a build for CUDA and break transformers where torch is another build."""


def python_of(name: str, packages: Sequence[str]) -> Path:
    """The python of the environment `name` with `packages` in it; made where it is missing or of other packages.

    Args:
        name: of the environment; an empty one is the environment that runs this.
        packages: requirements.

    Raises:
        Failed: they cannot be installed.
    """
    if not name:
        return Path(sys.executable)
    folder = HOME / "environments" / name
    python = folder / "bin" / "python"
    limits = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    wanted = hashlib.sha256("\n".join([sys.version, limits, *packages]).encode()).hexdigest()
    done = folder / "installed"
    if done.is_file() and done.read_text() == wanted:
        return python
    print(f"installing {', '.join(packages)} into {folder.relative_to(ROOT)} ...", flush=True)
    HOME.mkdir(exist_ok=True)
    (HOME / ".gitignore").write_text("*\n")
    shutil.rmtree(folder, ignore_errors=True)
    log = HOME / f"{name}.log"
    run([_uv(), "venv", "-q", "--clear", "--python", sys.executable, folder], log=log)
    _install(python, packages, limits=limits, log=log)
    done.write_text(wanted)
    return python


def _install(python: Path, packages: Sequence[str], *, limits: str, log: Path) -> None:
    constraints = log.with_suffix(".txt")
    torch = next(line for line in limits.splitlines() if line.startswith("torch=="))
    links = _links()
    found = [word for place in links for word in ("--find-links", place)] or ["--torch-backend", "auto"]
    for text in (limits, torch + "\n"):
        constraints.write_text(text)
        # Modules are compiled now: nobody's first import shall be slower than the others'.
        command: list[str | Path] = [
            _uv(),
            "pip",
            "install",
            "-q",
            "--compile-bytecode",
            "--python",
            python,
            "-c",
            constraints,
            *found,
        ]
        try:
            run([*command, *packages], log=log)
            break
        except Failed:
            if text != limits:
                raise
    for name in COMPANIONS:
        try:
            run(
                [python, "-c", f"import importlib.util; importlib.util.find_spec('{name}') and __import__('{name}')"],
                log=log,
            )
        except Failed:
            run([_uv(), "pip", "uninstall", "-q", "--python", python, name], log=log)


def _uv() -> Path:
    """The uv that `dev` put beside this python, or any other.

    Raises:
        Failed: there is none.
    """
    beside = Path(sys.executable).with_name("uv")
    found = beside if beside.is_file() else shutil.which("uv")
    if found is None:
        raise Failed("the peers are installed with uv, and there is none: pip install uv")
    return Path(found)


def _links() -> list[str]:
    """Where pip is told to look for wheels."""
    command = [sys.executable, "-m", "pip", "config", "get", "global.find-links"]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return list(dict.fromkeys([*os.environ.get("PIP_FIND_LINKS", "").split(), *told.split()]))
