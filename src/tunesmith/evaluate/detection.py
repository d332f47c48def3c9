"""Questions from outside the domain: what the stage fits, measures and stores, and what whoever serves the expert asks.

The fitted detector lies beside the report, not in the expert: an expert is finished before it is judged, and its id is
the digest of its files. A report names the expert that it judged among its inputs, and nothing is released without one.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.examples import iterate_examples
from tunesmith.core.protocols import Conversation
from tunesmith.core.types import Example, Expert, Measure, Message, Report
from tunesmith.evaluate.asking import at_hand
from tunesmith.evaluate.detecting import JSON, Fitted, fit, needs_base
from tunesmith.evaluate.memory.membership import area
from tunesmith.evaluate.statistics import share_interval
from tunesmith.evaluate.thresholds import sure_threshold
from tunesmith.models.features import Features, common_start, features_of, own_tokens

if TYPE_CHECKING:
    from tunesmith.evaluate.safety import Inputs


@dataclass(frozen=True)
class Look:
    """What a detector says of one question.

    Args:
        outside: whether it is taken for one from outside the domain.
        score: the fused score; `threshold`: from which on it is.
        parts: detector -> its own score on the common scale.
    """

    outside: bool
    score: float
    threshold: float
    parts: dict[str, float]


def open_detector(report: Report, expert: Expert) -> Fitted:
    """The detector that was fitted when `expert` was evaluated.

    Raises:
        UserError: the report is on another expert, or no detector was asked for.
        CorruptArtifact: its files are not those that were written.
    """
    where = str(report.folder) if report.folder else report.id
    if expert.id not in report.inputs:
        found = f"report {report.id} is not on the expert {expert.id}"
        raise UserError(Problem("other-expert", found, "take the report of the run that made it", where))
    if report.folder is None or not report.file(JSON).is_file():
        hint = "name detectors in evaluate.safety.detect.use and run again"
        raise UserError(Problem("no-detector", "no detector was fitted", hint, where))
    return Fitted.load(report.folder)


def look(fitted: Fitted, answerer: Any, conversations: Sequence[Conversation], *, base: Any = None) -> list[Look]:
    """What the detector says of each question, before it is answered.

    Args:
        fitted: of this expert, see `open_detector`.
        answerer: the expert, open in this process.
        conversations: what is asked, the domain's system turn included.
        base: the base model, open too; wanted where `needs_base(fitted.uses)` and the adapter is merged.

    Raises:
        UserError: the answerer shows no hidden states, or the base is wanted.
    """
    seen = inside(answerer)
    if seen is None:
        found = f"{answerer.name} shows no hidden states"
        raise UserError(Problem("no-states", found, "open the expert itself, not an endpoint"))
    plain = inside(base) if base is not None else None
    if needs_base(fitted.uses) and plain is None and not hasattr(seen[0], "disable_adapter"):
        hint = "open the base model too, or keep the adapter beside it"
        raise UserError(Problem("no-base", "a detector compares the expert with its base", hint))
    if not conversations:
        return []
    features = features_of(*seen, conversations, prefix=fitted.prefix, base=plain[0] if plain else None)
    scores = fitted.scores(features)
    return [
        Look(
            bool(fused > fitted.threshold),
            float(fused),
            fitted.threshold,
            {name: float(values[n]) for name, values in scores.items() if name != "fused"},
        )
        for n, fused in enumerate(scores["fused"])
    ]


def inside(answerer: Any) -> tuple[Any, Any] | None:
    """The model and the chat of an answerer, or of the one it answers through; None where it is not in this process."""
    one = at_hand(answerer)
    return (one.model, one.chat) if one is not None else None


# -- at work in the stage -------------------------------------------------------------------------------


def detect(
    answerer: Any, examples: Sequence[Example], how: Inputs, training: Sequence[Example]
) -> tuple[list[Measure], list[str]]:
    """Fit, calibrate and measure; returns measures and notes. Files: `detector.json`, `detector.safetensors`.

    Detectors learn from training questions and half of the general texts; the threshold comes of validation questions,
    which were not trained on, or of training questions kept apart where those are too few. Measured on held-out
    questions against the other half of the general texts.

    Args:
        answerer: the expert.
        examples: the held-out rows.
        how: spec, snapshot, context, base.
        training: training questions.
    """
    seen = inside(answerer)
    if seen is None:
        return [], [f"{answerer.name} shows no hidden states: no detector was fitted"]
    spec = how.safety.detect
    uses = [use.model_dump() for use in spec.use]
    fitting, calibrating, further, told = _divided(training, how)
    if not fitting or not calibrating:
        return [], [f"{len(training)} training questions: too few to fit a detector"]
    own = [row.prompt for row in [*fitting, *calibrating]]
    prefix = common_start(seen[1], own)
    system = [message for message in own[0][:1] if message.role == "system" and all(message == c[0] for c in own)]
    general = [(*system, Message(role="user", content=text)) for text in general_texts()]
    new = [row.prompt for row in examples[: spec.rows]]
    with ExitStack() as stack:
        base = None
        if needs_base(uses) and not hasattr(seen[0], "disable_adapter") and how.base is not None:
            plain = inside(stack.enter_context(how.context.open(how.base)))
            base = plain[0] if plain else None
        ours, others, held_out = (
            features_of(*seen, some, prefix=prefix, base=base, on_progress=partial(_tell, how, what))
            for what, some in (("training questions", own), ("general texts", general), ("held-out questions", new))
        )
    words = own_tokens(seen[1], [row.prompt for row in further], prefix=prefix)
    fitted = fit(
        replace(ours.take(range(len(fitting))), more_ids=words),
        others.take(range(0, len(general), 2)),
        ours.take(range(len(fitting), len(own))),
        uses=uses,
        false_alarms=spec.false_alarms,
        delta=spec.delta,
        prefix=prefix,
    )
    fitted.save(how.context.out)
    if not math.isfinite(fitted.threshold):
        told.append(f"{len(calibrating)} questions cannot hold {spec.false_alarms:.0%} of false alarms: none is raised")
    far = others.take(range(1, len(general), 2))
    return [*_areas(fitted, held_out, far, how.spec.level), _alarmed(fitted, held_out, examples, how.spec.level)], told


def _tell(how: Inputs, what: str, done: int, total: int) -> None:
    how.context.events.tell("progress", how.stage, f"hidden states of {what}", done=done, total=total, unit="rows")


def general_texts() -> list[str]:
    """Texts of no domain: requests, prose, records, code and noise, in two dozen languages; kinds stand mixed."""
    from tunesmith.evaluate.retention import items, passages, question_text

    lines = (files("tunesmith.evaluate") / "general" / "background.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [*passages().values(), *map(question_text, items()), *(json.loads(line)["text"] for line in lines)]
    return sorted(texts, key=lambda text: hashlib.sha256(text.encode()).digest())


def _divided(training: Sequence[Example], how: Inputs) -> tuple[list[Example], list[Example], list[Example], list[str]]:
    """Questions to learn from, to calibrate on, to take the words of only; and what must be said of them."""
    spec = how.safety.detect
    rows = iterate_examples(how.snapshot.file("examples.parquet"), "valid")
    apart = [row for row in rows if row.prompt][: spec.rows]
    if math.isfinite(sure_threshold(np.arange(len(apart), dtype=np.float64), spec.false_alarms, spec.delta)):
        return list(training[: spec.rows]), apart, list(training[spec.rows :]), []
    held = [row for row in training if hashlib.sha256(f"calibrate {row.group or row.id}".encode()).digest()[0] % 4 == 0]
    held = (held or list(training[::4]))[: max(100, spec.rows // 3)]
    groups, kept = {row.group for row in held} - {None}, {row.id for row in held}
    others = [row for row in training if row.id not in kept and row.group not in groups]
    note = f"false alarms are calibrated on {len(held)} training questions: {len(apart)} for validation are too few"
    return others[: spec.rows], held, others[spec.rows :], [note]


def _areas(fitted: Fitted, inside: Features, outside: Features, level: float) -> list[Measure]:
    """`ood_auroc` of the fused score and of each detector."""
    ours, theirs = fitted.scores(inside), fitted.scores(outside)
    found = []
    for name in ("fused", *fitted.uses):
        told = area(theirs[name], ours[name])
        low, high = told.interval(level)
        found.append(
            Measure(
                name="ood_auroc", model="expert", value=told.value, low=low, high=high, level=level,
                n=len(inside) + len(outside), slice="all" if name == "fused" else f"detector={name}",
                method="DeLong, against general texts of no domain",
            )
        )  # fmt: skip
    return found


def _alarmed(fitted: Fitted, inside: Features, rows: Sequence[Example], level: float) -> Measure:
    hits = np.array(fitted.alarms(inside), dtype=np.float64)
    clusters = [f"group:{row.group}" if row.group is not None else f"row:{row.id}" for row in rows[: len(hits)]]
    interval = share_interval(hits, clusters, level=level)
    return Measure(
        name="ood_false_alarms", model="expert", value=float(hits.mean()), low=interval.low, high=interval.high,
        level=level, n=len(hits), method=interval.method,
    )  # fmt: skip
