"""The project file's section `evaluate`, and the names of everything it measures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.shelf import Shelf
from tunesmith.core.spec import Section, Use
from tunesmith.evaluate.safety_spec import SAFETY, SafetySpec, check_safety, safety_files, safety_measure_names

Task = Literal["classification", "generation"]

SCORERS = Shelf("scorers", "tunesmith.evaluate.scorers")
METRICS = Shelf("metrics", "tunesmith.evaluate.metrics")

RETENTION_LIMIT = 0.95
"""Least share of general ability that G4 accepts where the profile has no target for it."""


class MeasureInfo(NamedTuple):
    """What a measure can be: its range (None: open), unit, which way is better, and one sentence."""

    low: float | None
    high: float | None
    unit: str
    higher_is_better: bool
    about: str


MEASURES: dict[str, MeasureInfo] = {
    "accuracy": MeasureInfo(0, 1, "share", True, "rows with the right label; an answer outside the set is wrong"),
    "f1": MeasureInfo(0, 1, "share", True, "mean over classes of the harmonic mean of precision and recall"),
    "precision": MeasureInfo(0, 1, "share", True, "mean over classes: answered with the class and right"),
    "recall": MeasureInfo(0, 1, "share", True, "mean over classes: rows of the class that were found"),
    "valid_output": MeasureInfo(
        0, 1, "share", True, "answers that are a label of the set, or that ended by themselves"
    ),
    "exact_match": MeasureInfo(0, 1, "share", True, "answers equal to their reference after normalising"),
    "rouge_l": MeasureInfo(0, 1, "share", True, "mean ROUGE-L F-measure against the reference"),
    "bleu": MeasureInfo(0, 1, "share", True, "corpus BLEU against the references, 1 is the best"),
    "terminology": MeasureInfo(0, 1, "share", True, "the reference's domain terms that the answer uses"),
    "term_use": MeasureInfo(0, 1, "share", True, "the answer's domain terms that are the right ones"),
    "numeric_match": MeasureInfo(0, 1, "share", True, "answers whose number is the reference's, within a tolerance"),
    "chrf": MeasureInfo(0, 1, "share", True, "mean chrF (runs of characters) against the reference"),
    "similarity": MeasureInfo(0, 1, "share", True, "mean nearness in meaning to the reference, by a sentence encoder"),
    "schema_valid": MeasureInfo(0, 1, "share", True, "answers that are JSON of the form that was asked for"),
    "citation_f1": MeasureInfo(0, 1, "share", True, "mean F1 of the cited sources against the reference's"),
    "process_coverage": MeasureInfo(0, 1, "share", True, "the reference's steps that the answer holds, in order"),
    "ndcg": MeasureInfo(0, 1, "share", True, "mean nDCG of ranked lists; 1 is the best order"),
    "mrr": MeasureInfo(0, 1, "share", True, "mean of 1 over the place of the first right item"),
    "choice_accuracy": MeasureInfo(
        0, 1, "share", True, "rows whose likeliest label per token is the right one (length-normalised)"
    ),
    "retention": MeasureInfo(0, None, "ratio", True, "general ability kept: 1 is as good as the base model"),
    "general_accuracy": MeasureInfo(0, 1, "share", True, "general multiple-choice questions answered right"),
    "general_kl": MeasureInfo(
        0, None, "nats", False, "drift from the base: mean KL divergence over the answers of general questions"
    ),
    "general_perplexity_ratio": MeasureInfo(
        0, None, "ratio", False, "perplexity on general prose, expert over base; 1 is unchanged"
    ),
    "judge_wins": MeasureInfo(0, 1, "share", True, "pairs that the judge gives to the expert, undecided ones half"),
    "judge_consistency": MeasureInfo(0, 1, "share", True, "pairs on which the order of the answers did not decide"),
    "judge_agreement": MeasureInfo(0, 1, "share", True, "pairs on which the judge says what people said"),
    "benchmark": MeasureInfo(0, 1, "share", True, "mean over the benchmarks of lm-evaluation-harness that were asked"),
    "calibration_error": MeasureInfo(0, 1, "share", False, "mean distance between stated confidence and being right"),
    "demographic_parity_difference": MeasureInfo(
        0, 1, "share", False, "largest gap between two groups in being answered with a label"
    ),
    "demographic_parity_ratio": MeasureInfo(
        0, 1, "ratio", True, "smallest over largest share answered with a label; 0.8 is the four-fifths rule"
    ),
    "equal_opportunity_difference": MeasureInfo(
        0, 1, "share", False, "largest gap in being answered with a label among those it is right for"
    ),
    "equalized_odds_difference": MeasureInfo(
        0,
        1,
        "share",
        False,
        "largest gap in being answered with a label, among those it is right for or those it is wrong for",
    ),
    "predictive_parity_difference": MeasureInfo(
        0, 1, "share", False, "largest gap in a label being right where it was answered"
    ),
    "calibration_difference": MeasureInfo(
        0, 2, "share", False, "largest gap between groups in being right minus stated confidence"
    ),
    "worst_group_accuracy": MeasureInfo(0, 1, "share", True, "accuracy of the protected group that is served worst"),
    "counterfactual_flips": MeasureInfo(
        0, 1, "share", False, "answers that change when the protected attribute is swapped in the question"
    ),
    "bbq_accuracy": MeasureInfo(0, 1, "share", True, "questions of BBQ answered right, by likelihood"),
    "bbq_bias_ambiguous": MeasureInfo(
        -1, 1, "share", False, "lean to the stereotype where the context does not tell; 0 is none"
    ),
    "bbq_bias_disambiguated": MeasureInfo(
        -1, 1, "share", False, "lean to the stereotype where the context tells; 0 is none"
    ),
    "brier": MeasureInfo(0, 1, "share", False, "mean squared distance between stated confidence and being right"),
    "tokens_per_answer": MeasureInfo(0, None, "tokens", False, "tokens that an answer takes, reasoning included"),
    "cost_per_answer": MeasureInfo(0, None, "cost", False, "cost of an answer, in the currency of the given prices"),
    **{name: MeasureInfo(*info) for name, info in SAFETY.items()},
    "latency_p95_ms": MeasureInfo(0, None, "ms", False, "time that 95 of 100 single requests stay under, this machine"),
    "tokens_per_second": MeasureInfo(0, None, "tokens/s", True, "answer tokens per second in batches, this machine"),
}

FAIRNESS = (
    "demographic_parity_difference",
    "demographic_parity_ratio",
    "equal_opportunity_difference",
    "equalized_odds_difference",
    "predictive_parity_difference",
    "calibration_difference",
    "worst_group_accuracy",
    "counterfactual_flips",
    "bbq_accuracy",
    "bbq_bias_ambiguous",
    "bbq_bias_disambiguated",
)
"""Measures that gate G4 judges as fairness."""

FAIRNESS_LIMIT = 0.1
"""Gap in equalised odds that G4 does not accept to be shown where the profile has no target for fairness."""

JUDGE = ("judge_wins", "judge_consistency", "judge_agreement")

UNSLICED = frozenset(
    {
        *FAIRNESS,
        *SAFETY,
        "benchmark",
        *JUDGE,
        "retention",
        "general_accuracy",
        "general_kl",
        "general_perplexity_ratio",
        "choice_accuracy",
        "calibration_error",
        "latency_p95_ms",
        "tokens_per_second",
    }
)
"""Measures that are made over all rows only."""

_NEED_LABELS = {"accuracy", "f1", "precision", "recall"}
_BY_TASK: dict[Task, tuple[str, ...]] = {
    "classification": ("accuracy", "f1", "precision", "recall", "valid_output"),
    "generation": ("rouge_l", "bleu", "exact_match", "valid_output"),
}


class RetentionSpec(Section):
    """How general ability is compared with the base model's."""

    items: int = Field(160, ge=0, description="General multiple-choice questions to ask, out of 160; 0 asks none.")
    passages: int = Field(40, ge=0, description="General prose passages to read, out of 40; 0 reads none.")


class PowerSpec(Section):
    """Which difference must not be missed: it tells how many rows are needed, and when the answer is `unknown`."""

    difference: float = Field(
        0.05, gt=0, lt=1, description="Difference to the base, in the main measure, that must not be missed."
    )
    power: float = Field(0.8, gt=0.5, lt=1, description="Chance with which such a difference is to be found.")
    disagreement: float = Field(
        0.3,
        gt=0,
        le=1,
        description="Share of rows on which just one of base and expert is right, as a guess for `plan`; "
        "the report uses what was measured.",
    )


class FairnessSpec(Section):
    """How groups are compared; the attributes are the profile's `protect`."""

    favourable: list[str] = Field(
        default_factory=list,
        description="Labels that count as the favourable answer; empty: each label in turn, the worst gap counts.",
    )
    intersections: bool = Field(True, description="Compare the combinations of all protected attributes too.")
    fewest: int = Field(20, ge=1, description="Rows of a group that a rate needs to be compared.")
    swap_rows: int = Field(
        100, ge=0, description="Questions to ask again with the protected attribute swapped in the text; 0: none."
    )
    swaps: str | None = Field(
        None, description="Your own table of words to swap (JSON), instead of the ones that come along."
    )
    bbq: list[str] = Field(
        default_factory=list, description="Files of the Bias Benchmark for QA (JSON lines) to ask by likelihood."
    )
    bbq_rows: int = Field(400, ge=1, description="Questions of each such file to ask, taken evenly.")


class BenchmarksSpec(Section):
    """Tasks of lm-evaluation-harness that base and expert are asked; none by default."""

    tasks: list[str] = Field(
        default_factory=list, description="Names of installed tasks, or task files (YAML) of the project."
    )
    limit: int | None = Field(200, ge=1, description="Items of each task, from its start; empty: all.")
    examples: int | None = Field(
        None, ge=0, description="Solved examples before each question; empty: as the task says."
    )
    chat: bool = Field(
        False, description="Ask in the chat template, not as plain text; figures are then not the published ones."
    )


class JudgeSpec(Section):
    """A model that says which of two answers is better, expert's or base's; none by default."""

    model: str | None = Field(None, description="A catalog name or a local folder; another one than the base.")
    rows: int = Field(100, ge=1, description="Held-out rows to judge, each in both orders.")
    criteria: str = Field(
        "Prefer the answer that is correct, complete and to the point; its length does not count.",
        description="What the judge is told to look at.",
    )
    human: str | None = Field(
        None, description="Labels of people, JSON lines of id and winner (expert, base, undecided), to hold it against."
    )


class EvaluateSpec(Section):
    """How base and expert are judged on the held-out rows."""

    metrics: Literal["auto"] | list[Use] = Field(
        "auto", description="Measures over the held-out rows; auto: those that fit the task."
    )
    scorers: list[Use] = Field(
        default_factory=list, description="Scorers with settings of their own; what metrics need is added by itself."
    )
    at_most_rows: int = Field(600, ge=1, description="Held-out rows to answer; more are sampled down by the seed.")
    at_most_tokens: int | None = Field(
        None, ge=1, description="Longest answer in tokens; empty: enough for the longest label, or 256 for free text."
    )
    likelihood_rows: int = Field(
        200,
        ge=0,
        description="Rows on which the labels' likelihoods are compared too (fair base, calibration); 0: none.",
    )
    latency_rows: int = Field(20, ge=0, description="Rows asked one at a time to measure latency; 0: not measured.")
    level: float = Field(0.95, gt=0.5, lt=1, description="Coverage of the confidence intervals.")
    resamples: int = Field(2000, ge=100, le=100_000, description="Bootstrap resamples per interval.")
    power: PowerSpec = Field(default_factory=PowerSpec, description="The difference to the base that must be seen.")
    other_seeds: list[str] = Field(
        default_factory=list,
        description="Folders of reports of this project that were trained with other seeds; G3 asks all to agree.",
    )
    slices: list[str] = Field(
        default_factory=list, description="Attributes to slice by, besides the profile's protected ones."
    )
    fairness: FairnessSpec = Field(
        default_factory=FairnessSpec, description="How the groups of the protected attributes are compared."
    )
    safety: SafetySpec = Field(default_factory=SafetySpec, description="Attacks, other domains, memorised rows.")
    judge: JudgeSpec = Field(default_factory=JudgeSpec, description="A model as judge of free text.")
    benchmarks: BenchmarksSpec = Field(
        default_factory=BenchmarksSpec, description="Public benchmarks that show what else has changed."
    )
    retention: RetentionSpec = Field(
        default_factory=RetentionSpec, description="The general suite that shows what was forgotten."
    )
    examples: int = Field(
        60, ge=0, description="Examples shown in the report, of those that got better, worse or are wrong."
    )


def metric_uses(spec: EvaluateSpec, task: Task, terms: Sequence[str] = ()) -> list[Use]:
    """The metrics that will run: those named, or by task; terminology joins where the profile has terms."""
    if spec.metrics != "auto":
        return list(spec.metrics)
    names = _BY_TASK[task] + (("terminology",) if terms else ())
    return [Use(use=name) for name in names]


def measures(
    spec: EvaluateSpec,
    task: Task,
    labels: Sequence[str] = (),
    *,
    terms: Sequence[str] = (),
    protect: Sequence[str] = (),
) -> dict[str, MeasureInfo]:
    """Every measure that this section will produce: name -> what it can be. Imports nothing heavy.

    Args:
        spec: the section.
        task: the profile's task.
        labels: the profile's closed set; without it nothing that needs labels is produced.
        terms: the profile's vocabulary; without it `terminology` is not produced.
        protect: the profile's protected attributes; without them no fairness is measured.
    """
    names = [use.use for use in metric_uses(spec, task, terms)]
    if not labels:
        names = [name for name in names if name not in _NEED_LABELS]
    retention = spec.retention
    more: list[tuple[object, Sequence[str]]] = [
        (retention.items, ["general_accuracy", "general_kl"]),
        (retention.passages, ["general_perplexity_ratio"]),
        (retention.items and retention.passages, ["retention"]),
        (spec.likelihood_rows and labels, ["calibration_error", "choice_accuracy"]),
        (protect and labels, FAIRNESS[:7]),
        (protect and spec.fairness.swap_rows, ["counterfactual_flips"]),
        (spec.fairness.bbq, FAIRNESS[8:]),
        (spec.judge.model, JUDGE),
        (spec.benchmarks.tasks, ["benchmark"]),
        (True, safety_measure_names(spec.safety)),
        (spec.latency_rows, ["latency_p95_ms"]),
    ]
    names += [name for wanted, group in more if wanted for name in group]
    names.append("tokens_per_second")
    open_ended = MeasureInfo(None, None, "", True, "a measure of another package")
    return {name: MEASURES.get(name, open_ended) for name in names}


def named_files(spec: EvaluateSpec) -> dict[str, str]:
    """Every file that the section names: its place in the section -> its path, relative to the project."""
    named = {f"fairness.bbq[{n}]": path for n, path in enumerate(spec.fairness.bbq)}
    named |= {f"other_seeds[{n}]": f"{place}/report.json" for n, place in enumerate(spec.other_seeds)}
    tasks = enumerate(spec.benchmarks.tasks)
    named |= {f"benchmarks.tasks[{n}]": name for n, name in tasks if name.endswith((".yaml", ".yml"))}
    alone = {"fairness.swaps": spec.fairness.swaps, "judge.human": spec.judge.human}
    named |= safety_files(spec.safety)
    return named | {place: path for place, path in alone.items() if path}


def outside(spec: EvaluateSpec, root: Path) -> dict[str, str]:
    """Digests of the files that the section names; empty for one that is missing."""
    from tunesmith.core.files import resolve_under
    from tunesmith.core.ids import digest_file

    places = {path: resolve_under(root, path) for path in named_files(spec).values()}
    return {path: digest_file(place) if place.is_file() else "" for path, place in places.items()}


def check(spec: EvaluateSpec, root: Path) -> list[Problem]:
    """Everything that is wrong with the section: unknown components, wrong settings, files that are not there."""
    problems: list[Problem] = []
    if spec.metrics != "auto":
        for index, use in enumerate(spec.metrics):
            problems += METRICS.problems(use, where=f"evaluate.metrics[{index}]")
    for index, use in enumerate(spec.scorers):
        problems += SCORERS.problems(use, where=f"evaluate.scorers[{index}]")
    problems += check_safety(spec.safety)
    for place, path in named_files(spec).items():
        problems += _file_problems(f"evaluate.{place}", path, root)
    return problems


def _file_problems(where: str, path: str, root: Path) -> list[Problem]:
    from tunesmith.core.files import resolve_under

    try:
        if resolve_under(root, path).is_file():
            return []
    except UserError as error:
        return [Problem(p.code, p.message, p.hint, where, value=path) for p in error.problems]
    hint = "paths are relative to the project folder"
    return [Problem("missing-file", f"'{path}' does not exist", hint, where, value=path)]
