"""The question with the request to think step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.core.protocols import Conversation
from tunesmith.reason.line import Job
from tunesmith.reason.paths._asking import Asking, with_instruction

ENGLISH = "Think step by step. Then give the final answer on a last line that begins with `Answer:`."
CHINESE = "请一步一步地思考，最后另起一行，以“答案：”开头给出最终答案。"


@dataclass(frozen=True)
class ZeroShot(Asking):
    """The question with the request to think step by step (Kojima et al., 2022), in English or Chinese as it is."""

    def put(self, job: Job, questions: Sequence[Conversation]) -> list[Conversation]:
        """The questions with the request behind them."""
        return [with_instruction(question, ENGLISH, CHINESE) for question in questions]
