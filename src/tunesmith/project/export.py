"""The last expert as a model folder that other tools load."""

from __future__ import annotations

from pathlib import Path

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.files import atomic_folder
from tunesmith.project.file import Project
from tunesmith.project.show import last_made
from tunesmith.records.store import RunStore


def export(project: Project, store: RunStore, to: Path) -> Path:
    """Merge the adapter of the last checkpoint into its base and write it to the folder `to`.

    Raises:
        UserError: `to` exists, or nothing has been trained yet.
    """
    from tunesmith.tune.export import merge

    if to.exists():
        raise UserError(
            Problem("folder-exists", f"'{to}' exists", "name a folder that does not exist yet", path=str(to))
        )
    checkpoint = last_made(project, store, "tune")
    with atomic_folder(to) as folder:
        merge(checkpoint, folder)
    return to
