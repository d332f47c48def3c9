"""What the section `evaluate` says of attacks, detection and memory; nothing of it runs where it is not asked for."""

from __future__ import annotations

import os
import shutil
from typing import Annotated

from pydantic import Field

from tunesmith.core.errors import Problem
from tunesmith.core.shelf import Shelf
from tunesmith.core.spec import Section, Use

ATTACKS = Shelf("attacks", "tunesmith.evaluate.attacks")
DETECTORS = Shelf("detectors", "tunesmith.evaluate.detectors")

VARIABLE = "TUNESMITH_GARAK"
GARAK = "garak"
REPLAYED = f"{GARAK}.recorded"
"""The attack that asks again what garak found earlier."""

Probe = Annotated[str, Field(pattern=r"^[a-z0-9_]+(\.[A-Za-z0-9_]+)?$")]
"""A family of garak's probes, or one of them: `promptinject`, `encoding.InjectBase64`."""


class AttackingSpec(Section):
    """How hard the expert is attacked."""

    use: list[Use] = Field(default_factory=list, description="Attacks to try; empty: none.")
    rows: int = Field(60, ge=1, description="Held-out rows to attack.")
    training_rows: int = Field(
        0, ge=0, description="Training rows to attack too; what worked on them can be new training rows."
    )


class GarakSpec(Section):
    """What garak asks the expert, where garak is installed; see docs/robustness.md."""

    probes: list[Probe] = Field(
        default_factory=list,
        description="Probes, by family or one by one (`promptinject`, `encoding.InjectBase64`); empty: not called.",
    )
    prompts: int = Field(40, ge=1, description="Most prompts of one probe.")
    tokens: int = Field(150, ge=1, description="Longest answer, in tokens.")
    minutes: float = Field(30.0, gt=0, description="Wall time after which garak is stopped.")
    replay: str = Field("", description="`attacks.jsonl` of an earlier report: what garak found is asked again.")


class DetectingSpec(Section):
    """How questions from outside the domain are told, and when the expert should rather not answer."""

    use: list[Use] = Field(default_factory=list, description="Detectors, which decide together; empty: none.")
    rows: int = Field(600, ge=20, description="Training questions that they learn from.")
    false_alarms: float = Field(
        0.05, gt=0, lt=1, description="Share of the domain's own questions that may be taken for others."
    )
    risk: float | None = Field(
        None, gt=0, lt=1, description="Most wrong answers among those given; empty: no abstention is fitted."
    )
    delta: float = Field(
        0.05, gt=0, lt=1, description="Chance that the risk, or the share of false alarms, is larger all the same."
    )


class MemorySpec(Section):
    """How it is tested what the expert has memorised."""

    rows: int = Field(0, ge=0, description="Training rows, and as many held-out ones, to test; 0: not tested.")
    extract: int = Field(40, ge=0, description="Of the training rows, those to write on from their beginning.")


class SafetySpec(Section):
    """The safety half of evaluation, judged by gate G4 where the profile has targets for it."""

    attacks: AttackingSpec = Field(default_factory=AttackingSpec, description="Adversarial questions.")
    garak: GarakSpec = Field(default_factory=GarakSpec, description="Probes of garak, a scanner of its own.")
    detect: DetectingSpec = Field(default_factory=DetectingSpec, description="Questions from outside the domain.")
    memory: MemorySpec = Field(default_factory=MemorySpec, description="Memorised rows and personal data.")


SAFETY: dict[str, tuple[float | None, float | None, str, bool, str]] = {
    "attack_success": (0, 1, "share", False, "rows answered rightly whose right answer an attack took away"),
    "robust_accuracy": (0, 1, "share", True, "attacked rows that are right as they stand and under every attack"),
    "ood_auroc": (0, 1, "share", True, "chance that general text looks less like the domain than a held-out question"),
    "ood_false_alarms": (0, 1, "share", False, "held-out questions that are taken for ones of another domain"),
    "answered_share": (0, 1, "share", True, "questions that can be answered at the chosen risk of being wrong"),
    "canaries_memorised": (0, 1, "share", False, "planted secrets that the expert finds likelier than chance allows"),
    "canary_exposure": (0, None, "bits", False, "mean exposure of planted secrets; 29.9 bits are the whole secret"),
    "membership_auc": (0, 1, "share", False, "how well likelihoods tell training rows from others; 0.5 tells nothing"),
    "rows_extracted": (0, 1, "share", False, "training rows whose rest the expert writes word for word"),
    "personal_data_extracted": (0, 1, "share", False, "training rows whose personal data the expert writes"),
}
"""Measures that gate G4 judges as safety: range, unit, whether higher is better, and a sentence; see `MeasureInfo`."""


def safety_measure_names(spec: SafetySpec) -> list[str]:
    """Those that the section will produce; canaries only where the training rows hold some."""
    names = ["attack_success", "robust_accuracy"] if spec.attacks.use else []
    names += ["attack_success"] if garak_names(spec.garak) and not spec.attacks.use else []
    names += ["ood_auroc", "ood_false_alarms"] if spec.detect.use else []
    names += ["answered_share"] if spec.detect.risk is not None else []
    if spec.memory.rows:
        names += ["canaries_memorised", "canary_exposure", "membership_auc"]
        names += ["rows_extracted", "personal_data_extracted"] if spec.memory.extract else []
    return names


def garak_names(spec: GarakSpec) -> list[str]:
    """What garak's part is called among the attacks: `garak.PROBE` for each probe, `garak.recorded`."""
    return [f"{GARAK}.{probe}" for probe in spec.probes] + ([REPLAYED] if spec.replay else [])


def found_garak() -> str | None:
    """Where the command garak is: the one that `TUNESMITH_GARAK` names, else the first on the path."""
    return shutil.which(os.environ.get(VARIABLE) or "garak")


def safety_slices(spec: SafetySpec) -> dict[str, list[str]]:
    """Measure -> the slices that it is also taken over: single attacks, detectors, attackers of membership."""
    attacks = [f"attack={use.use}" for use in spec.attacks.use]
    asked = [f"attack={name}" for name in garak_names(spec.garak)]
    found = {"attack_success": [*attacks, *asked], "robust_accuracy": attacks}
    found["ood_auroc"] = [f"detector={use.use}" for use in spec.detect.use]
    found["membership_auc"] = ["attacker=loss", "attacker=min_k"] if spec.memory.rows else []
    return {name: slices for name, slices in found.items() if slices}


def safety_files(spec: SafetySpec) -> dict[str, str]:
    """Files that attacks name: place in the section `evaluate` -> path, relative to the project."""
    uses = enumerate(spec.attacks.use)
    named = {f"safety.attacks.use[{n}]": str(use.settings["path"]) for n, use in uses if "path" in use.settings}
    return named | ({"safety.garak.replay": spec.garak.replay} if spec.garak.replay else {})


def check_safety(spec: SafetySpec) -> list[Problem]:
    """Unknown attacks and detectors, settings of theirs that are wrong, and garak where it is wanted and not there."""
    problems: list[Problem] = _no_garak() if spec.garak.probes and found_garak() is None else []
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


def _no_garak() -> list[Problem]:
    wished = os.environ.get(VARIABLE)
    found = f"'{wished}', which {VARIABLE} names, is not there" if wished else "garak is not installed"
    hint = f"install it in an environment of its own (docs/robustness.md) and name it: {VARIABLE}=/opt/garak/bin/garak"
    return [Problem("needs-garak", found, hint, "evaluate.safety.garak.probes")]
