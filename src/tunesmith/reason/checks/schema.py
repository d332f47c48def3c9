"""The answer's form: JSON with given fields, one of given labels, a number, an option."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from tunesmith.core.protocols import Conversation
from tunesmith.reason.chains import Chain, Finding
from tunesmith.reason.equal import Equal

_FENCE = re.compile(r"```(?:json)?[ \t]*\n(.*?)\n?```", re.DOTALL)
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
_MOST_CHARACTERS = 1_000_000

FieldType = Literal["string", "number", "integer", "boolean", "array", "object"]


@dataclass(frozen=True)
class Schema:
    """Whether the answer has the form that was asked for.

    Args:
        form: `json` an object with `fields`; else what the whole answer must be, see `tunesmith.reason.equal`.
        fields: for `json`: name -> type; each must be there.
        choices: labels or options that are allowed.
    """

    form: Literal["json", "number", "option", "yes_no", "label", "list"] = "json"
    fields: dict[str, FieldType] = field(default_factory=dict)
    choices: tuple[str, ...] = ()

    def look(self, question: Conversation, chain: Chain) -> list[Finding]:
        """One finding, for or against; reasoning has no form, only the answer is looked at."""
        text = chain.answer.text
        wrong = self._wrong_json(text) if self.form == "json" else self._wrong_text(text)
        verdict: Literal["for", "against"] = "against" if wrong else "for"
        return [Finding(check="schema", verdict=verdict, detail=wrong or f"the answer is {self.form}")]

    def _wrong_text(self, text: str) -> str:
        fits = Equal(self.form, self.choices).canonical(text) if self.form != "json" else None
        return "" if fits is not None else f"the answer is no {self.form}"

    def _wrong_json(self, text: str) -> str:
        fenced = _FENCE.search(text[:_MOST_CHARACTERS])
        try:
            value: Any = json.loads(fenced[1] if fenced else text[:_MOST_CHARACTERS])
        except (ValueError, RecursionError):
            return "the answer is no JSON"
        if not isinstance(value, dict):
            return "the answer is no JSON object"
        missing = [name for name in self.fields if name not in value]
        other = [name for name, kind in self.fields.items() if name in value and not _has_type(value[name], kind)]
        parts = [f"'{name}' is missing" for name in missing] + [f"'{name}' is no {self.fields[name]}" for name in other]
        return ", ".join(parts)


def _has_type(value: Any, kind: FieldType) -> bool:
    """JSON's types: true is no number."""
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
