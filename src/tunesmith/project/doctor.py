"""What this machine can do, for `tunesmith doctor`."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from typing import Any

LIBRARIES = ("torch", "transformers", "peft", "safetensors", "tokenizers", "pyarrow", "sqlalchemy", "scipy", "plotly")


def doctor() -> dict[str, Any]:
    """Hardware, libraries and the catalog models that are on this disk; nothing is downloaded."""
    from tunesmith.models.hardware import look

    hardware = look().model_dump(mode="json")
    return {
        "machine": {"system": platform.platform(), "python": sys.version.split()[0], **hardware},
        "libraries": {name: _version(name) for name in LIBRARIES},
        "models": _models(),
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"not installed: pip install {name}"


def _models() -> dict[str, str]:
    from pathlib import Path

    from tunesmith.models import catalog
    from tunesmith.models.load import locate
    from tunesmith.models.spec import ModelSpec

    told = {}
    for name in catalog.names():
        found = locate(ModelSpec(use=name), Path.cwd())
        told[name] = f"here: {found.path}" if found else f"not on this disk: tunesmith fetch {name}"
    return told
