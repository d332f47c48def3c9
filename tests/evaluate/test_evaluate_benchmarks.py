"""Benchmarks: task files that are safe to read, the harness's own number through our answerer, measures by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from evaluate_fakes import FakeModel

from fakes import tiny_model_folder
from tunesmith.core.errors import MissingLibrary, UserError
from tunesmith.core.types import Answer
from tunesmith.evaluate.asking import at_hand
from tunesmith.evaluate.benchmarks import benchmark_measures, harness_model, run_benchmarks, task_file
from tunesmith.evaluate.measuring import find
from tunesmith.evaluate.spec import BenchmarksSpec
from tunesmith.evaluate.statistics import Sampling

TASK = """
task: colours
dataset_path: json
dataset_kwargs: {data_files: {test: colours.jsonl}}
output_type: multiple_choice
test_split: test
doc_to_text: "Thing {{thing}} is"
doc_to_choice: ["red", "dark green", "blue"]
doc_to_target: label
target_delimiter: " "
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
"""


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A multiple-choice task on local data."""
    (tmp_path / "colours.yaml").write_text(TASK, encoding="utf-8")
    lines = [json.dumps({"thing": f"number {n} of a few", "label": n % 3}) for n in range(24)]
    (tmp_path / "colours.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def test_the_data_of_a_task_file_lies_in_the_project(task: Path) -> None:
    assert task_file("colours.yaml", task)["dataset_kwargs"]["data_files"] == {"test": str(task / "colours.jsonl")}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (
            TASK.replace("label", "!function evil.target", 1).replace("doc_to_target: !", "doc_to_target: !"),
            "unsafe-task",
        ),
        (TASK + "process_docs: !function evil.docs\n", "unsafe-task"),
        (TASK.replace("{{thing}}", "{{thing.__class__.__mro__}}"), "unsafe-task"),
        (TASK.replace("{{thing}}", "{% set x = thing|attr('a') %}"), "unsafe-task"),
        (TASK.replace("{data_files", "{trust_remote_code: true, data_files"), "unsafe-task"),
        (TASK.replace("colours.jsonl", "../../colours.jsonl"), "path-outside"),
        ("- a list", "no-task"),
        ("{", "unsafe-task"),
    ],
)
def test_what_could_run_code_or_leave_the_project_is_refused(task: Path, text: str, code: str) -> None:
    (task / "bad.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as told:
        task_file("bad.yaml", task)
    assert told.value.problems[0].code == code


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError) as told:
        task_file("none.yaml", tmp_path)
    assert told.value.problems[0].code == "missing-file"


def test_no_tasks_need_no_library(tmp_path: Path) -> None:
    assert run_benchmarks(FakeModel("base", {}), BenchmarksSpec(), tmp_path) == []


def test_the_missing_library_is_named(task: Path) -> None:
    try:
        import lm_eval  # noqa: F401
    except ModuleNotFoundError:
        with pytest.raises(MissingLibrary) as told:
            run_benchmarks(FakeModel("base", {}), BenchmarksSpec(tasks=["colours.yaml"]), task)
        assert "tunesmith[benchmarks]" in told.value.problems[0].hint


@pytest.mark.filterwarnings("ignore")
def test_the_number_is_that_of_the_harness_with_hugging_face(task: Path) -> None:
    """A tiny random model on 24 items: every log-probability to 1e-4, and so accuracy and normalised accuracy."""
    pytest.importorskip("lm_eval", reason="needs lm-eval: pip install tunesmith[benchmarks]")
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from tunesmith.models.answerer import open_model

    folder = tiny_model_folder(task / "model")
    config = task_file("colours.yaml", task)
    reference = HFLM(
        pretrained=AutoModelForCausalLM.from_pretrained(folder).eval(),
        tokenizer=AutoTokenizer.from_pretrained(folder),
        batch_size=4,
    )
    theirs = simple_evaluate(model=reference, tasks=[dict(config)], bootstrap_iters=0, verbosity="ERROR")
    with open_model(folder, name="tiny") as answerer:
        ours = simple_evaluate(
            model=harness_model(answerer), tasks=[dict(config)], bootstrap_iters=0, verbosity="ERROR"
        )
        records = run_benchmarks(answerer, BenchmarksSpec(tasks=["colours.yaml"]), task)
    for one, two in zip(theirs["samples"]["colours"], ours["samples"]["colours"], strict=True):
        logs = [[float(pair[0]) for pair in side["filtered_resps"]] for side in (one, two)]
        assert logs[0] == pytest.approx(logs[1], abs=1e-4)
    for metric in ("acc,none", "acc_norm,none"):
        assert ours["results"]["colours"][metric] == theirs["results"]["colours"][metric]
    assert len(records) == 24 and {r["metric"] for r in records} == {"acc_norm"}
    mean = sum(r["value"] for r in records) / 24
    assert mean == pytest.approx(theirs["results"]["colours"]["acc_norm,none"])


def test_the_model_behind_a_way_of_reasoning_is_the_one_that_is_scored() -> None:
    """An expert that reasons holds the answerer that holds the model; a fake and an endpoint hold none."""
    local = SimpleNamespace(model=object(), chat=object())
    assert at_hand(local) is local and at_hand(SimpleNamespace(model=local)) is local
    assert at_hand(FakeModel("base", {})) is None and at_hand(SimpleNamespace(model=FakeModel("base", {}))) is None


LIKELIEST = """
task: next
dataset_path: json
dataset_kwargs: {data_files: {test: next.jsonl}}
output_type: loglikelihood
test_split: test
doc_to_text: "{{text}}"
doc_to_target: "{{next}}"
target_delimiter: ""
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
"""


@pytest.mark.filterwarnings("ignore")
def test_whether_a_word_is_the_likeliest_is_told_as_the_harness_tells_it(tmp_path: Path) -> None:
    """12 texts, six with the model's own next token and six with one that it would never say: accuracy 1/2."""
    pytest.importorskip("lm_eval", reason="needs lm-eval: pip install tunesmith[benchmarks]")
    import torch
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from tunesmith.models.answerer import open_model

    folder = tiny_model_folder(tmp_path / "model", initializer_range=0.2)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    lines = []
    for n in range(12):
        text = f"Thing number {n} of a few is"
        with torch.inference_mode():
            order = model(**tokenizer(text, return_tensors="pt")).logits[0, -1].argsort(descending=n % 2 == 0).tolist()
        plain = (token for token in order if tokenizer.encode(text + tokenizer.decode(token))[-1] == token)
        lines.append(json.dumps({"text": text, "next": tokenizer.decode(next(plain))}))
    (tmp_path / "next.yaml").write_text(LIKELIEST, encoding="utf-8")
    (tmp_path / "next.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = task_file("next.yaml", tmp_path)
    reference = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=4)
    theirs = simple_evaluate(model=reference, tasks=[dict(config)], bootstrap_iters=0, verbosity="ERROR")
    with open_model(folder, name="tiny") as answerer:
        records = run_benchmarks(answerer, BenchmarksSpec(tasks=["next.yaml"]), tmp_path)
    right = [bool(sample["acc"]) for sample in theirs["samples"]["next"]]
    assert [bool(record["value"]) for record in records] == right and 3 < sum(right) < 9
    with pytest.raises(UserError, match="needs-likeliest"):
        run_benchmarks(FakeModel("base", {}), BenchmarksSpec(tasks=["next.yaml"]), tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_free_answers_end_where_the_task_says_and_turns_become_a_conversation() -> None:
    pytest.importorskip("lm_eval", reason="needs lm-eval: pip install tunesmith[benchmarks]")

    class Request:
        def __init__(self, *args: Any) -> None:
            self.args = args

    class Talker(FakeModel):
        def answer(self, conversations: Any, *, at_most_tokens: int) -> list[Answer]:
            return [Answer(text=f"{c[-1].role} {c[-1].content} {at_most_tokens}\n\nmore") for c in conversations]

    model = harness_model(Talker("x", {}), chat=True)
    context = model.apply_chat_template([{"role": "user", "content": "hi"}])
    assert model.generate_until([Request(context, {"until": ["\n\n"], "max_gen_toks": 7})]) == ["user hi 7"]
    assert model.generate_until([Request("plain", {"until": "more"})]) == ["user plain 256\n\n"]


def records(values: Sequence[float | None], task: str = "t") -> list[dict[str, Any]]:
    return [{"task": task, "metric": "acc", "id": str(n), "value": v} for n, v in enumerate(values)]


def test_measures_by_hand() -> None:
    """Task t: 8 of 10 and 5 of 10, 3 pairs differ, all for the expert: p = 2/8. Task u: 1/2 of two that are scored.

    The mean of the tasks is (0.8 + 0.5) / 2.
    """
    ours = records([1.0] * 8 + [0.0] * 2) + records([1.0, 0.0, None], "u")
    theirs = records([1.0] * 5 + [0.0] * 5) + records([1.0, 0.0, 1.0], "u")
    found = benchmark_measures(ours, theirs, Sampling(resamples=100))
    expert = find(found, "benchmark", slice="task=t, acc")
    difference = find(found, "benchmark", model="difference", slice="task=t, acc")
    assert expert is not None and expert.value == 0.8
    assert difference is not None and difference.p == pytest.approx(0.25) and difference.value == pytest.approx(0.3)
    part = find(found, "benchmark", slice="task=u, acc")
    assert part is not None and (part.n, part.unscored) == (2, 1)
    mean = find(found, "benchmark")
    assert mean is not None and mean.value == pytest.approx(0.65)
    assert mean.low is not None and mean.low < 0.65 < (mean.high or 0)
    assert benchmark_measures([], [], Sampling(resamples=100)) == []
