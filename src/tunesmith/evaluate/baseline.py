"""Stage `baseline`: what the base model says before any training; asked once for all experts of the base."""

from __future__ import annotations

import time

from tunesmith.core.errors import UserError
from tunesmith.core.examples import iterate_examples
from tunesmith.core.protocols import Context
from tunesmith.core.types import Base, Baseline, Profile, Snapshot
from tunesmith.evaluate.asking import ask, held_out
from tunesmith.evaluate.benchmarks import run_benchmarks
from tunesmith.evaluate.fairness.asking import Question, ask_bbq, bbq_records
from tunesmith.evaluate.retention import ask_general, general_overlap
from tunesmith.evaluate.rows import write_lines
from tunesmith.evaluate.spec import EvaluateSpec, check, outside

__all__ = ["NAME", "VERSION", "check", "outside", "run"]

NAME = "baseline"
VERSION = "3"


def run(spec: EvaluateSpec, *, base: Base, profile: Profile, snapshot: Snapshot, context: Context) -> Baseline:
    """Ask the base model the held-out rows, the likelihood of every label, and the general suite.

    Files: `answers.jsonl` (free answers, label likelihoods, lone requests), `general.jsonl`, `benchmarks.jsonl`,
    `bbq.jsonl`.

    Raises:
        UserError: training or general rows hold pieces of the general suite.
    """
    began = time.monotonic()
    if spec.retention.items or spec.retention.passages:
        problems = general_overlap(iterate_examples(snapshot.file("examples.parquet")))
        if problems:
            raise UserError(problems)
    examples, left_out = held_out(snapshot, spec, seed=context.seed)
    if left_out:
        context.events.tell("note", NAME, f"{left_out} held-out rows are not asked (at_most_rows: {spec.at_most_rows})")
    silent = snapshot.splits.get("test", 0) - len(examples) - left_out
    if silent > 0:
        context.events.tell("note", NAME, f"{silent} held-out rows are no questions: undesirable answers, plain text")
    with context.open(base) as answerer:
        asked = ask(
            answerer, examples, spec=spec, profile=profile, events=context.events, stage=NAME, seed=context.seed
        )
        general = ask_general(answerer, spec.retention, languages=profile.languages, events=context.events, stage=NAME)
        benchmarks = run_benchmarks(answerer, spec.benchmarks, context.root)
        bbq = ask_bbq(answerer, Question(spec, profile, context.events, NAME, context.seed, context.root))
    asked.write(context.out / "answers.jsonl")
    write_lines(context.out / "general.jsonl", general.records())
    write_lines(context.out / "benchmarks.jsonl", benchmarks)
    write_lines(context.out / "bbq.jsonl", bbq_records(bbq))
    return Baseline(answers=len(asked.free), seconds=time.monotonic() - began)
