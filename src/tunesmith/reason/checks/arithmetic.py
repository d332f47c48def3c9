"""Every equation in the text, computed again."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.core.protocols import Conversation
from tunesmith.reason.chains import Chain, Finding, Verdict
from tunesmith.reason.equations import Standing, equations
from tunesmith.reason.numerals import shown

_VERDICTS: dict[Standing, Verdict] = {"holds": "for", "rounded": "silent", "fails": "against"}


@dataclass(frozen=True)
class Arithmetic:
    """Every equation in the text, computed again.

    One that holds speaks for the chain, one that fails under every sensible reading against it; a result that was
    rounded or cut (`20 / 3 = 6`) is told and speaks for nothing, since whether that was right the text must say.
    """

    def look(self, question: Conversation, chain: Chain) -> list[Finding]:
        """One finding for each equation; see `tunesmith.reason.equations` for what is one."""
        written, found = chain.written, []
        for equation in equations(written):
            start, end = equation.left.start, equation.right.end
            detail = " ".join(written[start:end].split())
            if equation.standing != "holds":
                detail += f": it is {shown(equation.expected)}"
            found.append(
                Finding(check="arithmetic", verdict=_VERDICTS[equation.standing], detail=detail, span=(start, end))
            )
        return found
