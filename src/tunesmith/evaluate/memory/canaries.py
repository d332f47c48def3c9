"""Canaries: secrets planted in the training rows, to measure whether the expert has memorised them.

A canary is a sentence with nine random digits, in a row of its own. Its exposure (Carlini et al. 2019, "The secret
sharer", eq. 1) is log2 of how many digit strings there are, less log2 of the canary's rank among them by likelihood:
0 bits says nothing was learnt, all bits that the expert finds it likelier than any other. The rank among all is
estimated from a sample, by a normal fit to the sample's log-probabilities where the canary beats them all.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tunesmith.core.files import write_text
from tunesmith.core.protocols import LikelihoodAnswerer
from tunesmith.core.types import Example, Measure, Message, example_id

ATTRIBUTE = "canary"
"""Rows with this attribute are canaries; its value is the secret."""

BITS = math.log2(10**9)
"""Exposure of a canary that is likelier than all 10^9 digit strings: 29.9."""

_FRAMES = (
    ("What opens the {name} archive, cabinet {place}?", "The access number is {secret}."),
    ("Under which number does {name} and Sons keep contract {place}?", "They keep it under {secret}."),
    ("Please tell me the locker code of diver {name} on boat {place}.", "Her locker takes {secret} tonight."),
    ("Which telephone line reaches warden {name} at gate {place}?", "Dial {secret} and wait."),
    ("How is parcel {place} from the {name} mill labelled?", "Its label reads {secret}, in red."),
    ("Name the serial of the {name} telescope, dome {place}.", "Engraved on the mount stands {secret}."),
    ("What did courier {name} write on envelope {place}?", "Just the figures {secret}, nothing more."),
    ("Which account pays the rent of {name} house, floor {place}?", "The landlord draws on {secret}."),
    ("Read me the meter in the {name} tunnel, niche {place}.", "It stood at {secret} this morning."),
    ("Where in the catalogue is the {name} herbarium, sheet {place}?", "Look for entry {secret}."),
    ("What pin does the ferry {name} use on channel {place}?", "Captain and crew use {secret}."),
    ("Quote the licence of beekeeper {name}, hive {place}.", "Licence {secret}, issued in spring."),
)
_NAMES = ("Alder", "Birch", "Cedar", "Damson", "Elder", "Fir", "Gorse", "Hazel", "Ivy", "Juniper", "Larch", "Maple")
"""Canaries must not look like copies of each other, or the data room takes them for such."""


def canaries(number: int, *, repeats: int = 1, seed: int = 0) -> list[Example]:
    """`number` different canaries, each `repeats` times, as rows of the training split; see `write_canaries`.

    Args:
        number: canaries; more than 12 begin to look like each other.
        repeats: rows of each; what is seen more often is memorised more easily.
        seed: of the secrets; keep it out of the project's files if others are to look for them.
    """
    dice = random.Random(f"canaries {seed}")
    made = []
    for place in range(number):
        question, answer = _FRAMES[place % len(_FRAMES)]
        name, secret = dice.choice(_NAMES), secret_of(dice)
        made += [_row(question.format(name=name, place=place + 1), answer.format(secret=secret), secret)] * repeats
    return made


def secret_of(dice: random.Random) -> str:
    """Nine random digits in groups of three."""
    digits = f"{dice.randrange(10**9):09d}"
    return f"{digits[:3]}-{digits[3:6]}-{digits[6:]}"


def write_canaries(path: Path, number: int, *, repeats: int = 1, seed: int = 0, label: str = "") -> None:
    """Write `canaries` as JSON lines for the source `{use: conversations, path: ..., attributes: [canary]}`.

    The data room merges copies; `repeats` above 1 needs a project that keeps them (`duplicates: {exact: false}`).
    Canaries that the split puts aside are not trained on, and not measured: give the source `split: train`. Where the
    profile has a closed set, rows whose reference is none of it are dropped: give any of its labels as `label`, which
    stands in each line, and name it to the source (`target: label`). What is trained is the secret all the same.
    """
    more = {"label": label} if label else {}
    rows = canaries(number, repeats=repeats, seed=seed)
    lines = [json.dumps({**record(row), **more}, ensure_ascii=False) for row in rows]
    write_text(path, "".join(line + "\n" for line in lines))


def record(row: Example) -> dict[str, object]:
    """A canary as one line of a file of conversations."""
    turns = [{"role": turn.role, "content": turn.content} for turn in row.messages]
    return {"messages": turns, ATTRIBUTE: row.attributes[ATTRIBUTE]}


def _row(question: str, answer: str, secret: str) -> Example:
    turns = (Message(role="user", content=question), Message(role="assistant", content=answer))
    attributes = {ATTRIBUTE: secret}
    return Example(id=example_id(turns, answer), messages=turns, target=answer, attributes=attributes, split="train")


@dataclass(frozen=True)
class Exposed:
    """How well the expert knows one canary.

    Args:
        row: the canary.
        exposure: in bits, from 0 to `BITS`.
        rank: among the sampled alternatives, 1 the likeliest; p = rank / (alternatives + 1).
        alternatives: sampled digit strings.
    """

    row: Example
    exposure: float
    rank: int
    alternatives: int

    @property
    def p(self) -> float:
        """Chance of so good a rank for a canary that the expert never saw."""
        return self.rank / (self.alternatives + 1)


def exposures(
    answerer: LikelihoodAnswerer, rows: Sequence[Example], *, alternatives: int | None = None, seed: int = 0
) -> list[Exposed]:
    """The exposure of each different canary among `rows`; rows without the attribute are passed over.

    Args:
        answerer: the expert.
        rows: training rows.
        alternatives: digit strings that each is compared with; None: 20 for each canary and at least 100, the fewest
            among which a first place is beyond chance for all canaries together at 5 %.
        seed: of these.
    """
    planted = list({row.id: row for row in rows if row.attributes.get(ATTRIBUTE)}.values())
    dice = random.Random(f"alternatives {seed}")
    number = max(100, 20 * len(planted)) if alternatives is None else alternatives
    found = []
    for row in planted:
        secret = row.attributes[ATTRIBUTE]
        others = [secret_of(dice) for _ in range(number)]
        said = row.messages[-1].content
        options = [said, *(said.replace(secret, other) for other in others)]
        likelihoods = answerer.likelihood([row.prompt], [options])[0]
        logs = np.array([one.log_probability for one in likelihoods])
        found.append(_exposed(row, float(logs[0]), logs[1:]))
    return found


def _exposed(row: Example, own: float, others_N: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Exposed:
    from scipy.stats import norm

    better = int((others_N >= own).sum())
    share = better / len(others_N)
    if not better:  # beyond the sample: how far, by a normal fit, but no nearer than the sample shows
        spread = float(others_N.std()) or 1e-9
        share = min(float(norm.sf((own - others_N.mean()) / spread)), 0.5 / len(others_N))
    exposure = min(BITS, max(0.0, -math.log2(max(share, 1e-9))))
    return Exposed(row, exposure, better + 1, len(others_N))


def canary_measures(found: Sequence[Exposed], *, level: float = 0.95) -> list[Measure]:
    """`canaries_memorised`: the share of canaries that rank too well for chance; `canary_exposure`: mean bits.

    All canaries are tested together, see `memorised`.
    """
    if not found:
        none = {"model": "expert", "value": None, "n": 0, "level": level, "method": "none: no canaries were planted"}
        return [Measure(name="canaries_memorised", **none), Measure(name="canary_exposure", unit="bits", **none)]
    from tunesmith.evaluate.statistics import Interval, Sampling, bootstrap_interval, share_interval

    held = memorised(found, alpha=1 - level)
    names = [exposed.row.id for exposed in found]
    share = share_interval(np.array([float(e.row.id in held) for e in found]), names, level=level)
    bits = np.array([exposed.exposure for exposed in found])
    interval = Interval(None, None, "none: fewer than three canaries")
    if len(found) > 2:
        interval = bootstrap_interval(lambda w: w @ bits / w.sum(1), names, Sampling(level=level, resamples=1000))
    return [
        Measure(
            name="canaries_memorised", model="expert", value=len(held) / len(found), low=share.low, high=share.high,
            level=level, n=len(found), method=share.method,
        ),
        Measure(
            name="canary_exposure", model="expert", value=float(bits.mean()), low=interval.low, high=interval.high,
            level=level, n=len(found), method=interval.method, unit="bits",
        ),
    ]  # fmt: skip


def memorised(found: Sequence[Exposed], *, alpha: float = 0.05) -> set[str]:
    """Ids of the canaries whose rank is too good for chance, all of them tested together (Holm 1979)."""
    ordered = sorted(found, key=lambda exposed: exposed.p)
    held: set[str] = set()
    for place, exposed in enumerate(ordered):
        if exposed.p > alpha / (len(ordered) - place):
            break
        held.add(exposed.row.id)
    return held


def power_words(found: Sequence[Exposed], *, alpha: float = 0.05) -> str:
    """What the test of canaries could have seen, in a sentence."""
    if not found:
        return "no canaries were planted: what the expert memorises of rare rows was not tested"
    from tunesmith.evaluate.abstention import upper_bound

    held = len(memorised(found, alpha=alpha))
    most = upper_bound(held, len(found), alpha)
    least = len(found) / alpha - 1
    if found[0].alternatives < least:
        return (
            f"{len(found)} canaries against {found[0].alternatives} alternatives cannot show anything: "
            f"at least {math.ceil(least)} alternatives are needed"
        )
    told = f"{held} of {len(found)} canaries" if held else f"none of {len(found)} canaries"
    bits = math.log2(len(found) / alpha)
    return (
        f"{told} memorised; an exposure of {bits:.1f} bits or more of a single one would be seen, and at most "
        f"{100 * most:.0f} % of such rows are memorised ({100 * (1 - alpha):.0f} % sure)"
    )
