"""Which languages go on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from tunesmith.core.errors import Problem, UserError, did_you_mean
from tunesmith.core.types import Example, Refusal
from tunesmith.data.filter._documents import said


@dataclass(frozen=True)
class Language:
    """Refuses rows in other languages than those that are asked for (py3langid).

    The longest text of a row decides, if it has at least `at_least_letters` letters; shorter ones cannot be told and
    pass. Source: Lui and Baldwin 2012 (langid.py), in py3langid's model.

    Args:
        allow: ISO 639-1 codes.
        surely: probability with which the row must be in another language to be refused (0.65 is FineWeb's threshold
            for keeping, arXiv:2406.17557, section 3.3).
        at_least_letters: fewer letters are not judged.
    """

    allow: tuple[str, ...] = ("en", "zh")
    surely: float = 0.65
    at_least_letters: int = 40

    def __post_init__(self) -> None:
        """Refuses codes that the model does not know."""
        known = set(_identifier().labels)
        wrong = [code for code in self.allow if code not in known]
        if wrong:
            message = "no language of the model has the code"
            raise UserError([Problem("unknown-language", f"{message} '{c}'", did_you_mean(c, known)) for c in wrong])

    def judge(self, example: Example) -> Refusal | None:
        """`other-language`, with the language and its probability."""
        text = max(said(example), key=len, default="")
        if sum(map(str.isalpha, text)) < self.at_least_letters:
            return None
        language, probability = _identifier().classify(text)
        if language in self.allow or probability < self.surely:
            return None
        return Refusal(reason="other-language", detail=f"{language} ({probability:.2f})")


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
