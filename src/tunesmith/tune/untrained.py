"""What a term must know of the untrained model: the base asked once, its answers sealed on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core import files, ids
from tunesmith.core.errors import Problem, UserError

if TYPE_CHECKING:
    from torch import Tensor

    from tunesmith.tune.objective import Job

OBJECTIVE = "tune.objective"


def no_general_rows(term: str) -> UserError:
    """`term` reads general rows and there are none."""
    hint = "name a source of rows that are not of the domain: data.sources: [{use: ..., path: ..., split: general}]"
    return UserError(Problem("no-general-rows", f"{term} reads general rows, and there are none", hint, OBJECTIVE))


@contextlib.contextmanager
def as_base(job: Job, term: str) -> Iterator[None]:
    """Inside, the model answers as the base does: its adapter is off, or no weight has moved yet.

    Raises:
        UserError: this is a later phase, and weights that stand in no adapter have moved in an earlier one.
    """
    model = job.model
    adapted = hasattr(model, "peft_config")
    inside = (model.base_model.prefix, "modules_to_save") if adapted else ()
    moved = [
        name
        for name, weight in model.named_parameters()
        if weight.requires_grad and not any(part in name for part in inside)
    ]
    if not job.untrained and moved:
        found = f"{term} asks the base, and an earlier phase has trained the base's own weights ({moved[0]}, ...)"
        hint = "train an adapter (tune.strategy: {use: lora}), or use the term in the first phase only"
        raise UserError(Problem("base-is-gone", found, hint, OBJECTIVE))
    flags = {name: weight.requires_grad for name, weight in model.named_parameters()}
    try:
        with model.disable_adapter() if adapted else contextlib.nullcontext():
            yield
    finally:
        for name, weight in model.named_parameters():  # PEFT switches gradients with its adapters
            weight.requires_grad_(flags[name])


def remembered(
    folder: Path, name: str, about: Mapping[str, Any], make: Callable[[], dict[str, Tensor]]
) -> tuple[Path, dict[str, Tensor]]:
    """What `make` gives, made once: a killed run that goes on finds the same numbers, bit for bit.

    Args:
        folder: scratch folder that survives a kill.
        name: of the file, `NAME-ID.safetensors`, with the id of `about`.
        about: everything that the numbers depend on, as JSON values.
        make: name -> tensor.

    Returns:
        The file, and its tensors, mapped into memory.
    """
    from safetensors.torch import load_file, save_file

    path = folder / f"{ids.content_id(name, about)}.safetensors"
    seal = path.with_suffix(".json")
    if not _whole(path, seal):
        seal.unlink(missing_ok=True)
        beside = path.with_suffix(".part")  # never written into: an older mapping of the file may be in use
        save_file({key: tensor.detach().cpu().contiguous() for key, tensor in make().items()}, beside)
        files.fsync_path(beside)
        beside.replace(path)
        files.write_json(seal, {"sha256": ids.digest_file(path), "about": dict(about)})
    return path, load_file(path)


def _whole(path: Path, seal: Path) -> bool:
    if not path.is_file() or not seal.is_file():
        return False
    try:
        return bool(files.read_json(seal)["sha256"] == ids.digest_file(path))
    except (UserError, KeyError, TypeError):
        return False
