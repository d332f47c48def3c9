"""Labelling as a service: queues of one project, for whoever sits at them. Every method returns plain JSON values."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.events import Events
from tunesmith.core.files import write_json


class Labelling:
    """The queues of a project, see `Workshop.labelling`.

    Args:
        project: the loaded project.
        store: its records.
        events: where to tell what happens.
        name: who labels; roles are given to names.
    """

    def __init__(self, project: Any, store: Any, events: Events, *, name: str) -> None:
        from tunesmith.records.labels import Labels

        self.project, self.store, self.events, self.name = project, store, events, name
        self.labels = Labels(store.database)

    def queues(self) -> list[str]:
        """Names of the queues, oldest first."""
        return self.labels.queues()

    def desk(self, queue: str) -> Any:
        """The queue for this person: next, label, skip, undo, disputes, decide, member, rounds, status."""
        from tunesmith.data.label.desk import Desk

        return Desk(self.labels, queue, name=self.name)

    def create(
        self,
        queue: str,
        *,
        labels: Sequence[str] = (),
        source: str | None = None,
        template: str | None = None,
        split: str | None = None,
        at_most: int | None = None,
        **asked: Any,
    ) -> dict[str, Any]:
        """Make a queue; you are its manager.

        Args:
            queue: its name.
            labels: the answers; none: `profile.labels`.
            source: a file; None: the rows of the newest snapshot.
            template: what is labelled of a row of a table, with `{column}` places.
            split: only rows of this split of the snapshot.
            at_most: so many rows, drawn by the project's seed.
            asked: `question`, `experts` and `scale`, see `data.label.board.Queue`.
        """
        from tunesmith.data.label.board import Queue
        from tunesmith.data.label.desk import Desk
        from tunesmith.data.label.rows import unique

        answers = tuple(labels) or tuple(self.project.spec.profile.labels)
        if len(answers) < 2:
            hint = "--labels yes,no,maybe, or profile.labels in the project file"
            raise UserError(Problem("no-labels", "at least two labels are needed", hint, "--labels"))
        found, dropped, whence = self._rows(source, template, split)
        rows = unique(found)
        copies = len(found) - len(rows)
        if at_most is not None and at_most < len(rows):
            drawn = set(random.Random(self.project.spec.seed).sample(list(rows), at_most))
            rows = {row: example for row, example in rows.items() if row in drawn}
        settings = Queue(labels=answers, source=whence, **asked)
        desk = Desk.create(self.labels, queue, name=self.name, asked=settings, rows=rows)
        return {**desk.status(), "left_out": dict(dropped), "copies": copies}

    def rules(
        self,
        queue: str,
        *,
        rules: Path | None = None,
        functions: Path | None = None,
        predictions: Path | None = None,
        model: str = "dawid_skene",
        threshold: float = 0.9,
        save: bool = False,
    ) -> dict[str, Any]:
        """Ask labelling functions, report on each, and merge what they say; kept only if `save`.

        Args:
            queue: which queue.
            rules: YAML of keyword and regex rules.
            functions: a Python file; IT IS RUN.
            predictions: a model's labels, as one more function.
            model: `dawid_skene`, `snorkel` or `majority`.
            threshold: least probability at which rules label a row without people.
            save: write the labels into the queue.
        """
        from tunesmith.data.label import checking, weak
        from tunesmith.data.label import functions as made
        from tunesmith.data.label.predictions import read_predictions
        from tunesmith.data.label.settle import gold, settle

        desk = self._managed(queue)
        labels = desk.board.asked.labels
        asked = made.read_rules(rules, labels) if rules else []
        asked += made.import_functions(functions) if functions else []
        if predictions:
            asked.append(made.of_predictions(predictions.stem, read_predictions(predictions, labels, desk.examples)))
        votes = made.apply(asked, desk.examples, labels)
        shares_NK = weak.probabilities(votes.votes_NM, len(labels), model=model, seed=self.project.spec.seed)  # type: ignore[arg-type]
        known = gold(settle(desk.board))
        best = {
            row: (labels[int(shares.argmax())], float(shares.max()))
            for row, shares in zip(votes.rows, shares_NK, strict=True)
            if not (shares != shares).any()
        }
        judged = [best[row][0] == label for row, label in known.items() if row in best]
        trust = weak.trust(best, known, threshold=threshold)
        if save:
            checking.save_rules(desk, votes, shares_NK, threshold=threshold, trusted=trust.trusted)
        return {
            "queue": queue,
            "model": model,
            "threshold": threshold,
            "rows": len(votes.rows),
            "covered": len(best),
            "functions": checking.described(weak.reports(votes, labels, known)),
            "accuracy": sum(judged) / len(judged) if judged else None,
            "gold": len(judged),
            "sure": sum(p >= threshold for _, p in best.values()),
            "trust": asdict(trust),
            "saved": save,
        }

    def agreement(self, queue: str) -> dict[str, Any]:
        """Alpha and kappas of the first closed round of every row, with 95 % intervals."""
        from tunesmith.data.label.agreement import agreement_reason
        from tunesmith.data.label.settle import measured

        desk = self.desk(queue)
        desk.refresh().need(desk.person, "manager", "adjudicator")
        desk.board.need_closed()
        found = measured(desk.board, seed=self.project.spec.seed)
        return {"queue": queue, **asdict(found), "told": agreement_reason(found.alpha, where=queue).message}

    def errors(self, queue: str, *, predictions: Path | None = None) -> dict[str, Any]:
        """Flag settled rows whose label a model that has not seen them does not believe.

        Args:
            queue: which queue.
            predictions: probabilities of your own model, made out of sample; None: a small model is trained here.
        """
        from tunesmith.data.label import checking, review
        from tunesmith.data.label.predictions import read_predictions
        from tunesmith.data.label.rows import shown
        from tunesmith.data.label.settle import gold, settle

        desk = self._managed(queue)
        known = gold(settle(desk.board))
        if not known:
            hint = f"close a round first: tunesmith label close PROJECT {queue}"
            raise UserError(Problem("nothing-settled", "no row has been settled by people yet", hint, queue))
        rows, given, labels = list(known), list(known.values()), desk.board.asked.labels
        if predictions is None:
            texts = [shown(desk.examples[row]) for row in rows]
            groups = [desk.examples[row].group or row for row in rows]
            shares_NK = review.out_of_sample(texts, given, labels, groups, seed=self.project.spec.seed)
        else:
            shares_NK = review.of_file(read_predictions(predictions, labels, desk.examples), rows, labels)
        found = review.suspicious(rows, given, shares_NK, labels)
        name = predictions.stem if predictions else "TF-IDF and logistic regression, 5 folds"
        checking.flag_errors(desk, found, model=name)
        return {"queue": queue, "model": name, "looked_at": len(rows), "flagged": [asdict(each) for each in found]}

    def consistency(self, queue: str, *, predictions: Path | None = None, ask: str | None = None) -> dict[str, Any]:
        """Compare a model with people: predictions out of a file, or `ask` the project's `expert` or `base` model."""
        from tunesmith.data.label import checking
        from tunesmith.data.label.predictions import read_predictions

        desk = self._managed(queue)
        if (predictions is None) == (ask is None) or ask not in (None, "expert", "base"):
            hint = "--predictions FILE, or --ask expert, or --ask base"
            raise UserError(Problem("no-model", "one model is to be compared with", hint, queue))
        if predictions is not None:
            said = read_predictions(predictions, desk.board.asked.labels, desk.examples)
            return {**checking.consistency(desk, said, model=predictions.stem), "unreadable": 0}
        from tunesmith.project.talk import open_last

        with open_last(self.project, self.store, self.events, base=ask == "base") as talk:
            said, unreadable = checking.ask_model(desk, talk.answerer, talk.system)
            name = f"{ask} {talk.answerer.name}"
        return {**checking.consistency(desk, said, model=name), "unreadable": unreadable}

    def review(self, queue: str) -> list[dict[str, Any]]:
        """Rows to look at again, with the reasons."""
        from tunesmith.data.label.checking import reviewed

        desk = self.desk(queue)
        desk.refresh().need(desk.person, "manager", "adjudicator")
        return reviewed(desk.board)

    def export(
        self, queue: str, to: Path, *, form: str = "tunesmith", merge: str = "dawid_skene", sure: float = 0.8
    ) -> dict[str, Any]:
        """Write the labels: as a source for `data.sources`, or for `label-studio` or `argilla`.

        For others the rows are written without labels while a round is open, so that annotators there are as blind as
        here. An export as a source is entered into the ledger with the file's digest.
        """
        from tunesmith.data.label import argilla, label_studio
        from tunesmith.data.label.settle import export
        from tunesmith.records.ledger import Ledger

        desk = self._managed(queue)
        if form == "tunesmith":
            told = export(desk.board, desk.examples, to, method=merge, sure=sure)  # type: ignore[arg-type]
            alpha = told["agreement"]["alpha"]["value"]
            body = {"queue": queue, "sha256": told["digest"], "rows": told["rows"], "alpha": alpha}
            Ledger(self.store).append("labels", body, actor=desk.person)
            return told
        closed = desk.board.round is None and bool(desk.board.rounds)
        records = (label_studio if form == "label-studio" else argilla).written(desk, with_labels=closed)
        write_json(to, records)
        told = {"file": str(to), "rows": len(records), "with_labels": closed}
        return {**told, "interface": label_studio.config(desk)} if form == "label-studio" else told

    def bring(self, queue: str, path: Path, *, form: str) -> dict[str, Any]:
        """Read labels that were given in Label Studio or Argilla into the open round."""
        from tunesmith.data.label import argilla, exchange, label_studio

        desk = self._managed(queue)
        value = exchange.read_foreign(path)
        if form == "label-studio":
            return exchange.bring(desk, label_studio.parsed(value, path.name), path.name)
        people = {argilla.user_id(person): person for person in self.labels.names(queue)}
        return exchange.bring(desk, argilla.parsed(value, path.name, people), path.name)

    def _managed(self, queue: str) -> Any:
        desk = self.desk(queue)
        desk.refresh().need(desk.person, "manager")
        return desk

    def _rows(self, source: str | None, template: str | None, split: str | None) -> tuple[list[Any], Counter[str], str]:
        if source is not None:
            from tunesmith.data.label.rows import rows_of_file

            rows, dropped = rows_of_file(self.project.root, source, template=template)
            return rows, dropped, source
        from tunesmith.core.examples import read_examples
        from tunesmith.project.show import last_made

        snapshot = last_made(self.project, self.store, "data")
        return read_examples(snapshot.file("examples.parquet"), split), Counter(), snapshot.id  # type: ignore[arg-type]
