"""Chat transcripts: lines of the form `Name: words`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tunesmith.core.errors import Problem, UserError, nearest
from tunesmith.core.types import DataKind, Drop, Example, Message, Role, Split, example_id
from tunesmith.data.read._labels import held_to
from tunesmith.data.read._lines import STEP, Line, lines
from tunesmith.data.read._parts import Part
from tunesmith.data.read._tree import OfTree, files_of, find

_STAMP = re.compile(r"\s*\[?\d{1,4}[-./:]\d{1,2}(?:[\d\s.,:/-]|[AaPp]\.?[Mm]\b\.?){0,24}\]?\s*(?:-\s+)?")
_TURN = re.compile(r"([^\s:：][^:：\n]{0,39}?)\s*[:：]\s*(.*)")
_END = re.compile(r"[-=*_#]{3,}\s*")


@dataclass(frozen=True)
class Transcripts(OfTree):
    """Chat transcripts: lines `Name: words` become turns; lines without a name go on with the turn before.

    A file holds one conversation, or several with a line of `---` (or `===`, `***`) between them. A date or time before
    the name, as chat programs export it, is left out. Several turns of one speaker in a row become one. What follows
    the last answer is left out, since nothing answers it.

    Example:
        {use: transcripts, path: "calls/*.txt", assistant: [Agent]}

    Args:
        path: a text file, a folder, or a pattern; relative paths lie inside the project folder.
        assistant: names of those whose words the model is to learn; everybody else is the user.
        system: names whose words are the system message (an instruction, a note on the case).
        split: the split that these rows belong to; None: the splitter decides. `general`: rows that are not of the
            domain and must not be forgotten.
        licence: SPDX id or name, for the datasheet.
        consent: on what ground the rows may be used (consent of the people in them, contract), for the datasheet.
        max_line_mb: longest line that is read, in MB.
    """

    kind: ClassVar[DataKind] = "unstructured"

    path: str
    assistant: tuple[str, ...] = ("Assistant", "Agent", "Bot")
    system: tuple[str, ...] = ("System",)
    split: Split | None = None
    licence: str = ""
    consent: str = ""
    max_line_mb: float = 10.0

    def read_part(
        self, root: Path, labels: Sequence[str], *, part: Part, notes: Counter[str]
    ) -> Iterator[Example | Drop]:
        """The rows of one of `parts`."""
        for found in files_of(root, self.path, part):
            if found.problem is not None:
                yield found.problem
                continue
            for item in self._of_file(found.path, found.shown, notes):
                yield held_to(item, labels) if isinstance(item, Example) else item

    def check(self, root: Path) -> list[Problem]:
        """A path that cannot be used; a first file in which no name of an assistant speaks."""
        try:
            found = [one for one in find(root, self.path) if one.problem is None]
        except UserError as error:
            return list(error.problems)
        if not found:
            return []
        names: Counter[str] = Counter()
        items = list(self._of_file(found[0].path, found[0].shown, names))
        if not items:
            return [Problem("empty-file", "the file has no turns", "export it again, or drop it", found[0].shown)]
        if any(isinstance(item, Example) or item.reason != "no-answer" for item in items):
            return []
        speakers = sorted(name.removeprefix("speaker: ") for name in names if name.startswith("speaker: "))
        message = (
            f"none of {', '.join(self.assistant)} speaks here; those who do: {', '.join(speakers[:10]) or 'nobody'}"
        )
        close = [near for name in self.assistant for near in nearest(name, speakers, at_most=1)]
        hint = f"did you mean assistant: [{close[0]}]?" if close else "set assistant: [NAME]"
        return [Problem("no-answer", message, hint, found[0].shown)]

    def _of_file(self, path: Path, shown: str, notes: Counter[str]) -> Iterator[Example | Drop]:
        turns: list[tuple[str, str]] = []
        first: Line | None = None
        for item in lines(path, shown, max_bytes=int(self.max_line_mb * 1_000_000), notes=notes):
            if isinstance(item, Drop):
                yield item
            elif _END.fullmatch(item.text):
                if first is not None:
                    yield self._made(turns, first, shown, notes)
                turns, first = [], None
            else:
                first = first or item
                self._add(item.text, turns)
        if first is not None:
            yield self._made(turns, first, shown, notes)

    def _add(self, text: str, turns: list[tuple[str, str]]) -> None:
        """One line: the begin of a turn, or more of the one before."""
        match = _TURN.fullmatch(_STAMP.sub("", text, count=1) if _STAMP.match(text) else text.strip())
        if match is None or (turns and len(match.group(1).split()) > 4):
            speaker, said = turns.pop() if turns else ("", "")
            turns.append((speaker, f"{said}\n{text.strip()}".strip()))
        elif turns and turns[-1][0] == match.group(1):
            turns[-1] = (turns[-1][0], f"{turns[-1][1]}\n{match.group(2)}".strip())
        else:
            turns.append((match.group(1), match.group(2)))

    def _made(self, turns: list[tuple[str, str]], first: Line, shown: str, notes: Counter[str]) -> Example | Drop:
        place = f"{shown}:{first.number}"
        for speaker in dict.fromkeys(speaker for speaker, _ in turns):
            notes[f"speaker: {speaker}"] += 1
        said: list[Message] = []
        for speaker, words in turns:
            role = self._role(speaker)
            if said and said[-1].role == role:
                said[-1] = said[-1].model_copy(update={"content": f"{said[-1].content}\n{words}"})
            else:
                said.append(Message(role=role, content=words))
        last = max((i for i, message in enumerate(said) if message.role == "assistant"), default=-1)
        if last < 0 or not said[last].content.strip():
            detail = "nobody who is an assistant speaks" if last < 0 else "the last answer is empty"
            return Drop(place=place, step=STEP, reason="no-answer", detail=detail, byte=first.byte)
        if last + 1 < len(said):
            notes["turns after the last answer, left out"] += len(said) - last - 1
        messages = tuple(said[: last + 1])
        return Example(
            id=example_id(messages, None),
            messages=messages,
            kind=self.kind,
            source=self.path,
            licence=self.licence,
            place=place,
            byte=first.byte,
            split=self.split,
        )

    def _role(self, speaker: str) -> Role:
        name = speaker.casefold()
        if name in (one.casefold() for one in self.assistant):
            return "assistant"
        return "system" if name in (one.casefold() for one in self.system) else "user"
