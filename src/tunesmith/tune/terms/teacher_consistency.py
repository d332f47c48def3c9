"""Teacher consistency: the model's distribution stays near the base's, whose answers are stored once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from tunesmith.core import ids
from tunesmith.core.errors import Problem, UserError
from tunesmith.tune.objective import Job, Predictions, Running
from tunesmith.tune.untrained import OBJECTIVE, as_base, no_general_rows, remembered

if TYPE_CHECKING:
    from torch import Tensor

    from tunesmith.tune.batches import Batch, Step

On = Literal["trained", "general", "both"]
PARTS: dict[str, tuple[str, ...]] = {
    "trained": ("supervised", "text"),
    "general": ("general",),
    "both": ("supervised", "text", "general"),
}
DISK_SHARE = 0.5
"""The teacher's answers may take at most this share of the disk's free space."""


@dataclass(frozen=True)
class TeacherConsistency:
    """Mean KL(teacher || model) in nats per trained token, the teacher being the base: the same weights, adapter off.

    Distillation from oneself against forgetting (Li and Hoiem 2016, Learning without Forgetting, arXiv:1606.09282).
    There is no second model and no teacher pass while training: what the teacher says at each position is stored
    before the first step. Zero at the start, but for rounding.

    Args:
        top: which of the teacher's probabilities are stored. A number k: the k largest, and what is left for all
            other tokens together; the KL over these k + 1 events is a lower bound of the whole one, and 8 k bytes a
            token are stored. `all`: its last states, as many numbers a token as the model is wide, of which the frozen
            head makes the whole distribution again, in chunks.
        on: at which rows: the phase's own (`trained`: conversations and text), `general` ones, or `both`.
        share: general rows of a step as a share of its own rows; for `on: general` and `both`.
        chunk_tokens: positions whose logits [chunk, vocabulary] are in memory at a time.
    """

    top: Annotated[int, Field(ge=1)] | Literal["all"] = 64
    on: On = "trained"
    share: Annotated[float, Field(gt=0, le=4)] = 0.25
    chunk_tokens: Annotated[int, Field(ge=1)] = 1024

    @property
    def general_share(self) -> float:
        """See `Term`."""
        return 0.0 if self.on == "trained" else self.share

    def bind(self, job: Job) -> Running:
        """See `Term`.

        Raises:
            UserError: no such rows; the base's own weights have moved in an earlier phase, or the head is trained
                (`all`); the disk is too full for the teacher's answers.
        """
        parts = PARTS[self.on]
        numbers = [number for number, row in enumerate(job.rows) if row.part in parts]
        if self.on != "trained" and not any(job.rows[number].part == "general" for number in numbers):
            raise no_general_rows("teacher_consistency")
        if not numbers:
            found = "teacher_consistency reads conversations and text, and this phase has neither"
            raise UserError(Problem("no-rows-for-term", found, "set on: general, or leave the term out", OBJECTIVE))
        self._refuse_trained_head(job)
        places = _Places.of(job, numbers)
        rows = [[job.rows[number].ids, job.rows[number].trained] for number in numbers]
        about = {"rows": ids.content_id("rows", rows), "top": self.top}
        with as_base(job, "teacher_consistency"):
            _, stored = remembered(job.folder, "teacher", about, lambda: self._asked(job, places))
        return _TeacherConsistency(stored, places, parts, self.chunk_tokens)

    def _asked(self, job: Job, places: _Places) -> dict[str, Tensor]:
        """What the teacher says at every position: `hidden` [N, D], or `ids` [N, k] and `logs` [N, k + 1]."""
        import torch

        stored: dict[str, Tensor] = {}
        batches = job.batches(list(places.first))
        for batch in job.events.track(batches, "tune", "what the base says", total=len(batches), unit="batches"):
            with torch.no_grad():
                made = job.forward.predictions(batch)
                said = {"hidden": made.hidden_ND} if self.top == "all" else self._top(made, self.top)
            if not stored:
                _refuse_full_disk(job, said, places.count)
                stored = {name: part.new_empty((places.count, *part.shape[1:]), device="cpu")
                          for name, part in said.items()}  # fmt: skip
            where_N = places.of_batch(batch)
            for name, part in said.items():
                stored[name][where_N] = part.cpu()
        return stored

    def _top(self, made: Predictions, top: int) -> dict[str, Tensor]:
        import torch

        from tunesmith.tune.kernels import top_log_probabilities

        found, logs = [], []
        for start in range(0, len(made.hidden_ND), self.chunk_tokens):
            logits_nV = made.head(made.hidden_ND[start : start + self.chunk_tokens]).float()
            ids_nK = logits_nV.topk(min(top, logits_nV.shape[-1] - 1), dim=-1).indices
            found.append(ids_nK.to(torch.int32))
            logs.append(top_log_probabilities(logits_nV, ids_nK))
        return {"ids": torch.cat(found), "logs": torch.cat(logs)}

    def _refuse_trained_head(self, job: Job) -> None:
        from tunesmith.models.trunk import base_model

        head = base_model(job.model).get_output_embeddings()
        if self.top == "all" and any(weight.requires_grad for weight in head.parameters()):
            found = "top: all makes the teacher's distribution with the model's own head, and that is trained"
            raise UserError(Problem("head-is-trained", found, "set top: 64, or keep the head frozen", OBJECTIVE))


def _refuse_full_disk(job: Job, said: dict[str, Tensor], count: int) -> None:
    import shutil

    need = sum(part[0].numel() * part.element_size() for part in said.values()) * count
    free = shutil.disk_usage(job.folder).free
    if need > DISK_SHARE * free:
        found = f"what the base says takes {need / 1e9:.1f} GB, and the disk has {free / 1e9:.1f} GB free"
        raise UserError(Problem("disk-too-full", found, "set a smaller top, or name fewer rows", OBJECTIVE))


@dataclass(frozen=True)
class _Places:
    """Where in the stored positions each row's begin.

    Args:
        first: row number -> its first position.
        count: of all positions.
    """

    first: dict[int, int]
    count: int

    @classmethod
    def of(cls, job: Job, numbers: list[int]) -> _Places:
        first, count = {}, 0
        for number in numbers:
            first[number] = count
            count += len(job.rows[number].trained)
        return cls(first, count)

    def of_batch(self, batch: Batch) -> Tensor:
        """[n] the stored positions of the batch's trained tokens, of rows that are stored, in packed order."""
        import torch

        parts = [
            torch.arange(self.first[number], self.first[number] + len(row.trained))
            for number, row in zip(batch.rows, batch.items, strict=True)
            if number in self.first
        ]
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.long)


@dataclass
class _TeacherConsistency(Running):
    stored: dict[str, Tensor]
    places: _Places
    parts: tuple[str, ...]
    chunk_tokens: int

    def value(self, predictions: Predictions, step: Step) -> Tensor | None:
        """See `Running`."""
        import torch

        from tunesmith.tune.kernels import chunked_sum, divergence, top_log_probabilities

        hidden, targets, _ = predictions.of(self.parts)
        if not len(targets):
            return None
        where_N = self.places.of_batch(predictions.batch)
        said = {name: tensor[where_N].to(hidden.device) for name, tensor in self.stored.items()}

        def of_all(logits: Tensor, part: slice) -> Tensor:
            with torch.no_grad():
                teacher = predictions.head(said["hidden"][part]).float().log_softmax(-1)
            return divergence(teacher, logits.log_softmax(-1))

        def of_top(logits: Tensor, part: slice) -> Tensor:
            return divergence(said["logs"][part], top_log_probabilities(logits, said["ids"][part].long()))

        loss = of_all if "hidden" in said else of_top
        total = chunked_sum(hidden, predictions.head, loss, chunk_tokens=self.chunk_tokens)
        return total / step.tokens(self.parts)
