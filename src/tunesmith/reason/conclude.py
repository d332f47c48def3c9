r"""Where a chain comes to its answer: `#### 42`, `\boxed{42}`, `The answer is 42`, the last number; and loops.

A chain that comes to none has no say, and says why: `no-answer`, `loop`. Searching takes linear time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tunesmith.reason.chains import Chain
from tunesmith.reason.equal import Equal, Kind, as_number, folded
from tunesmith.reason.equations import equations
from tunesmith.reason.tokens import Token, tokens_of

_HASHES = re.compile(r"####[ \t]*([^\n]+)")
_TAG = re.compile(r"<answer>([^<]{0,1000})</answer>", re.IGNORECASE)
_SAID = re.compile(
    r"(?:\b(?:final |correct |right )?answer(?: to (?:the|this) question)?(?: is(?: therefore| thus)?|\s*[:：=])"
    r"|(?:最终)?答案(?:是|为|[:：])|(?:^|\n)[ \t*]*A[ \t]*[:：])[ \t*:：]*([^\n]*)",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|[。！？]")
_LETTERS = re.compile(r"(?<![\w'])[(（\[]?([A-J])[)）\].:：]?(?![\w'])")
_MOST_READ = 20_000
_LONGEST_ANSWER = 300


@dataclass(frozen=True)
class Conclusion:
    """A chain's answer.

    Fields:
        canonical: its form by `Equal`.
        text: as the chain has it.
        how: what gave it away: `hashes`, `boxed`, `tag`, `said`, `alone` (the whole text is the answer), `last`.
    """

    canonical: str
    text: str
    how: str


def conclusion(written: str, equal: Equal, *, ended: bool = True) -> Conclusion | None:
    """The answer that a text comes to; None where it comes to none.

    Marks are believed in the order of `Conclusion.how`, of several marks of one kind the last. Only the last 20,000
    characters are read.

    Args:
        written: a chain's text.
        equal: what counts as an answer.
        ended: it ended by itself; of a text that was cut off only marks are believed, not its last number.
    """
    tail = written[-_MOST_READ:]
    for how, text in _marked(tail):
        found = _answer_in(text, equal)
        if found is not None:
            return Conclusion(found[0], found[1], how)
    if not ended:
        return None
    whole = equal.canonical(tail) if len(tail) <= _LONGEST_ANSWER else None
    if whole is not None and _is_short(tail, equal):
        return Conclusion(whole, tail.strip(), "alone")
    for text in _last(tail, equal):
        form = equal.canonical(text)
        if form is not None:
            return Conclusion(form, text, "last")
    return None


def concluded(chain: Chain, equal: Equal) -> Chain:
    """The chain with its conclusion, or with the reason why it has none. One that is unscored stays as it is.

    Of an answer with reasoning the text is read first, then the marks in the reasoning.
    """
    if chain.unscored:
        return chain
    answer = chain.answer
    if answer.stop == "error":
        return chain.model_copy(update={"unscored": "backend: error"})
    found = conclusion(answer.text, equal, ended=answer.stop == "end")
    if found is None and answer.reasoning:
        found = conclusion(answer.reasoning, equal, ended=False)
    going_round = (found is None or found.how in {"alone", "last"}) and loop(chain.written) is not None
    if found is not None and not going_round:
        return chain.model_copy(update={"conclusion": found.canonical})
    why = "loop" if going_round else "no-answer"
    return chain.model_copy(update={"conclusion": None, "unscored": why})


def loop(text: str, *, times: int = 4, at_least: int = 80) -> tuple[int, int] | None:
    """Where a text ends in the same words again and again: first character of the repetition, and length of one round.

    Args:
        text: any text; only its last 4,000 characters are looked at.
        times: rounds that make a loop.
        at_least: characters that the rounds must take together, twice as many where a round has one or two.

    Returns:
        None where there is no loop. Found by the prefix function (Knuth, Morris, Pratt 1977) of the text reversed.
    """
    tail = text.rstrip()[-4000:][::-1]
    border = [0] * len(tail)
    best: tuple[int, int] | None = None
    for place in range(1, len(tail)):
        length = border[place - 1]
        while length and tail[place] != tail[length]:
            length = border[length - 1]
        border[place] = length + (tail[place] == tail[length])
        covered, round_ = place + 1, place + 1 - border[place]
        if covered >= times * round_ and covered >= at_least * (2 if round_ <= 2 else 1):
            best = (len(text.rstrip()) - covered, round_)
    return best


def _marked(text: str) -> Iterator[tuple[str, str]]:
    """(how, text behind the mark), strongest kind first, the last mark of each kind first."""
    for found in reversed(_HASHES.findall(text)):
        yield "hashes", found
    for inside in reversed(list(_boxes(text))):
        yield "boxed", inside
    for found in reversed(_TAG.findall(text)):
        yield "tag", found
    for found in reversed(_SAID.findall(text)):
        yield "said", found


def _boxes(text: str) -> Iterator[str]:
    r"""What stands in `\boxed{...}`, braces inside counted."""
    for start in re.finditer(r"\\f?boxed\s{0,3}\{", text):
        depth, place = 1, start.end()
        limit = min(len(text), place + _LONGEST_ANSWER)
        while place < limit and depth:
            depth += {"{": 1, "}": -1}.get(text[place], 0)
            place += 1
        if not depth:
            yield text[start.end() : place - 1]


def _answer_in(text: str, equal: Equal) -> tuple[str, str] | None:
    """(canonical form, as written) of the answer that a text behind a mark begins with."""
    short = text[:_LONGEST_ANSWER]
    sentence = _SENTENCE_END.split(short, maxsplit=1)[0]
    tries = [short, sentence] if len(text) <= _LONGEST_ANSWER else [sentence]
    kind = _numeric(equal.kind, short)
    if kind and (first := _first_number(short)) is not None:
        tries = [*tries, first] if as_number(short) else [first]
    for piece in tries:
        form = equal.canonical(piece)
        if form is not None:
            return form, piece.strip()
    letter = _LETTERS.search(short) if equal.kind == "option" else None
    return (letter[1], letter[1]) if letter else None


def _numeric(kind: Kind, text: str) -> bool:
    return kind == "number" or (kind == "auto" and any(c.isdigit() for c in text[:40]))


def _first_number(text: str) -> str | None:
    """The result of the equation that a text begins with, or its first number, with sign."""
    tokens = list(tokens_of(text))
    place = next((place for place, token in enumerate(tokens) if token.kind == "number"), None)
    if place is None:
        return None
    token = tokens[place]
    for equation in equations(text):
        if equation.left.start <= token.start and not equation.continues:
            return text[equation.right.start : equation.right.end]
    minus = place > 0 and tokens[place - 1].text == "-" and not (place > 1 and tokens[place - 2].kind == "number")
    share = [one.text for one in tokens[place + 1 : place + 3]][:1] == ["/"] and tokens[place + 2 : place + 3]
    end = tokens[place + 2].end if share and tokens[place + 2].kind == "number" else token.end
    return text[tokens[place - 1].start if minus else token.start : end]


def _is_short(text: str, equal: Equal) -> bool:
    """Whether a text without a mark is an answer and not a chain: of one line, and short where it is free text."""
    bare = text.strip()
    return "\n" not in bare and (
        equal.kind not in {"auto", "text"} or bool(equal.choices) or len(folded(bare).split()) <= 6
    )


def _last(text: str, equal: Equal) -> Iterator[str]:
    """What may be the answer of a text without a mark, from its end backwards."""
    if equal.kind in {"number", "auto"} and not equal.choices:
        yield from _last_numbers(text[-4000:])
    elif equal.kind == "option" and not equal.choices:
        yield from reversed([found[1] for found in _LETTERS.finditer(text[-4000:])])
    else:
        sentences = [part for part in re.split(r"[.!?。！？\n]", text[-4000:]) if part.strip()]
        yield from reversed(sentences[-3:])


def _last_numbers(text: str) -> Iterator[str]:
    """The result of the last line's last equation, then the numbers from the end backwards."""
    line = text.rstrip().rpartition("\n")[2]
    for equation in equations(line)[-1:]:
        yield line[equation.right.start : equation.right.end]
    tokens = list(tokens_of(text))
    for place in range(len(tokens) - 1, -1, -1):
        if tokens[place].kind == "number":
            yield ("-" if _is_negative(tokens, place) else "") + tokens[place].text


def _is_negative(tokens: list[Token], place: int) -> bool:
    """Whether a minus touches the number, and nothing touches the minus."""
    minus = place > 0 and tokens[place - 1].text == "-" and tokens[place - 1].end == tokens[place].start
    return minus and not (place > 1 and tokens[place - 2].end == tokens[place - 1].start)
