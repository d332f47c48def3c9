"""Scorer: is the answer JSON, and of the form that was asked for."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from tunesmith.core.types import Answer, Example, Score

_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)\n?```", re.DOTALL)


@dataclass(frozen=True)
class ValidJson:
    """1 where the answer is one JSON value that the schema accepts, else 0; the reference does not count.

    A value inside one code fence is read too, as chat models write it; text before or after it is not forgiven.

    Args:
        json_schema: a JSON schema (draft 2020-12 unless it names another); empty: any JSON value. References to other
            addresses are not followed.
        fenced: accept a value in a code fence.
    """

    json_schema: dict[str, Any] = field(default_factory=dict)
    fenced: bool = True

    def score(self, example: Example, answer: Answer) -> Score:
        """1 or 0; unscored where the answerer failed, or the schema itself is none."""
        del example
        if answer.stop == "error":
            return Score(value=None, unscored="answer-error")
        text = answer.text.strip()
        fence = _FENCE.fullmatch(text) if self.fenced else None
        try:
            value = json.loads(fence[1] if fence else text, parse_constant=_no_number)
        except (ValueError, RecursionError):
            return Score(value=0.0)
        return self._judged(value)

    def _judged(self, value: Any) -> Score:
        if not self.json_schema:
            return Score(value=1.0)
        from jsonschema import exceptions, validators

        judge = validators.validator_for(self.json_schema, default=validators.Draft202012Validator)
        try:
            judge.check_schema(self.json_schema)
            return Score(value=float(judge(self.json_schema).is_valid(value)))
        except exceptions.SchemaError:
            return Score(value=None, unscored="schema-invalid")
        except Exception as error:  # an unknown reference; its class belongs to a library of jsonschema's
            return Score(value=None, unscored=f"schema-unusable: {type(error).__name__}")


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
