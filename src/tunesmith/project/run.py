"""Running the trunk: reuse what has not changed, keep what is made, stop where a gate says no."""

from __future__ import annotations

import getpass
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tunesmith import __version__
from tunesmith.core.errors import (
    EXIT_GATE,
    EXIT_INTERRUPTED,
    EXIT_OUR_FAULT,
    EXIT_PASSED,
    GateStopped,
    TunesmithError,
)
from tunesmith.core.events import Event, Events
from tunesmith.core.ids import content_id
from tunesmith.core.protocols import Context, Executor
from tunesmith.core.shelf import Shelf
from tunesmith.core.types import Artifact, GateVerdict
from tunesmith.project.file import Project
from tunesmith.project.report import complete
from tunesmith.project.trunk import TRUNK, Stage, section_of
from tunesmith.project.workers import run_in_workers
from tunesmith.records.ledger import Ledger
from tunesmith.records.store import RunStore

IN_WORKERS = "tune"
"""The stage that several processes train in; other stages give the workers shards of their work, see `Executor`."""
EXECUTORS = Shelf("executors", "tunesmith.project.executors")

JUDGES_WORKERS = "tokens"
"""The stage whose gate judges whether there is room for so many of them; it is made anew for another number."""


@dataclass(frozen=True)
class Outcome:
    """How a run of the whole line ended.

    Args:
        session: id under which the records keep it.
        artifacts: stage name -> artifact, for every stage that was reached.
        verdicts: all gate verdicts in order, with lowering applied.
        seconds: stage name -> wall time; reused stages take next to none.
        reused: names of the stages that were not run again.
    """

    session: str
    artifacts: dict[str, Artifact]
    verdicts: tuple[GateVerdict, ...]
    seconds: dict[str, float]
    reused: tuple[str, ...]

    @property
    def stopped(self) -> tuple[GateVerdict, ...]:
        """The verdicts that stop the run."""
        return tuple(v for v in self.verdicts if v.stops)

    @property
    def word(self) -> str:
        """`stopped` by a gate, `passed` to the end of the trunk, or `unfinished` where the run was to end earlier."""
        if self.stopped:
            return "stopped"
        return "passed" if len(self.artifacts) == len(TRUNK) else "unfinished"

    @property
    def exit_code(self) -> int:
        """0 if every gate passed (or was lowered), 3 if one stops the run."""
        return EXIT_GATE if self.stopped else EXIT_PASSED


class Runner:
    """Runs one project; state is what has been made so far.

    Args:
        project: what to run.
        store: where runs are kept.
        events: who is told.
        fresh: reuse nothing.
        workers: processes that share the training and the work on data. Not part of a run's id: snapshots are the same
            bit for bit, checkpoints within rounding.
        executor: component that runs the work on data in so many workers; no part of a run's id either.

    Raises:
        UserError: there is no such executor, or a library that it needs is not installed.
    """

    def __init__(
        self,
        project: Project,
        store: RunStore,
        events: Events,
        *,
        fresh: bool = False,
        workers: int = 1,
        executor: str = "local",
    ) -> None:
        self.project, self.store, self.events, self.fresh, self.workers = project, store, events, fresh, workers
        self.executor: Executor = EXECUTORS.build({"use": executor, "workers": workers}, where="--executor")
        self.ledger = Ledger(store)
        self.made: dict[type[Artifact], Artifact] = {}
        self.artifacts: dict[str, Artifact] = {}
        self.verdicts: list[GateVerdict] = []
        self.seconds: dict[str, float] = {}
        self.reused: list[str] = []

    def run(self, *, until: str | None = None, keep_going: bool = False) -> Outcome:
        """Run the trunk up to and including the stage `until`.

        Args:
            until: name of the last stage; None: all.
            keep_going: look at every gate even after one has said no; the run is stopped all the same at its end,
                with all reasons together.
        """
        session = self.store.begin(self.project.spec.name, content_id("spec", self.project.spec))
        with self._recorded(session):
            for stage in TRUNK:
                self._do(stage, session)
                stops = [v for v in self.verdicts if v.stops]
                if (stops and not keep_going) or stage.name == until:
                    break
            outcome = Outcome(session, self.artifacts, tuple(self.verdicts), dict(self.seconds), tuple(self.reused))
            if "evaluate" in self.artifacts:
                page = self.artifacts["evaluate"].file("report.html")
                complete(page, self.project.home, session, outcome.verdicts)
            self._end(session, outcome.exit_code, outcome.word)
        return outcome

    @contextmanager
    def _recorded(self, session: str) -> Iterator[None]:
        self._log("run-started", session, {"project": self.project.spec.name, "version": __version__})
        try:
            yield
        except KeyboardInterrupt:
            self._end(session, EXIT_INTERRUPTED, "interrupted")
            raise
        except BaseException as error:
            code = error.exit_code if isinstance(error, TunesmithError) else EXIT_OUR_FAULT
            self._end(session, code, f"{type(error).__name__}")
            raise

    def _do(self, stage: Stage, session: str) -> None:
        started = time.monotonic()
        inputs = {name: self.made[kind] for name, kind in stage.needs.items()}
        run = self.run_id(stage, inputs)
        artifact = None if self.fresh else self.store.find(run)
        reused = artifact is not None
        if artifact is None:
            self.events.tell("stage", stage.name, run=run)
            with self.events.heard_by(partial(self._incident, session)):
                artifact = self._make(stage, run, inputs)
        else:
            self._warn_of_changes(stage, run)
            self.reused.append(stage.name)
        self.made[type(artifact)] = self.artifacts[stage.name] = artifact
        seconds = self.seconds[stage.name] = time.monotonic() - started
        self.events.tell("done", stage.name, artifact.id, seconds=seconds, reused=reused)
        verdicts = [self._lowered(verdict) for verdict in artifact.gates]
        self.store.note(session, stage.name, run, artifact.id, reused, seconds, verdicts)
        self._log("stage", session, {"stage": stage.name, "run": run, "artifact": artifact.id, "reused": reused})
        for verdict in verdicts:
            self._judge(verdict, session)

    def run_id(self, stage: Stage, inputs: dict[str, Artifact]) -> str:
        """hash(stage, version, filled spec, input ids, digests of outside files, seed)."""
        spec = section_of(self.project.spec, stage)
        body = {
            "stage": stage.name,
            "version": stage.version,
            "spec": spec,
            "inputs": {name: artifact.id for name, artifact in inputs.items()},
            "outside": dict(stage.outside(spec, self.project.root)),
            "seed": self.project.spec.seed,
        }
        if self.workers > 1 and stage.name == JUDGES_WORKERS:
            body["workers"] = self.workers
        return content_id("run", body)

    def _make(self, stage: Stage, run: str, inputs: dict[str, Artifact]) -> Artifact:
        from tunesmith.evaluate.scoring import scorer_of
        from tunesmith.reason.answerer import open_answerer

        spec = section_of(self.project.spec, stage)

        def work(out: Path) -> Artifact:
            context = Context(
                root=self.project.root,
                out=out,
                scratch=self.store.scratch(run),
                events=self.events,
                seed=self.project.spec.seed,
                run=run,
                open=open_answerer,
                scorer=scorer_of,
                workers=self.workers,
                executor=self.executor,
            )
            if self.workers > 1 and stage.name == IN_WORKERS:
                return run_in_workers(stage, spec, inputs, context=context, workers=self.workers)
            made: Artifact = stage.module.run(spec, context=context, **inputs)
            return made

        artifact = self.store.make(
            run,
            stage.name,
            inputs=[a.id for a in inputs.values()],
            spec=spec.model_dump(mode="json"),
            code=stage.sources(),
            work=work,
            again=self.fresh,
        )
        return artifact

    def _warn_of_changes(self, stage: Stage, run: str) -> None:
        record = self.store.record(run)
        was, now = record.code if record else {}, stage.sources()
        changed = sorted(name for name in {*was, *now} if was.get(name) != now.get(name))
        if changed:
            listed = ", ".join(changed[:3]) + (" ..." if len(changed) > 3 else "")
            message = f"reused although its source has changed since ({listed}); --fresh makes it anew"
            self.events.tell("warning", stage.name, message, changed=changed)

    def _lowered(self, verdict: GateVerdict) -> GateVerdict:
        lowered = self.project.spec.gates.get(verdict.gate)  # type: ignore[call-overload]
        return verdict.model_copy(update={"lowered": lowered.warn}) if lowered else verdict

    def _judge(self, verdict: GateVerdict, session: str) -> None:
        self.verdicts.append(verdict)
        self.events.tell("gate", verdict.gate, verdict.verdict, verdict=verdict.model_dump(mode="json"))
        self._log("gate", session, verdict.model_dump(mode="json"))
        if verdict.lowered and verdict.verdict != "passed":
            self._log("override", session, {"gate": verdict.gate, "reason": verdict.lowered})

    def _incident(self, session: str, event: Event) -> None:
        if event.kind == "incident":
            self._log("incident", session, {"stage": event.stage, "message": event.message, **event.data})

    def _end(self, session: str, exit_code: int, outcome: str) -> None:
        self.store.end(session, exit_code, outcome)
        self._log("run-ended", session, {"exit_code": exit_code, "outcome": outcome})

    def _log(self, kind: str, session: str, body: dict[str, Any]) -> None:
        self.ledger.append(kind, {"session": session, **body}, actor=_actor())


def _actor() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container user without a name
        return "unknown"


def raise_if_stopped(outcome: Outcome) -> None:
    """Raise GateStopped with the verdicts that stop the run, if any."""
    if outcome.stopped:
        raise GateStopped(outcome.stopped)
