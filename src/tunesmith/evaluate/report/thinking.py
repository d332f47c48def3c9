"""How the expert reasoned: what more chains buy, how honest its probability is, and how chains fail.

Read from what answers carry in their evidence (`chains`, `fused`) and from `replayed.json` of the expert; nobody is
asked again. Axes: N row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.core.files import read_json
from tunesmith.core.protocols import Scorer
from tunesmith.core.types import Answer, Expert
from tunesmith.evaluate.report.curves import Stated, calibration_error, error_by_chance, reliability
from tunesmith.evaluate.rows import Row
from tunesmith.evaluate.statistics import share_interval

REPLAYED = "replayed.json"
"""File of an expert: its validation rows answered by fewer chains, see `reason.effort`."""

STEPS = (1, 2, 3, 5, 8, 12, 16, 24, 32, 40, 64, 100, 160, 250, 400, 640, 1000)
"""Numbers of chains at which a curve has a point; its last one is that of all chains."""

KINDS = ("unscored", "unnoticed", "caught", "false_alarm")
_EXAMPLES = 3

Json = dict[str, Any]


@dataclass(frozen=True)
class Thought:
    """A held-out row with its chains.

    Fields:
        row: question and answer.
        chains: as they stand in the answer's evidence, in the order they were drawn.
        right: conclusion -> whether the scorer calls the first chain that came to it right.
    """

    row: Row
    chains: Sequence[Json]
    right: Mapping[str, bool]

    def is_right(self, conclusion: str | None) -> bool:
        """Whether a conclusion is right; none is not."""
        return conclusion is not None and self.right.get(conclusion, False)


def thinking(rows: Sequence[Row], expert: Expert, *, scorer: tuple[str, Scorer], level: float) -> Json:
    """What the report tells of the expert's reasoning, as JSON values; empty where no answer has chains.

    Args:
        rows: the expert's scored rows.
        expert: whose folder may have replayed validation rows.
        scorer: by which the rows were compared, with its name; a chain is right where it gives its answer 1.
        level: coverage of the intervals.
    """
    with_chains = [row for row in rows if row.answer.evidence.get("chains")]
    thoughts = [found for row in with_chains if (found := _thought(row, *scorer)) is not None]
    if not thoughts:
        return {}
    stated = [_stated(thought) for thought in thoughts]
    bins = reliability(stated)
    chance = error_by_chance([probability for probability, _ in stated])
    return {
        "rows": len(thoughts),
        "left_out": len(with_chains) - len(thoughts),
        "chains": sum(len(thought.chains) for thought in thoughts),
        "vote": _vote_curve(thoughts, level),
        "expert": _point([right for _, right in stated], [_tokens(t.chains) for t in thoughts], thoughts, level),
        "replayed": _replayed(expert, level),
        "reliability": bins,
        "calibration_error": calibration_error(bins),
        "calibration_error_by_chance": chance,
        "faults": faults(thoughts),
    }


def _thought(row: Row, name: str, scorer: Scorer) -> Thought | None:
    """The row with its conclusions scored; None where the row cannot be scored."""
    if name not in row.scores or row.scores[name].value is None:
        return None
    chains, right = row.answer.evidence["chains"], dict[str, bool]()
    for chain in chains:
        said = _conclusion(chain)
        if said is not None and said not in right:
            value = scorer.score(row.example, Answer.model_validate(chain["answer"])).value
            right[said] = value is not None and value >= 1.0
    return Thought(row, chains, right)


def _conclusion(chain: Mapping[str, Any]) -> str | None:
    return None if chain["unscored"] else chain["conclusion"]


def _stated(thought: Thought) -> Stated:
    fused = thought.row.answer.evidence["fused"]
    return fused["probability"], thought.is_right(fused["conclusion"])


def _tokens(chains: Sequence[Mapping[str, Any]]) -> int:
    return sum(c["answer"]["usage"]["answer_tokens"] + c["answer"]["usage"]["reasoning_tokens"] for c in chains)


# -- what more chains buy ----------------------------------------------------------------------------------


def _vote_curve(thoughts: Sequence[Thought], level: float) -> list[Json]:
    """The majority of the first n chains of each row; a row that has fewer is answered by all that it has."""
    most = max(len(thought.chains) for thought in thoughts)
    points = []
    for number in [*(step for step in STEPS if step < most), most]:
        some = [thought.chains[:number] for thought in thoughts]
        right = [thought.is_right(_winner(chains)) for thought, chains in zip(thoughts, some, strict=True)]
        points.append({"chains": number, **_point(right, [_tokens(chains) for chains in some], thoughts, level)})
    return points


def _winner(chains: Sequence[Json]) -> str | None:
    """The conclusion of most chains, the first drawn of equals."""
    votes = Counter(said for chain in chains if (said := _conclusion(chain)) is not None)
    return max(votes, key=lambda said: votes[said]) if votes else None


def _point(right: Sequence[bool], tokens: Sequence[int], thoughts: Sequence[Thought], level: float) -> Json:
    return _summed(right, tokens, [thought.row.cluster for thought in thoughts], level)


def _summed(right: Sequence[bool], tokens: Sequence[int], clusters: Sequence[str], level: float) -> Json:
    right_N = np.array(right, dtype=np.float64)
    found = share_interval(right_N, clusters, level=level)
    return {"tokens": float(np.mean(tokens)), "right": float(right_N.mean()), "low": found.low, "high": found.high}


def _replayed(expert: Expert, level: float) -> Json:
    """The expert's validation rows answered by fewer chains; empty where it was not taught on any."""
    if expert.folder is None or not expert.file(REPLAYED).is_file():
        return {}
    told: Json = read_json(expert.file(REPLAYED))
    clusters = [f"row:{n}" for n in range(told["rows"])]
    ways = {
        name: [
            {"chains": point["chains"], **_summed(point["right"], point["tokens"], clusters, level)} for point in points
        ]
        for name, points in told["ways"].items()
    }
    promised = expert.reasoning.get("paths", {}).get("differ")
    settled = {**told["settled"], "promised": promised} if told["settled"] else {}
    return {"rows": told["rows"], "ways": ways, "settled": settled}


# -- how chains fail -------------------------------------------------------------------------------------


def faults(thoughts: Sequence[Thought]) -> list[Json]:
    """Chains by what is wrong with them: chains, rows they belong to, and the first few to look at.

    Kinds, by detail: `unscored` (by reason), `unnoticed` (wrong, and no check objects), `caught` (wrong, and this check
    objects), `false_alarm` (right, and this check objects). A chain to which several checks object counts for each.
    """
    found: dict[tuple[str, str], list[tuple[Thought, Json]]] = {}
    for thought in thoughts:
        for chain in thought.chains:
            for fault in _faults(thought, chain):
                found.setdefault(fault, []).append((thought, chain))
    order = sorted(found, key=lambda fault: (KINDS.index(fault[0]), -len(found[fault]), fault[1]))
    return [_told(kind, detail, found[kind, detail]) for kind, detail in order]


def _faults(thought: Thought, chain: Json) -> list[tuple[str, str]]:
    said = _conclusion(chain)
    if said is None:
        return [("unscored", chain["unscored"] or "no-answer")]
    objecting = sorted({finding["check"] for finding in chain["findings"] if finding["verdict"] == "against"})
    if thought.is_right(said):
        return [("false_alarm", check) for check in objecting]
    return [("caught", check) for check in objecting] or [("unnoticed", "")]


def _told(kind: str, detail: str, cases: Sequence[tuple[Thought, Json]]) -> Json:
    """Examples are of different rows, the first chain of each."""
    of_row: dict[str, tuple[Thought, Json]] = {}
    for thought, chain in cases:
        of_row.setdefault(thought.row.example.id, (thought, chain))
    shown = list(of_row.values())[:_EXAMPLES]
    return {
        "kind": kind,
        "detail": detail,
        "chains": len(cases),
        "rows": len(of_row),
        "examples": [_example(thought, chain, detail) for thought, chain in shown],
    }


def _example(thought: Thought, chain: Json, check: str) -> Json:
    said = chain["answer"]
    objections = [f["detail"] for f in chain["findings"] if f["verdict"] == "against" and f["check"] == check]
    users = [message.content for message in thought.row.example.prompt if message.role == "user"]
    return {
        "place": thought.row.example.place,
        "prompt": users[-1] if users else "",
        "reference": thought.row.example.reference,
        "conclusion": chain["conclusion"],
        "written": f"{said['reasoning']}\n{said['text']}" if said["reasoning"] else said["text"],
        "objections": [text for text in objections if text],
    }
