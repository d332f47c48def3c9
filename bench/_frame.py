"""What benchmarks share: what is asked for, and an outcome of rounds and how it is told.

Times of one run on one machine say little: others work on it, it throttles, caches warm up. So the ways of doing the
same work are run in turn (A B C A B C ...), each round gives one ratio, and the median of the ratios is told with
their spread. There is no threshold to pass.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

Figures = dict[str, float]
"""Column -> value of one run."""


@dataclass(frozen=True)
class Asked:
    """What the command line asks for.

    Args:
        model: its folder.
        rounds: how often each contender runs; None: the benchmark's own number.
        rows: how many training rows; None: the benchmark's own number.
        epochs: passes over the rows; None: the benchmark's own number.
        device: `cpu` or `cuda`.
        threads: of each run, on the processor.
        only: parts of names of contenders that take part besides tunesmith; empty: all.
        peak_tflops: of the card; None: looked up by its name.
        megabytes: sizes of the texts that the data benchmark works on; empty: its own.
    """

    model: Path
    rounds: int | None = None
    rows: int | None = None
    epochs: int | None = None
    device: str = "cpu"
    threads: int = 1
    only: tuple[str, ...] = ()
    peak_tflops: float | None = None
    megabytes: tuple[float, ...] = ()


@dataclass(frozen=True)
class Column:
    """A figure of each run.

    Args:
        name: key of the figure.
        head: how it is headed, with its unit.
        digits: after the point.
        compared: whether ours over theirs is told.
    """

    name: str
    head: str
    digits: int = 0
    compared: bool = True


@dataclass
class Outcome:
    """Rounds of one benchmark.

    Args:
        columns: of the table.
        runs: contender -> its figures, one entry a round; the first contender is what the others are compared with.
        notes: what else must be known, above all whether all did the same work.
    """

    columns: tuple[Column, ...]
    runs: dict[str, list[Figures]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, contender: str, figures: Figures) -> None:
        """One more run."""
        self.runs.setdefault(contender, []).append(figures)

    def ratios(self, contender: str, column: str) -> list[float]:
        """What the first contender has over what `contender` has, round by round; nothing where either has none."""
        first = next(iter(self.runs.values()))
        pairs = zip(first, self.runs[contender], strict=False)
        return [ours[column] / theirs[column] for ours, theirs in pairs if ours.get(column) and theirs.get(column)]

    def told(self) -> str:
        """The figures, the ratios and the notes as lines."""
        lines = _table(
            ["", *(column.head for column in self.columns)],
            [[name, *(self._cell(runs, column) for column in self.columns)] for name, runs in self.runs.items()],
        )
        first, *others = self.runs
        compared = [column for column in self.columns if column.compared]
        if others and compared:
            heads = [f"{first} over", *(column.head.partition(",")[0] for column in compared)]
            body = [[name, *(_spread(self.ratios(name, c.name), 2) for c in compared)] for name in others]
            lines += ["", *_table(heads, body)]
        return "\n".join(lines + [f"  {note}" for note in self.notes])

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        first, *others = self.runs
        ratios = {name: {c.name: self.ratios(name, c.name) for c in self.columns if c.compared} for name in others}
        return {"compared_with": first, "runs": self.runs, "ratios": ratios, "notes": self.notes}

    @staticmethod
    def _cell(runs: list[Figures], column: Column) -> str:
        return _spread([run[column.name] for run in runs if column.name in run], column.digits)


def _spread(values: list[float], digits: int) -> str:
    """`median (least to most)`; the median alone where that is all there is to see."""
    if not values:
        return "-"
    told = f"{median(values):,.{digits}f}"
    least, most = f"{min(values):,.{digits}f}", f"{max(values):,.{digits}f}"
    return told if least == most else f"{told} ({least} to {most})"


def _table(heads: list[str], body: list[list[str]]) -> list[str]:
    """Lines of columns, the first aligned to the left, the others to the right."""
    widths = [max(len(line[place]) for line in [heads, *body]) for place in range(len(heads))]
    lines = []
    for line in [heads, *body]:
        first, *others = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
        lines.append("  ".join(["", first.strip().ljust(widths[0]), *others]))
    return lines
