"""Answers made equal: one canonical form for all ways to write the same answer, so that chains can vote together."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from tunesmith.core.errors import MissingLibrary, Problem
from tunesmith.reason.numerals import narrowed, read_number, shown
from tunesmith.reason.tokens import tokens_of

Kind = Literal["auto", "number", "quantity", "option", "yes_no", "label", "set", "list", "expression", "text"]

MOST_CHARACTERS = 1000
"""Longer than this nothing is a final answer; longer texts have no canonical form."""

_YES = frozenset(["yes", "true", "correct", "right", "yeah", "是", "是的", "对", "正确", "有", "会", "能", "可以"])
_NO = frozenset(
    [
        "no",
        "false",
        "incorrect",
        "wrong",
        "nope",
        "not",
        "否",
        "不是",
        "不",
        "不对",
        "错",
        "错误",
        "没有",
        "不会",
        "不能",
        "不可以",
    ]
)
_UNSURE = frozenset(["maybe", "perhaps", "unclear", "uncertain", "unknown", "也许", "不确定", "可能"])
_MARKUP = re.compile(r"\\(?:text|mathrm|mathbf|textbf|boxed)\s*\{([^{}]*)\}|\*\*|__|`|\\[,;!]|\\left|\\right|\$\$")
_LETTER = re.compile(r"(?:option|choice|answer|选项|选)?\s*[(（\[]?\s*([A-Za-z])\s*[)）\].:：、]?", re.IGNORECASE)
_LETTER_THEN = re.compile(r"(?:option |choice )?(?:[(（\[]([A-Za-z])[)）\]]|([A-Z])[.:：、)])\s*\S")
_BETWEEN = re.compile(r"\s*(?:[,;，；、]\s*(?:and\s+)?|\band\b|和)\s*")
_ARTICLE = re.compile(r"^(?:the|an?)\s+")


@dataclass(frozen=True)
class Equal:
    """When two answers count as the same.

    Args:
        kind: what answers are. `number`: currency, per cent sign and unit words do not count (`$1,250.00`
            is `1250 dollars`).
            `quantity`: units are converted (`5 km` is `5000 m`; needs pint). `option`: a letter or an option's own
            words. `yes_no`: also maybe. `label`: one of `choices`. `set`, `list`: parts, without and with order.
            `expression`: mathematics in LaTeX (needs math-verify). `text`: case, width, punctuation and articles do
            not count. `auto`: the first of option or label (where there are choices), number, yes_no, text that fits.
        choices: the labels, or the texts of the options A, B, C, ...
    """

    kind: Kind = "auto"
    choices: tuple[str, ...] = ()

    def canonical(self, text: str) -> str | None:
        """The one form of an answer; None where it is no answer of this kind. Takes its own output as it is."""
        bare = unmarked(text)
        if not bare or len(text) > MOST_CHARACTERS:
            return None
        return self._by_kind(self.kind, bare)

    def same(self, first: str, second: str) -> bool:
        """Whether both are answers of this kind, and the same one."""
        form = self.canonical(first)
        return form is not None and form == self.canonical(second)

    def _by_kind(self, kind: Kind, bare: str) -> str | None:
        match kind:
            case "number":
                return as_number(bare)
            case "quantity":
                return as_quantity(bare)
            case "option":
                return as_option(bare, self.choices)
            case "label":
                return as_label(bare, self.choices)
            case "yes_no":
                return as_yes_no(bare)
            case "set" | "list":
                return as_parts(bare, ordered=kind == "list")
            case "expression":
                return as_expression(bare)
            case "text":
                return folded(bare) or None
        tries: list[Kind] = ["label", "option"] if self.choices else ["number", "yes_no"]
        found = (self._by_kind(one, bare) for one in [*tries, "text"])
        return next((form for form in found if form is not None), None)


def unmarked(text: str) -> str:
    """An answer without emphasis, LaTeX wrappers and the full stop at its end."""
    bare = text.strip()[: MOST_CHARACTERS + 1]
    for _ in range(3):  # wrappers inside wrappers
        bare = _MARKUP.sub(lambda found: found[1] or "", bare).strip()
    bare = bare.removeprefix("\\(").removesuffix("\\)").removeprefix("\\[").removesuffix("\\]")
    return bare.strip().rstrip(".。").strip()


def folded(text: str) -> str:
    """A text without case, width, accents of writing, articles, punctuation at its ends and doubled spaces."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    plain = " ".join(plain.split()).strip(" .,;:!?\"'()[]。，；：！？（）「」“”‘’")
    return _ARTICLE.sub("", plain)


def as_number(text: str) -> str | None:
    """The one number in a text, or the last side of an equation that is one; None where there is none or several."""
    value = number_in(text)
    return None if value is None else shown(value)


def number_in(text: str) -> Fraction | None:
    """The value of the one number in a text, see `as_number`."""
    plain = narrowed(text).rpartition("=")[2].strip()
    whole = read_number(plain.replace("\\$", "").replace("$", "").removesuffix("\\%").removesuffix("%"))
    if whole is not None:
        return whole
    tokens = list(tokens_of(plain))
    places = [place for place, token in enumerate(tokens) if token.kind == "number"]
    if len(places) != 1:
        return None
    place = places[0]
    value = tokens[place].value
    before = tokens[place - 1] if place else None
    negative = (
        before is not None
        and before.text == "-"
        and before.end + plain.count("$", before.end, tokens[place].start) == tokens[place].start
    )
    return -value if negative and value is not None else value


def as_quantity(text: str) -> str | None:
    """A number with its unit, in base units: `5 km` -> `5000 meter`. None where pint cannot read it.

    Raises:
        MissingLibrary: pint is not installed.
    """
    from tunesmith.reason.quantities import quantity

    found = quantity(text)
    if found is None:
        return None
    value, unit = found
    return f"{shown(value)} {unit}".strip()


def as_option(text: str, choices: tuple[str, ...] = ()) -> str | None:
    """The letter of an option: from `(B)`, `B. Paris`, `option b`, or from the words of one of `choices`."""
    places = {folded(choice): place for place, choice in enumerate(choices)}
    if folded(text) in places:
        return chr(ord("A") + places[folded(text)])
    found = _LETTER.fullmatch(text.strip()) or _LETTER_THEN.match(text.strip())
    letter = next((group for group in found.groups() if group), "").upper() if found else ""
    known = not choices or (letter and ord(letter) - ord("A") < len(choices))
    return letter if letter and known else None


def as_label(text: str, choices: tuple[str, ...]) -> str | None:
    """The one of `choices` that the text is, or else the only one that it mentions, as `choices` has it."""
    plain = folded(text)
    forms = {choice: folded(choice) for choice in choices}
    for choice, form in forms.items():
        if plain == form:
            return choice
    named = [choice for choice, form in forms.items() if form and mentions(plain, form)]
    longest = [
        choice for choice in named if not any(forms[choice] in forms[other] for other in named if other != choice)
    ]
    return longest[0] if len(longest) == 1 else None


def mentions(text: str, phrase: str) -> bool:
    """Whether a phrase stands in a text as whole words; Chinese has no word borders."""
    whole = rf"(?<![a-z0-9]){re.escape(phrase)}(?![a-z0-9])"
    return phrase in text and re.search(whole, text) is not None


def as_yes_no(text: str) -> str | None:
    """`yes`, `no` or `maybe`, from the first word; None where it is none of these."""
    first = re.split(r"[\s,.;:!，。；：！]+", folded(text), maxsplit=1)[0]
    for form, words in (("yes", _YES), ("no", _NO), ("maybe", _UNSURE)):
        if first in words:
            return form
    return None


def as_parts(text: str, *, ordered: bool) -> str | None:
    """The parts of a list as a JSON array, each in its own canonical form; without order sorted, each part once."""
    inner = text.strip().removeprefix("\\{").removesuffix("\\}").strip("[](){}（）【】")
    parts = [part for part in (one.strip() for one in _BETWEEN.split(inner)) if part]
    forms = [Equal().canonical(part.strip("\"'")) for part in parts]
    kept = [form for form in forms if form is not None]
    if not kept or len(kept) < len(forms):
        return None
    return json.dumps(kept if ordered else sorted(set(kept)), ensure_ascii=False)


_SAFE_LATEX = re.compile(r"[^!]{1,200}")
_POWERS = re.compile(r"\^|\*\*")
_LONG_POWER = re.compile(r"(?:\^|\*\*)\s*[({]?\s*-?\d{3,}|\d{16,}")


def as_expression(text: str) -> str | None:
    r"""Mathematics in LaTeX or plain, simplified by SymPy: `\frac{2}{4}` -> `1/2`, `(x+1)^2` -> `x**2 + 2*x + 1`.

    Refused, so that no answer takes long: more than 200 characters, factorials, more than two powers, exponents of
    three digits.

    Raises:
        MissingLibrary: math-verify is not installed.
    """
    number = read_number(text)
    if number is not None:
        return shown(number)
    if not _SAFE_LATEX.fullmatch(text) or len(_POWERS.findall(text)) > 2 or _LONG_POWER.search(text):
        return None
    try:
        from math_verify import parse
    except ModuleNotFoundError:
        raise _missing("math-verify", "expressions") from None
    import sympy

    read = parse(f"${text}$" if "$" not in text else text, parsing_timeout=None, raise_on_error=False)
    if not read or not isinstance(read[0], sympy.Basic):
        return None
    first = read[0]
    return str(sympy.expand(first) if isinstance(first, sympy.Expr) else first)


def _missing(library: str, what: str) -> MissingLibrary:
    message = f"comparing {what} needs the library '{library}', which is not installed"
    return MissingLibrary(Problem("needs-library", message, f"pip install {library}", "reason.equal"))
