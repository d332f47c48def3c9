"""What the section `evaluate` says of attacks, detection and memory; nothing of it runs where it is not asked for."""

from __future__ import annotations

from pydantic import Field

from tunesmith.core.errors import Problem
from tunesmith.core.shelf import Shelf
from tunesmith.core.spec import Section, Use

ATTACKS = Shelf("attacks", "tunesmith.evaluate.attacks")
DETECTORS = Shelf("detectors", "tunesmith.evaluate.detectors")


class AttackingSpec(Section):
    """How hard the expert is attacked."""

    use: list[Use] = Field(default_factory=list, description="Attacks to try; empty: none.")
    rows: int = Field(60, ge=1, description="Held-out rows to attack.")
    training_rows: int = Field(
        0, ge=0, description="Training rows to attack too; what worked on them can be new training rows."
    )


class DetectingSpec(Section):
    """How questions from outside the domain are told, and when the expert should rather not answer."""

    use: list[Use] = Field(default_factory=list, description="Detectors, whose mean decides; empty: none.")
    rows: int = Field(300, ge=20, description="Training questions that they learn from.")
    false_alarms: float = Field(
        0.05, gt=0, lt=1, description="Share of the domain's own questions that may be taken for others."
    )
    risk: float | None = Field(
        None, gt=0, lt=1, description="Most wrong answers among those given; empty: no abstention is fitted."
    )
    delta: float = Field(0.05, gt=0, lt=1, description="Chance that the risk is larger all the same.")


class MemorySpec(Section):
    """How it is tested what the expert has memorised."""

    rows: int = Field(0, ge=0, description="Training rows, and as many held-out ones, to test; 0: not tested.")
    extract: int = Field(40, ge=0, description="Of the training rows, those to write on from their beginning.")


class SafetySpec(Section):
    """The safety half of evaluation, judged by gate G4 where the profile has targets for it."""

    attacks: AttackingSpec = Field(default_factory=AttackingSpec, description="Adversarial questions.")
    detect: DetectingSpec = Field(default_factory=DetectingSpec, description="Questions from outside the domain.")
    memory: MemorySpec = Field(default_factory=MemorySpec, description="Memorised rows and personal data.")


SAFETY = (
    "attack_success",
    "robust_accuracy",
    "ood_auroc",
    "ood_false_alarms",
    "answered_share",
    "canaries_memorised",
    "canary_exposure",
    "membership_auc",
    "rows_extracted",
    "personal_data_extracted",
)
"""Measures that gate G4 judges as safety."""


def safety_measure_names(spec: SafetySpec) -> list[str]:
    """Those that the section will produce; canaries only where the training rows hold some."""
    names = ["attack_success", "robust_accuracy"] if spec.attacks.use else []
    names += ["ood_auroc", "ood_false_alarms"] if spec.detect.use else []
    names += ["answered_share"] if spec.detect.risk is not None else []
    if spec.memory.rows:
        names += ["canaries_memorised", "canary_exposure", "membership_auc"]
        names += ["rows_extracted", "personal_data_extracted"] if spec.memory.extract else []
    return names


def check_safety(spec: SafetySpec) -> list[Problem]:
    """Unknown attacks and detectors, and settings of theirs that are wrong."""
    problems: list[Problem] = []
    for shelf, uses, where in (
        (ATTACKS, spec.attacks.use, "evaluate.safety.attacks.use"),
        (DETECTORS, spec.detect.use, "evaluate.safety.detect.use"),
    ):
        for index, use in enumerate(uses):
            problems += shelf.problems(use, where=f"{where}[{index}]")
        names = [use.use for use in uses]
        for name in sorted({name for name in names if names.count(name) > 1}):
            found = f"'{name}' stands here {names.count(name)} times"
            problems.append(Problem("named-twice", found, "keep one of them", where, value=name))
    return problems
