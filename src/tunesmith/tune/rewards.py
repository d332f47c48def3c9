"""What is asked while training, and what an answer is worth: prompts from the examples, scorers by name."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.protocols import Scorer
from tunesmith.core.types import Answer, Example
from tunesmith.tune.objective import weighted

if TYPE_CHECKING:
    from tunesmith.models.chat import Chat
    from tunesmith.tune.spec import TuneSpec

TERM = "policy_gradient"
SAMPLING = ("prompts", "supervised_and_prompts")


@dataclass(frozen=True)
class Prompt:
    """One question.

    Args:
        example: that it comes from.
        ids: the prompt as it is served, generation prompt included.
        number: of the training row that it stands for.
    """

    example: Example
    ids: tuple[int, ...]
    number: int


@dataclass(frozen=True)
class Rewards:
    """The weighted sum of scores.

    Args:
        scorers: name -> weight and scorer.
    """

    scorers: Mapping[str, tuple[float, Scorer]]

    @classmethod
    def build(cls, uses: Sequence[Any], scorer: Callable[[Any], Scorer]) -> Rewards:
        """From `[{use: exact_match, weight: 1.0, ...}, ...]`; two of the same scorer are told apart by a number.

        Raises:
            UserError: a scorer is unknown, or a setting of it: all of them at once.
        """
        made: dict[str, tuple[float, Scorer]] = {}
        problems: list[Problem] = []
        for use in uses:
            name, weight, settings = weighted(use)
            same = sum(known.partition("#")[0] == name for known in made)
            try:
                made[f"{name}#{same + 1}" if same else name] = weight, scorer(settings)
            except UserError as error:
                problems += error.problems
        if problems:
            raise UserError(problems)
        return cls(made)

    @property
    def highest(self) -> float:
        """The reward of an answer that every scorer gives its 1."""
        return sum(weight for weight, _ in self.scorers.values())

    def of(self, example: Example, answer: Answer) -> tuple[float, str]:
        """The reward and "", or NaN and why there is none: an answer that cannot be judged is not a bad one."""
        total = 0.0
        for name, (weight, scorer) in self.scorers.items():
            try:
                score = scorer.score(example, answer)
            except Exception as error:  # a scorer is a component of anybody's; its fault must not end a training
                return math.nan, f"{name}: {type(error).__name__}: {error}"
            if score.value is None or not math.isfinite(score.value):
                return math.nan, f"{name}: {score.unscored or f'the score is {score.value}'}"
            total += weight * score.value
        return total, ""


def prompts_of(
    rows: Sequence[tuple[int, str]], examples: Mapping[str, Example], chat: Chat, *, longest: int
) -> tuple[list[Prompt], Counter[str]]:
    """The prompt of every example once, and how many examples have none that can be used: reason -> count.

    Args:
        rows: number and example id of the training rows; an example may have several.
        examples: by id.
        chat: renders them as they are served.
        longest: most tokens of a prompt that leave room for the answer.
    """
    prompts: list[Prompt] = []
    dropped: Counter[str] = Counter()
    for name, number in {name: number for number, name in reversed(rows)}.items():
        example = examples.get(name)
        if example is None:
            dropped["not in the snapshot"] += 1
            continue
        try:
            ids = tuple(chat.prompt(example.prompt, example.tools))
        except UserError as error:
            dropped[error.problems[0].code] += 1
            continue
        if len(ids) > longest:
            dropped[f"longer than {longest:,} tokens, so that an answer does not fit into the context"] += 1
        else:
            prompts.append(Prompt(example, ids, number))
    return sorted(prompts, key=lambda prompt: prompt.number), dropped


def reward_problems(spec: TuneSpec) -> list[Problem]:
    """Phases that sample answers and have not exactly one term to reward them."""
    found = []
    for number, phase in enumerate(spec.phases):
        terms = sum(use.use == TERM for use in phase.objective or spec.objective)
        if phase.rows in SAMPLING and terms != 1:
            said = f"`rows: {phase.rows}` needs exactly one term `{TERM}` in the objective, found {terms}"
            hint = f"objective: [{{use: {TERM}, reward: [{{use: exact_match}}]}}]"
            found.append(Problem("no-reward", said, hint, f"tune.phases[{number}].objective"))
    return found
