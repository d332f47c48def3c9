"""The last expert in a form that other tools load, which gate G5 has compared with the expert that was measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tunesmith.core.errors import GateStopped, Problem, UserError
from tunesmith.core.examples import iterate_examples
from tunesmith.core.files import atomic_folder, write_json, write_text
from tunesmith.core.types import Checkpoint, Example, GateVerdict, Report
from tunesmith.project.file import Project
from tunesmith.project.forms import Form
from tunesmith.project.show import last_made
from tunesmith.reason.spec import ReasonSpec
from tunesmith.records.store import RunStore

GGUF = "model.gguf"
MODEL = "model"
PARITY = "parity.json"
_PROBES = 8


def export(project: Project, store: RunStore, to: Path, *, form: Form = "safetensors") -> Path:
    """Merge the adapter of the last checkpoint into its base and write it to the folder `to`.

    Files: config, safetensors, tokeniser; `README.md` (the model card), `parity.json`. With a GGUF form these lie in
    `model/`, beside `model.gguf` and an Ollama `Modelfile`. What differs from the measured expert is not exported,
    unless the project lowers G5.

    Raises:
        UserError: `to` exists, nothing has been trained yet, or the model cannot be written in that form.
        GateStopped: gate G5 says no; nothing is left at `to`.
    """
    from tunesmith.tune.export import merge

    if to.exists():
        raise UserError(
            Problem("folder-exists", f"'{to}' exists", "name a folder that does not exist yet", path=str(to))
        )
    checkpoint: Checkpoint = last_made(project, store, "tune")
    with atomic_folder(to) as folder:
        model = folder if form == "safetensors" else folder / MODEL
        model.mkdir(exist_ok=True)
        merge(checkpoint, model)
        if form != "safetensors":
            _write_gguf(model, folder, name=project.spec.name, weights="q8_0" if form == "gguf-q8_0" else "f16")
        gate = _judge(project, checkpoint, (model, folder), _some_rows(project, store))
        write_json(folder / PARITY, gate.model_dump(mode="json"))
        if gate.stops:
            raise GateStopped([gate])
        write_text(folder / "README.md", _card(project, store, checkpoint, gate))
    return to


def _write_gguf(model: Path, folder: Path, *, name: str, weights: Literal["q8_0", "f16"]) -> None:
    from tunesmith.models.chat import Chat
    from tunesmith.models.gguf_file import modelfile, write_gguf

    write_gguf(model, folder / GGUF, weights=weights, name=name)
    chat = Chat.of(model)
    stops = [chat.tokenizer.decode([token]) for token in sorted(chat.stop_ids)]
    context = min(int(chat.tokenizer.model_max_length), 4096)
    write_text(folder / "Modelfile", modelfile(GGUF, stops=stops, context=context))


def _some_rows(project: Project, store: RunStore) -> list[Example]:
    """Held-out questions for the probes."""
    snapshot = last_made(project, store, "data")
    rows: list[Example] = []
    for row in iterate_examples(snapshot.file("examples.parquet"), "test"):
        if row.prompt and row.text is None:
            rows.append(row)
        if len(rows) == _PROBES:
            break
    return rows


def _judge(project: Project, checkpoint: Checkpoint, made: tuple[Path, Path], rows: Sequence[Example]) -> GateVerdict:
    """G5 of what was written, against the adapter beside its base (or the model that was trained as a whole).

    Args:
        project: may lower the gate.
        checkpoint: what was trained.
        made: the merged model's folder, and the folder where a GGUF file may lie.
        rows: questions for the probes.
    """
    import torch

    from tunesmith.evaluate.parity import parity_gate, probes
    from tunesmith.evaluate.served import llama_cpp_witness
    from tunesmith.models.adapters import ADAPTER, open_trained
    from tunesmith.models.chat import Chat
    from tunesmith.models.engines import engine_problem, load_in_engine
    from tunesmith.models.gguf_file import opened_gguf
    from tunesmith.models.load import load_model
    from tunesmith.models.witness import scales_of, take_witness

    asked = probes(rows, at_most=_PROBES)
    trained = checkpoint.file(ADAPTER).parent
    whole = checkpoint.file(MODEL).is_dir()
    measured = open_trained(trained, base_path=Path(checkpoint.base_path), dtype=torch.float32)
    chat = Chat.of(checkpoint.file(MODEL) if whole else Path(checkpoint.base_path))
    reference = take_witness(measured, chat, asked, form="adapter")
    own = Chat.of(made[0])
    others = [take_witness(load_model(made[0]), own, asked, form="merged")]
    if (made[1] / GGUF).is_file():
        others.append(take_witness(opened_gguf(made[1] / GGUF), own, asked, form="quantised"))
        through = llama_cpp_witness(made[1] / GGUF, asked)
        others += [through] if through else []
    engine = project.spec.reason.engine
    if engine != "exact" and engine_problem(engine) is None:
        others.append(take_witness(load_in_engine(made[0], engine), own, asked, form=f"quantised, {engine}"))
    gate = parity_gate(reference, others, scales=scales_of(measured, chat, asked))
    lowered = project.spec.gates.get("G5")
    return gate.model_copy(update={"lowered": lowered.warn}) if lowered else gate


def _card(project: Project, store: RunStore, checkpoint: Checkpoint, gate: GateVerdict) -> str:
    from tunesmith.evaluate.wording import bare_name
    from tunesmith.project.card import model_card

    try:
        report: Report | None = last_made(project, store, "evaluate")
    except UserError:
        report = None
    if report and (around := _around(project.spec.reason)):
        lacks = f"These files are the model alone; the expert that was judged answers with {', '.join(around)}."
        report = report.model_copy(update={"notes": (lacks, *report.notes)})
    base = last_made(project, store, "model")
    facts = {"licence": base.licence, "revision": base.revision} | {"name": bare_name(base.name)}
    return model_card(project.spec.name, checkpoint, report, gate, base=facts)


def _around(spec: ReasonSpec) -> list[str]:
    """What of the way of reasoning is not in the model."""
    parts = {
        f"the way of reasoning '{spec.paths.use}'": spec.paths.use != "direct",
        "a calculator": spec.calculator,
        "checks of its chains": bool(spec.check),
        "an abstention": spec.abstain_below > 0,
    }
    return [name for name, there in parts.items() if there]
