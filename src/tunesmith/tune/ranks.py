"""Several processes at one training: who takes which micro-batch, and how what they find becomes one.

Every process has the same plan, the same random state and, after each step, the same weights; only micro-batches are
divided. Terms divide by counts of the whole step, so gradients and values of the shares simply add up. What is decided
(a batch set aside, smaller micro-batches, the end) is decided from numbers that all processes have exchanged, so all
of them decide alike. Words between processes are JSON.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed

from tunesmith.core.errors import Problem, UserError
from tunesmith.tune.batches import Batch
from tunesmith.tune.optimise import random_state, restore_random

BUCKET = 1 << 24
"""Numbers of gradients that are summed in one message."""


@dataclass(frozen=True)
class Ranks:
    """This process among those of the training; by default it is the only one, and nothing here does anything.

    Args:
        rank: of this process; 0 is the one that writes checkpoints, curve and events.
        world: number of processes.
        sharded: the decoder layers are divided among the processes (FSDP2), so that all of them must run the same
            number of passes.
    """

    rank: int = 0
    world: int = 1
    sharded: bool = False

    @property
    def main(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def share(self, batches: Sequence[Batch]) -> list[tuple[int | None, Batch]]:
        """The micro-batches of this process with their numbers in `batches`, the largest first.

        Where the model is sharded, every process gets as many, of the same kinds in the same order (rows whose border
        states are kept, rows that were just made); a number of None is a pass that only keeps step with the others.
        """
        if self.world == 1:
            return list(enumerate(batches))
        numbered = sorted(enumerate(batches), key=lambda pair: (-pair[1].ids.shape[1], pair[0]))
        kinds = [[pair for pair in numbered if (min(pair[1].rows) >= 0) == kept] for kept in (True, False)]
        mine: list[tuple[int | None, Batch]] = []
        for kind in kinds:
            own: list[tuple[int | None, Batch]] = list(kind[self.rank :: self.world])
            if self.sharded and kind:
                own += [(None, kind[-1][1])] * (-(-len(kind) // self.world) - len(own))
            mine += own
        return mine

    def exchange(self, value: Any) -> list[Any]:
        """The JSON values that all processes give here, in the order of their ranks."""
        if self.world == 1:
            return [value]
        own = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        lengths = [torch.zeros(1, dtype=torch.long) for _ in range(self.world)]
        distributed.all_gather(lengths, torch.tensor([len(own)]))
        longest = max(int(length) for length in lengths)
        texts = [own.new_zeros(longest) for _ in range(self.world)]
        distributed.all_gather(texts, torch.nn.functional.pad(own, (0, longest - len(own))))
        return [json.loads(bytes(text[: int(n)].tolist())) for text, n in zip(texts, lengths, strict=True)]

    def together(self, gb: float) -> float:
        """Memory as the estimate counts it: of all processes on one machine, or of the GPU that needs most."""
        told = self.exchange(gb)
        return float(max(told) if torch.cuda.is_available() else sum(told))

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag, whether it is set in any process."""
        return tuple(any(told) for told in zip(*self.exchange(list(flags)), strict=True))

    def sum_gradients(self, weights: Iterable[Tensor]) -> None:
        """Add up the gradients of all processes, in place; those of sharded weights have been added up already.

        Raises:
            RuntimeError: another process is gone.
        """
        if self.world == 1:
            return
        whole = [weight for weight in weights if not hasattr(weight, "full_tensor")]
        for weight in whole:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        for bucket in _buckets([weight.grad for weight in whole if weight.grad is not None]):
            flat = torch.cat([grad.reshape(-1) for grad in bucket])
            distributed.all_reduce(flat)
            for grad, summed in zip(bucket, torch.split(flat, [grad.numel() for grad in bucket]), strict=True):
                grad.copy_(summed.view_as(grad))

    @contextlib.contextmanager
    def own_random(self, seed: int, step: int) -> Iterator[None]:
        """Inside, each of several processes draws from a stream of its own that follows from seed, step and rank.

        Outside all of them draw the same numbers, so that one random state resumes any of them.
        """
        if self.world == 1:
            yield
            return
        before = random_state()
        torch.manual_seed((seed * 1_000_003 + step * self.world + self.rank) % 2**63)
        try:
            yield
        finally:
            restore_random(before)

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        """A block that reads or makes files: rank 0 goes first, the others find what it made; all leave together."""
        if not self.main:
            self.wait()
        yield
        if self.main:
            self.wait()
        self.wait()

    @contextlib.contextmanager
    def keeping(self, shared: Path, name: str) -> Iterator[Path]:
        """A block that computes what is kept on disk for the rest of the run; yields the folder for it.

        Whole models take turns and share `shared`. A sharded model's passes need all processes at once, so each keeps
        what it computes in a folder of its own, and if one of them was killed before all had finished `name`, all begin
        anew: none may find what another one has to compute.
        """
        if not self.sharded:
            with self.in_turn():
                yield shared
            return
        folder = shared / f"rank-{self.rank}-of-{self.world}"
        seal = folder / f"{name}.whole"
        if not all(self.exchange(seal.is_file())):
            shutil.rmtree(folder, ignore_errors=True)
        yield folder
        self.wait()
        folder.mkdir(parents=True, exist_ok=True)
        seal.touch()

    def wait(self) -> None:
        """Until all processes are here."""
        if self.world > 1:
            distributed.barrier()

    def same(self, value: Any, what: str) -> None:
        """All processes have the same JSON value.

        Raises:
            UserError: they differ.
        """
        if len({json.dumps(told, sort_keys=True) for told in self.exchange(value)}) > 1:
            hint = "all workers must see the same project folder, and run the same versions on the same kind of machine"
            raise UserError(Problem("workers-differ", f"the workers differ in {what}", hint, "--workers"))


ALONE = Ranks()
"""The only process."""


def here(*, sharded: bool = False) -> Ranks:
    """This process among those that torch's process group joins; `ALONE` where there is none."""
    if not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1):
        return ALONE
    return Ranks(distributed.get_rank(), distributed.get_world_size(), sharded)


def rows_differ(step: int) -> UserError:
    """The processes made different rows for a step: what they sample is not the same on all their machines."""
    hint = "run them on the same kind of machine, or with one worker"
    return UserError(
        Problem("workers-differ", f"the workers have different rows in step {step + 1}", hint, "--workers")
    )


def added(parts: Iterable[dict[str, float]]) -> dict[str, float]:
    """Name -> the sum over all parts that have the name."""
    total: dict[str, float] = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total.get(name, 0.0) + value
    return total


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """In order, of one type of number each, of at most `BUCKET` numbers or one longer gradient."""
    bucket: list[Tensor] = []
    for grad in gradients:
        full = sum(other.numel() for other in bucket) + grad.numel() > BUCKET
        if bucket and (full or grad.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(grad)
    if bucket:
        yield bucket
