"""Does every phase read what its terms need? Told before anything heavy begins."""

from __future__ import annotations

from tunesmith.core.errors import Problem, UserError
from tunesmith.tune.spec import Phase, TuneSpec

BOTH = "supervised_and_prompts"


def reading_problems(spec: TuneSpec) -> list[Problem]:
    """Terms in phases whose rows they cannot read, and shares of a curriculum that nothing is divided between.

    A term says what it reads by `reads`, a tuple of values of `Phase.rows`; one that does not say reads any rows.
    """
    found = []
    for number, phase in enumerate(spec.phases or (Phase(),)):
        where = f"tune.phases[{number}]" if spec.phases and phase.objective else "tune"
        uses = spec.objective if phase.objective is None else phase.objective
        for place, use in enumerate(uses):
            reads = _reads(use.use)
            if reads and phase.rows not in reads:
                message = f"{use.use} reads `rows: {reads[0]}`, and the phase has `rows: {phase.rows}`"
                hint = f"tune.phases: [{{rows: {reads[0]}, objective: [{{use: {use.use}}}]}}]"
                found.append(Problem("needs-rows", message, hint, f"{where}.objective[{place}]"))
    if spec.curriculum.supervised and all(phase.rows != BOTH for phase in spec.phases):
        message = "there is no phase in which supervised and rewarded terms could share the weight"
        hint = f"add a phase with `rows: {BOTH}`, or leave the shares out"
        found.append(Problem("nothing-to-divide", message, hint, "tune.curriculum.supervised"))
    return found


def _reads(name: str) -> tuple[str, ...]:
    from tunesmith.tune.objective import TERMS

    try:
        return tuple(getattr(TERMS.get(name), "reads", ()))
    except UserError:
        return ()  # an unknown term is told elsewhere
