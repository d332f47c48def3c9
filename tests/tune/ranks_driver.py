"""Trainings shared by processes, for `test_tune_ranks.py`: `python ranks_driver.py JOB`.

Loads the libraries once and then forks, for every line `{"out": FOLDER, "world": N, "spec": {...}, "stop": STEP or
null}` on standard input, N processes that train together (joined by gloo, as `project.worker` joins them). Answers with
one line `{"codes": [...]}`. `stop`: every process gets a Ctrl-C as soon as rank 0 has told so many steps.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

LONGEST_SECONDS = 120
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent.parent / "src")]


def train(job: Path, asked: dict[str, Any], rank: int) -> None:
    from torch import distributed
    from tune_fakes import base_of, context_of, profile, snapshot_of, spec, tokens_of

    from tunesmith.core.types import Base
    from tunesmith.tune import stage
    from tunesmith.tune.batches import Row

    told, out, world = json.loads(job.read_text()), Path(asked["out"]), asked["world"]
    rows = {name: [Row(r[0], tuple(r[1]), tuple(r[2])) for r in told[name]] for name in ("train", "valid")}
    heard: list[Any] = []
    context = context_of(out, heard)
    tokens = tokens_of(out / f"tokens-{rank}", rows["train"], rows["valid"])
    base: Base = base_of(Path(told["bases"][asked.get("base", "llama")]))
    if asked.get("stop") is not None and rank == 0:
        _stop_at(asked["stop"])
    if asked.get("poison") is not None and rank == asked["poison"]:
        _poison()
    if asked.get("small") is not None and rank == asked["small"]:
        _forget_memory()
    if asked["spec"].get("precision") == "bf16":
        _compute_in_bf16()
    if world > 1:
        meeting = (out / f"meeting-{asked['number']}").absolute().as_uri()
        distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world)
    made = stage.run(
        spec(**asked["spec"]), base=base, profile=profile(), snapshot=snapshot_of(), tokens=tokens, context=context
    )
    if rank == 0:
        incidents = [event.message for event in heard if event.kind == "incident"]
        (out / "result.json").write_text(json.dumps({"valid_loss": made.valid_loss, "incidents": incidents}))
    if world > 1:
        distributed.destroy_process_group()


def _stop_at(step: int) -> None:
    """Ctrl-C to this process alone when it has told so many steps: the others must hear of it from it."""
    from tunesmith.core.events import Events

    tell = Events.tell

    def counted(self: Any, kind: Any, stage: str, message: str = "", **data: Any) -> None:
        tell(self, kind, stage, message, **data)
        if kind == "metric" and data["step"] == step:
            os.kill(os.getpid(), signal.SIGINT)

    Events.tell = counted  # type: ignore[method-assign]


def _poison() -> None:
    """The second micro-batch that this process runs with gradient has states that are not numbers."""
    from dataclasses import replace

    import torch

    from tunesmith.tune.forward import PackedForward

    predictions, seen = PackedForward.predictions, 0

    def poisoned(self: Any, batch: Any) -> Any:
        nonlocal seen
        seen += torch.is_grad_enabled()
        made = predictions(self, batch)
        return replace(made, states_TD=made.states_TD * float("nan")) if seen == 2 else made

    PackedForward.predictions = poisoned  # type: ignore[method-assign]


def _forget_memory() -> None:
    """This process has room for 25 tokens only."""
    import torch

    from tunesmith.tune.forward import PackedForward

    predictions = PackedForward.predictions

    def small(self: Any, batch: Any) -> Any:
        if torch.is_grad_enabled() and batch.ids.shape[1] > 25:
            raise torch.OutOfMemoryError("no room")
        return predictions(self, batch)

    PackedForward.predictions = small  # type: ignore[method-assign]


def _compute_in_bf16() -> None:
    """Whatever the hardware: for so few numbers any is quick enough."""
    from tunesmith.tune import precision

    precision.computes_in_bf16 = lambda device: True


def together(job: Path, asked: dict[str, Any]) -> dict[str, Any]:
    Path(asked["out"]).mkdir(parents=True, exist_ok=True)
    children = []
    for rank in range(asked["world"]):
        child = os.fork()
        if child == 0:
            code = 0
            signal.alarm(LONGEST_SECONDS)  # processes that wait for each other for ever
            try:
                train(job, asked, rank)
            except KeyboardInterrupt:
                code = 130
            except BaseException:
                traceback.print_exc()
                code = 1
            os._exit(code)
        children.append(child)
    return {"codes": [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]}


def serve(job: Path) -> None:
    import peft  # noqa: F401 - loaded once, before the forks
    import torch
    import torch._dynamo  # FSDP asks for it in its first step
    import torch.distributed.fsdp
    import tune_fakes  # noqa: F401

    import tunesmith.tune.phases
    import tunesmith.tune.stage
    import tunesmith.tune.terms.cross_entropy  # noqa: F401

    torch.set_num_threads(1)
    for number, line in enumerate(sys.stdin):
        print(json.dumps(together(job, {**json.loads(line), "number": number})), flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
