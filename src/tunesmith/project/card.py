"""The model card: what was shipped, on what evidence, with its limits; filled from the run store, nothing by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.core.types import Checkpoint, GateVerdict, Measure, Report

_MOST_MEASURES = 20


def model_card(
    name: str, checkpoint: Checkpoint, report: Report | None, parity: GateVerdict | None, *, base: Mapping[str, str]
) -> str:
    """The card as Markdown with the head that model hubs read.

    Args:
        name: the project's name.
        checkpoint: what was trained.
        report: the last evaluation; None: the card says that nothing was measured.
        parity: gate G5 of this export; None where it was not judged.
        base: facts of the base model: `name`, `licence`, `revision`.
    """
    head = [
        "---",
        f"base_model: {base.get('name') or checkpoint.base_path}",
        f"license: {base.get('licence') or 'other'}",
    ]
    parts = [
        "\n".join([*head, "library_name: transformers", "tags: [tunesmith]", "---"]),
        f"# {name}",
        _made(checkpoint, base),
        "## Verdict\n\n" + _verdicts([*(report.gates if report else ()), *((parity,) if parity else ())]),
        "## Measured\n\n" + (_measures(report.measures) if report else "Nothing was measured of this model."),
        "## Limits\n\n" + _list(report.notes if report else ["It was exported before it was evaluated."]),
    ]
    return "\n\n".join(parts) + "\n"


def _made(checkpoint: Checkpoint, base: Mapping[str, str]) -> str:
    facts = {
        "base model": base.get("name") or checkpoint.base_path,
        "base revision": base.get("revision") or checkpoint.base_revision,
        "strategy": checkpoint.strategy.get("use", ""),
        "trained weights": f"{checkpoint.trainable:,}",
        "steps, epochs": f"{checkpoint.steps}, {checkpoint.epochs:.2f}",
        "seed": checkpoint.seed,
        "chat template": checkpoint.chat_template_hash,
        "checkpoint": checkpoint.id,
        "privacy spent (epsilon)": "not asked for" if checkpoint.privacy_spent is None else checkpoint.privacy_spent,
    }
    return "| what | |\n|---|---|\n" + "\n".join(f"| {key} | {_cell(value)} |" for key, value in facts.items())


def _verdicts(gates: Sequence[GateVerdict]) -> str:
    if not gates:
        return "No gate has judged it."
    lines = [
        f"**{gate.gate}: {gate.verdict}**" + (f" (lowered: {gate.lowered})" if gate.lowered else "") for gate in gates
    ]
    told = [_list([f"{reason.verdict}: {reason.message}" for reason in gate.reasons]) for gate in gates]
    return "\n\n".join(f"{line}\n\n{reasons}" for line, reasons in zip(lines, told, strict=True))


def _measures(measures: Sequence[Measure]) -> str:
    own = [m for m in measures if m.model == "expert" and m.slice == "all" and m.value is not None][:_MOST_MEASURES]
    base = {m.name: m.value for m in measures if m.model == "base" and m.slice == "all"}
    rows = [f"| {m.name} | {m.value:.4g} | {_interval(m)} | {_number(base.get(m.name))} | {m.n} |" for m in own]
    return "| measure | expert | interval | base | rows |\n|---|---|---|---|---|\n" + "\n".join(rows)


def _interval(measure: Measure) -> str:
    if measure.low is None or measure.high is None:
        return "-"
    return f"{measure.low:.4g} to {measure.high:.4g}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {' '.join(line.split())}" for line in lines) or "- none"


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
