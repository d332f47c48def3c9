"""A plan first, then its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.core.protocols import Conversation
from tunesmith.core.types import Answer, Message
from tunesmith.reason.line import Job, total, unscored
from tunesmith.reason.paths._asking import Asking, with_instruction

PLAN = (
    "First understand the problem and write a plan of its steps, one a line. Do not solve it yet.",
    "请先理解问题，写出解题计划，每行一个步骤，暂时不要求解。",
)
SOLVE = (
    "Now carry out the plan step by step. Give the final answer on a last line that begins with `Answer:`.",
    "现在按计划一步一步求解，最后另起一行，以“答案：”开头给出最终答案。",
)


@dataclass(frozen=True)
class PlanThenSolve(Asking):
    """Asks for a plan and then to carry it out, in two turns (after Wang et al., 2023, Plan-and-Solve).

    The plan stands in the chain's reasoning; a path whose plan could not be had ends there.
    """

    def said(
        self, job: Job, questions: Sequence[Conversation], draws: Sequence[range], *, likeliest: bool = False
    ) -> list[list[Answer]]:
        """For each question its answers with these numbers, each by a plan of its own."""
        asked = [with_instruction(question, *PLAN) for question in questions]
        plans = job.sample(asked, draws, likeliest=likeliest)
        turns = [
            (number, [*ask, Message(role="assistant", content=plan.text), _solve(question)], plan)
            for question, ask, numbers, some in zip(questions, asked, draws, plans, strict=True)
            for number, plan in zip(numbers, some, strict=True)
        ]
        good = [turn for turn in turns if not unscored(turn[2])]
        solved = iter(job.sample([t for _, t, _ in good], [range(n, n + 1) for n, _, _ in good], likeliest=likeliest))
        both = iter([plan if unscored(plan) else _joined(plan, next(solved)[0]) for _, _, plan in turns])
        return [[next(both) for _ in some] for some in plans]


def _solve(question: Conversation) -> Message:
    """The request to carry out the plan, in the question's language."""
    empty = with_instruction([message for message in question if message.role == "user"][-1:], *SOLVE)
    told = next((message.content.rpartition("\n\n")[2] for message in empty), SOLVE[0])
    return Message(role="user", content=told)


def _joined(plan: Answer, solution: Answer) -> Answer:
    """The solution with plan and thoughts as its reasoning, and the cost of both."""
    thoughts = [part for part in (plan.reasoning, plan.text, solution.reasoning) if part]
    chances = (plan.log_probability, solution.log_probability)
    known = None if None in chances else sum(chance for chance in chances if chance is not None)
    return solution.model_copy(
        update={
            "reasoning": "\n\n".join(thoughts),
            "usage": total([plan.usage, solution.usage]),
            "log_probability": known,
        }
    )
