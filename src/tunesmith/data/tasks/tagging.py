"""From a snapshot's training rows to coverage, picture and reason, as the settings ask for it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tunesmith.core.events import Events
from tunesmith.core.types import Example, Reason
from tunesmith.data.tasks.catalogue import Language
from tunesmith.data.tasks.classify import Classifier
from tunesmith.data.tasks.coverage import Coverage, coverage, coverage_reason
from tunesmith.data.tasks.draw import write_coverage
from tunesmith.data.tasks.spec import Tasks

PICTURE = "tasks.html"
_STAGE = "data"


def tag_rows(
    rows: Iterable[Example], spec: Tasks, *, of: int, out: Path, events: Events, language: Language = "en"
) -> tuple[Coverage, Reason]:
    """Tell the tasks of training rows, write the picture `tasks.html` into `out`, and judge for gate G1.

    Takes six parameters because it is called once, where the stage has them all.

    Args:
        rows: training rows, in order.
        spec: settings.
        of: how many rows there are.
        out: where the picture goes.
        events: where it is told.
        language: of the picture.

    Raises:
        UserError: the encoder is asked for and cannot be brought.
    """
    shown = events.track(rows, _STAGE, "telling the tasks of rows", total=of)
    found = coverage(shown, classifier_of(spec, events), at_most=spec.at_most_rows, of=of)
    write_coverage(found, out / PICTURE, must=spec.must, language=language)
    reason = coverage_reason(found, must=spec.must, unknown=spec.unknown)
    events.tell("note", _STAGE, reason.message)
    return found, reason


def classifier_of(spec: Tasks, events: Events) -> Classifier:
    """The classifier that the settings ask for; with `nearest` the encoder is opened.

    Raises:
        UserError: the encoder cannot be brought.
    """
    if not spec.nearest:
        return Classifier()
    from tunesmith.models.embed import open_embedder

    return Classifier(open_embedder(events=events))
