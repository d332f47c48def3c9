"""What the report says, as plain JSON values; the page only draws it."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tunesmith import __version__
from tunesmith.core.types import (
    Answer,
    Base,
    Checkpoint,
    Expert,
    GateVerdict,
    Profile,
    Report,
    Snapshot,
    Tokens,
)
from tunesmith.evaluate.asking import Asked
from tunesmith.evaluate.findings import Findings, stronger_base
from tunesmith.evaluate.measuring import Sides, build_metrics, find, main_measure
from tunesmith.evaluate.power import rows_for, rows_needed, smallest_seen
from tunesmith.evaluate.report.curves import by_label, reliability, risk_coverage
from tunesmith.evaluate.report.thinking import thinking
from tunesmith.evaluate.retention import General
from tunesmith.evaluate.rows import Row, read_lines
from tunesmith.evaluate.scoring import build_scorers, scorer_of_measure
from tunesmith.evaluate.spec import MEASURES, EvaluateSpec
from tunesmith.evaluate.wording import bare_name

_LONGEST_TEXT = 1200


@dataclass(frozen=True)
class Story:
    """Everything the report tells of, besides the Report itself: inputs, scored rows, what both models said."""

    base: Base
    profile: Profile
    snapshot: Snapshot
    tokens: Tokens
    checkpoint: Checkpoint
    expert: Expert
    sides: Sides
    ours: tuple[Asked, General]
    theirs: tuple[Asked, General]
    findings: Findings = field(default_factory=Findings)


def content(report: Report, story: Story, spec: EvaluateSpec, *, run: str) -> dict[str, Any]:
    """The whole report as JSON values (no NaN, no infinity)."""
    main = main_measure(spec, story.profile)
    metric = next(metric for metric in build_metrics(spec, story.profile) if metric.name == main)
    scorer = scorer_of_measure(metric, story.profile)
    examples = joined(story.sides, scorer)
    gates = sorted((*story.snapshot.gates, *story.tokens.gates, *report.gates), key=lambda gate: gate.gate)
    return {
        "schema": 1,
        "title": story.profile.problem,
        "base": story.base.name,
        "language": story.profile.languages[0] if story.profile.languages else "en",
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "run": run,
        "verdict": GateVerdict.of("all", [r for gate in gates for r in gate.reasons]).verdict,
        "gates": [gate.model_dump(mode="json") for gate in gates],
        "targets": list(report.targets),
        "main": main,
        "scorer": scorer,
        "power": power(report, spec, main),
        "rows": len(story.sides.expert),
        "measures": [measure.model_dump(mode="json") for measure in report.measures],
        "about": {name: info.about for name, info in MEASURES.items()},
        "curves": curves(story.checkpoint),
        "calibration": {
            "expert": reliability(by_label(story.sides.expert_labels)),
            "base_fair": reliability(by_label(story.sides.base_fair)),
        },
        "risk_coverage": {
            "expert": risk_coverage(story.sides.expert_labels),
            "base_fair": risk_coverage(story.sides.base_fair),
        },
        "thinking": _shortened_thinking(
            thinking(
                story.sides.expert,
                story.expert,
                scorer=(scorer, build_scorers(spec, story.profile)[scorer]),
                level=spec.level,
            )
        ),
        "worse_slices": [measure.model_dump(mode="json") for measure in story.findings.slices.worse],
        "slices_tried": story.findings.slices.tried,
        "slices_against": story.findings.against,
        "fairness": story.findings.fairness,
        "judge": story.findings.judge,
        "attacks": [],
        "attacked": [],
        "latency_ms": {"expert": _times(story.sides.expert_alone), "base": _times(story.sides.base_alone)},
        "changes": dict(Counter(example["change"] for example in examples)),
        "examples": chosen(examples, spec.examples),
        "unscored": unscored(story),
        "provenance": provenance(report, story),
        "notes": list(report.notes),
    }


def curves(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    """The points of `curves.jsonl` (step, loss, lr, ...); empty where the checkpoint has no such file."""
    if checkpoint.folder is None or not checkpoint.file("curves.jsonl").is_file():
        return []
    return read_lines(checkpoint.file("curves.jsonl"))


def power(report: Report, spec: EvaluateSpec, main: str) -> dict[str, Any]:
    """What the held-out rows could show: the smallest difference, and the rows that the wanted one takes.

    `guess` is what `plan` said beforehand, from the share of rows on which the models were expected to disagree.
    """
    wanted = spec.power
    measure = find(report.measures, main, model="difference")
    disagreement = max(wanted.disagreement, wanted.difference)
    guess = rows_needed(wanted.difference, disagreement=disagreement, alpha=1 - spec.level, power=wanted.power)
    return {
        "difference": wanted.difference,
        "power": wanted.power,
        "rows": measure.n if measure else 0,
        "guess": guess,
        "smallest_seen": smallest_seen(measure, power=wanted.power) if measure else None,
        "rows_needed": rows_for(measure, wanted.difference, power=wanted.power) if measure else None,
    }


def _times(rows: Sequence[Row]) -> list[float]:
    return sorted(1000 * row.answer.usage.seconds for row in rows if row.answer.usage.seconds > 0)


# -- examples -------------------------------------------------------------------------------------------


def joined(sides: Sides, scorer: str) -> list[dict[str, Any]]:
    """One record per held-out row with both answers, their scores, and how it changed.

    `change` is `better`, `worse`, `right` (as right as before) or `wrong` (as wrong as before), by the scorer of the
    main measure; `unscored` where one of the two could not be scored. Before: what the base said in its own words, or
    by likelihood where it is right more often so and was asked so (see `findings.stronger_base`).
    """
    base = {row.example.id: row for row in sides.base}
    fair = {row.example.id: row for row in sides.base_fair}
    before = {**base, **(fair if stronger_base(sides, scorer)[0] == "base_fair" else {})}
    records = []
    for row in sides.expert:
        key = row.example.id
        records.append(_record(row, base.get(key), fair.get(key), scorer, before=before.get(key)))
    return records


def _record(row: Row, base: Row | None, fair: Row | None, scorer: str, *, before: Row | None) -> dict[str, Any]:
    ours = _value(row, scorer)
    theirs = _value(before, scorer)
    users = [message.content for message in row.example.prompt if message.role == "user"]
    return {
        "id": row.example.id,
        "place": row.example.place,
        "group": row.example.group,
        "attributes": row.example.attributes,
        "prompt": users[-1] if users else "",
        "reference": row.example.reference,
        "base": _said(base.answer if base else None),
        "base_fair": fair.predicted if fair else None,
        "expert": _said(row.answer),
        "scores": {"base": _scores(base), "expert": _scores(row)},
        "gain": ours - theirs if ours is not None and theirs is not None else None,
        "change": _change(ours, theirs),
    }


def _value(row: Row | None, scorer: str) -> float | None:
    return row.scores[scorer].value if row is not None and scorer in row.scores else None


def _change(ours: float | None, theirs: float | None) -> str:
    if ours is None or theirs is None:
        return "unscored"
    if abs(ours - theirs) < 1e-9:
        return "right" if ours >= 1.0 else "wrong"
    return "better" if ours > theirs else "worse"


def _said(answer: Answer | None) -> dict[str, Any] | None:
    if answer is None:
        return None
    return {
        "text": answer.text,
        "reasoning": answer.reasoning,
        "stop": answer.stop,
        "confidence": answer.confidence,
        "tokens": answer.usage.answer_tokens,
    }


def _scores(row: Row | None) -> dict[str, Any]:
    return {} if row is None else {name: score.model_dump(mode="json") for name, score in row.scores.items()}


def chosen(examples: Sequence[Mapping[str, Any]], number: int) -> list[dict[str, Any]]:
    """At most `number` examples, a fair part of each kind of change, the largest changes first; texts shortened."""
    kinds = ("worse", "wrong", "better", "unscored", "right")
    piles = {
        kind: sorted((e for e in examples if e["change"] == kind), key=lambda e: -abs(e["gain"] or 0.0))
        for kind in kinds
    }
    taken: list[dict[str, Any]] = []
    while len(taken) < number and any(piles.values()):
        for kind in kinds:
            if piles[kind] and len(taken) < number:
                taken.append(_shortened(piles[kind].pop(0)))
    return sorted(taken, key=lambda e: kinds.index(e["change"]))


def _shortened(example: Mapping[str, Any]) -> dict[str, Any]:
    copy = {**example, "prompt": _short(example["prompt"]), "reference": _short(example["reference"])}
    for side in ("base", "expert"):
        if copy[side] is not None:
            copy[side] = {**copy[side], "text": _short(copy[side]["text"])}
    return copy


def _shortened_thinking(told: dict[str, Any]) -> dict[str, Any]:
    for example in (example for fault in told.get("faults", ()) for example in fault["examples"]):
        example |= {key: _short(example[key]) for key in ("prompt", "reference", "written")}
    return told


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]} … ({len(text)} letters)"


# -- what it rests on -------------------------------------------------------------------------------------


def unscored(story: Story) -> list[dict[str, Any]]:
    """Every answer that a scorer could not judge, counted by model, scorer and reason."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for model, rows in (("expert", story.sides.expert), ("base", story.sides.base)):
        for row in rows:
            for name, score in row.scores.items():
                if score.value is None:
                    counts[model, name, score.unscored or "unscored"] += 1
    for model, (_, general) in (("expert", story.ours), ("base", story.theirs)):
        if general.unscored:
            counts[model, "general suite", "likelihood-not-finite"] += len(general.unscored)
    return [{"model": m, "scorer": s, "reason": r, "rows": n} for (m, s, r), n in sorted(counts.items())]


def leaks(found: Mapping[str, Any]) -> dict[str, Any]:
    """Per held-out split, and per public benchmark that was looked through: its rows, and how many leak in which way.

    A way that was not looked for is left out; the pairs themselves stand in the evidence of G1.
    """
    splits = {name: found.get(name) or {} for name in ("test", "valid")} | dict(found.get("public") or {})
    return {
        f"leaks, {name}": {
            "rows": told["rows"],
            **{kind: number for kind, number in told["kinds"].items() if number is not None},
        }
        for name, told in splits.items()
        if told.get("rows") and "kinds" in told
    }


def provenance(report: Report, story: Story) -> dict[str, dict[str, Any]]:
    """Ids, revisions, hashes, seeds, versions and counts: what it takes to do it again and to see that it was this."""
    base, checkpoint, snapshot, tokens = story.base, story.checkpoint, story.snapshot, story.tokens
    return {
        "model": {
            "base": bare_name(base.name),
            "base revision": base.revision,
            "base digest": base.digest,
            "architecture": base.architecture,
            "parameters": base.parameters,
            "licence": base.licence or "unknown",
            "chat template": checkpoint.chat_template_hash,
            "chat template of the answers": story.expert.chat_template_hash,
            "folder on the machine that made this": base.path,
        },
        "artifacts": {
            "base": base.id,
            "profile": story.profile.id,
            "snapshot": snapshot.id,
            "tokens": tokens.id,
            "checkpoint": checkpoint.id,
            "expert": story.expert.id,
        },
        "training": {
            "strategy": checkpoint.strategy,
            "trained weights": checkpoint.trainable,
            "steps": checkpoint.steps,
            "epochs": round(checkpoint.epochs, 3),
            "seeds": list(report.seeds),
            "seconds": round(checkpoint.seconds, 1),
            "tokens per second": round(checkpoint.tokens_per_second, 1),
            "peak memory GB": round(checkpoint.peak_memory_gb, 2),
        },
        "data": {
            "rows read": snapshot.rows_in,
            "rows kept": snapshot.kept,
            "dropped": snapshot.dropped,
            "splits": snapshot.splits,
            "groups": snapshot.groups,
            **leaks(snapshot.leakage),
            "training tokens": tokens.tokens,
            "trained tokens": tokens.trained,
            "cut tokens": tokens.cut,
        },
        "software": {"tunesmith": __version__, "python": platform.python_version(), **checkpoint.versions},
    }
