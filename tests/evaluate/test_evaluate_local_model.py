"""Both stages with a real transformers model and the room `models` behind the protocol, tiny and random."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from evaluate_fakes import (
    FakeModel,
    base_artifact,
    checkpoint_of,
    colours,
    context_of,
    expert_artifact,
    profile_of,
    snapshot_of,
    tokens_artifact,
)

from fakes import tiny_model_folder
from tunesmith.core.events import Events
from tunesmith.core.protocols import Context, LikelihoodAnswerer
from tunesmith.core.types import Base, Expert
from tunesmith.evaluate import baseline, stage
from tunesmith.evaluate.measuring import find
from tunesmith.evaluate.spec import EvaluateSpec, RetentionSpec
from tunesmith.models.answerer import open_model


def test_a_model_compared_with_itself_keeps_everything_and_is_refused(tmp_path: Path) -> None:
    """The "expert" is the same weights under another name: all is kept, and the adapter is not in force (PAINS 8)."""
    model = tiny_model_folder(tmp_path / "model")

    @contextlib.contextmanager
    def opened(artifact: Base | Expert) -> Iterator[LikelihoodAnswerer]:
        with open_model(model, name=type(artifact).__name__.lower()) as answerer:
            yield answerer

    def context(name: str) -> Context:
        fake = FakeModel("unused", {})
        return replace(context_of(tmp_path / name, fake, fake, Events()), open=opened)

    suite = RetentionSpec(items=8, passages=3)
    spec = EvaluateSpec(resamples=100, at_most_tokens=4, likelihood_rows=24, latency_rows=2, retention=suite)
    profile, snapshot = profile_of(), snapshot_of(tmp_path / "snapshot", colours(24))
    before = context("baseline")
    line = baseline.run(spec, base=base_artifact(), profile=profile, snapshot=snapshot, context=before)
    report = stage.run(
        spec,
        base=base_artifact(),
        profile=profile,
        snapshot=snapshot,
        tokens=tokens_artifact(),
        checkpoint=checkpoint_of(tmp_path / "checkpoint"),
        baseline=line.model_copy(update={"folder": before.out}),
        expert=expert_artifact(),
        context=context("report"),
    )
    retention = find(report.measures, "retention")
    assert retention is not None and retention.value is not None
    assert abs(retention.value - 1.0) < 1e-4
    codes = {r.code: r.verdict for gate in report.gates for r in gate.reasons}
    assert codes["adapter-in-force"] == "failed"
    assert codes["significance"] != "passed"
