"""The stage `reason`: from a checkpoint to the expert that is shipped."""

from __future__ import annotations

from pathlib import Path

from tunesmith.core.errors import Problem
from tunesmith.core.protocols import Context
from tunesmith.core.types import Base, Checkpoint, Expert
from tunesmith.reason.shelf import PATHS
from tunesmith.reason.spec import ReasonSpec

NAME = "reason"
VERSION = "1"

ADAPTER, MODEL = "adapter", "model"
"""Folders inside a checkpoint: an adapter beside its base, or a whole model that was trained itself."""


def check(spec: ReasonSpec, root: Path) -> list[Problem]:
    """Everything that is wrong with the section."""
    return PATHS.problems(spec.paths, where="reason.paths")


def run(spec: ReasonSpec, *, base: Base, checkpoint: Checkpoint, context: Context) -> Expert:
    """The expert: the trained model, its chat template and the way it reasons.

    The trained model is the base with the checkpoint's adapter, or the checkpoint's own model where all was trained.

    Raises:
        UserError: the way of reasoning is unknown or its settings are wrong.
    """
    recipe = PATHS.settings(spec.paths, where="reason.paths")
    context.events.tell("note", NAME, f"the expert answers by '{recipe['use']}', {spec.at_most_tokens} tokens at most")
    whole = checkpoint.file(MODEL).is_dir()
    return Expert(
        checkpoint=checkpoint.id,
        base_path=str(checkpoint.file(MODEL)) if whole else base.path,
        adapter_path=None if whole else str(checkpoint.file(ADAPTER)),
        chat_template_hash=checkpoint.chat_template_hash,
        reasoning={**recipe, "at_most_tokens": spec.at_most_tokens},
    )
