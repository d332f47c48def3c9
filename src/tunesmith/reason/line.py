"""The line of reasoning: retrieve -> draw chains -> check them -> fuse them -> answer, or abstain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.protocols import Answerer, Conversation, Sampler
from tunesmith.core.types import Answer, Sampling, Usage
from tunesmith.reason.chains import Chain, Fused
from tunesmith.reason.checking import checked, with_model
from tunesmith.reason.library import Library
from tunesmith.reason.shelf import CHECKS, FUSIONS, PATHS, Check, Fusion, Paths

if TYPE_CHECKING:
    from tunesmith.reason.equal import Equal, Kind

MAJORITY = {"use": "majority"}
"""What fuses several chains where the project names nothing."""


@dataclass(frozen=True)
class Line:
    """How an expert thinks; a value that needs a model to be at work, see `Job`.

    Args:
        paths: how questions are put and how many chains are drawn.
        sampling: how chains are drawn.
        checks: what looks for mistakes in each chain.
        fusion: what makes one answer of the chains; None: there is one chain, and its answer is the answer.
        learnt: what the fusion was taught on held-out rows.
        stopping: what the paths were taught about stopping.
        library: solved examples.
        conclude: what conclusions are, see `equal.Equal`.
        options: the closed set of answers; empty: any.
        abstain_below: an answer that is less likely right than this is not given.
    """

    paths: Paths
    sampling: Sampling = Sampling()  # noqa: RUF009 - frozen
    checks: tuple[Check, ...] = ()
    fusion: Fusion | None = None
    learnt: dict[str, Any] = field(default_factory=dict)
    stopping: dict[str, Any] = field(default_factory=dict)
    library: Library = field(default_factory=Library)
    conclude: Kind = "auto"
    options: tuple[str, ...] = ()
    abstain_below: float = 0.0

    @classmethod
    def of(
        cls, recipe: Mapping[str, Any], *, taught: Mapping[str, Any] | None = None, library: Library | None = None
    ) -> Line:
        """The line that a recipe (`stage.recipe`) describes.

        Args:
            recipe: settings as JSON values.
            taught: what held-out rows taught: `fusion` and `stopping`.
            library: solved examples.

        Raises:
            UserError: a component is unknown or its settings are wrong.
        """
        fuse = recipe.get("fuse")
        return cls(
            paths=PATHS.build(recipe.get("paths", "direct"), where="reason.paths"),
            sampling=Sampling.model_validate(recipe.get("sampling", {})),
            checks=tuple(
                CHECKS.build(use, where=f"reason.check[{n}]") for n, use in enumerate(recipe.get("check", ()))
            ),
            fusion=FUSIONS.build(fuse, where="reason.fuse") if fuse else None,
            learnt=dict((taught or {}).get("fusion", {})),
            stopping=dict((taught or {}).get("stopping", {})),
            library=library or Library(),
            conclude=recipe.get("conclude", "auto"),
            options=tuple(recipe.get("options", ())),
            abstain_below=float(recipe.get("abstain_below", 0.0)),
        )

    def chain(self, question: Conversation, answer: Answer, source: str) -> Chain:
        """One answer as a chain: its conclusion, or why it has no say, and what the checks found in it."""
        from tunesmith.reason.conclude import concluded

        bare = Chain(answer=answer, source=source, unscored=unscored(answer), log_probability=answer.log_probability)
        chain = concluded(bare, self.equal)
        if chain.unscored == "no-answer" and answer.stop == "length":
            return chain.model_copy(update={"unscored": "cut"})
        return checked(self.checks, question, chain)

    def read(self, text: str) -> str | None:
        """The conclusion that a text comes to, in canonical form."""
        from tunesmith.reason.conclude import conclusion

        found = conclusion(text, self.equal)
        return found.canonical if found else None

    @property
    def equal(self) -> Equal:
        """When two conclusions are the same."""
        from tunesmith.reason.equal import Equal

        return Equal(self.conclude, self.options)

    def fuse(self, chains: Sequence[Chain]) -> Fused:
        """What chains come to together; needs no model, so stored chains can be fused again."""
        fusion = self.fusion or FUSIONS.build(MAJORITY, where="reason.fuse")
        fused: Fused = fusion.fuse(chains, self.learnt)
        return fused

    def taught(self, questions: Sequence[tuple[Sequence[Chain], str]]) -> Line:
        """The line with what held-out questions teach its fusion and when to stop.

        Args:
            questions: the chains of each, as many as `paths.full()` draws, and its right conclusion in canonical form.
        """
        learnt = self.fusion.learn(questions) if self.fusion else {}
        line = replace(self, learnt=learnt)
        return replace(line, stopping=self.paths.fit(line, [chains for chains, _ in questions]))

    def answer(self, chains: Sequence[Chain]) -> Answer:
        """The answer to one question from its chains; needs no model.

        One chain of a line without fusion and checks is its own answer. Otherwise the answer has the words of the chain
        that the fusion chose, its probability as confidence, the tokens of all chains, and chains, votes and posterior
        in `evidence`. Where no chain came to a conclusion, the first one that said something speaks, with confidence 0.
        """
        if len(chains) == 1 and self.fusion is None and not self.checks:
            return chains[0].answer
        fused = self.fuse(chains)
        spoke = [n for n, chain in enumerate(chains) if chain.answer.stop != "error" and chain.answer.text]
        chosen = fused.chosen if fused.chosen is not None else next(iter(spoke), 0)
        abstains = fused.conclusion is None or fused.probability < self.abstain_below
        said = chains[chosen].answer
        evidence = {
            "fused": fused.model_dump(mode="json"),
            "chains": [chain.model_dump(mode="json") for chain in chains],
            **({"abstained": True} if abstains and self.abstain_below else {}),
        }
        return said.model_copy(
            update={
                "text": "" if "abstained" in evidence else said.text,
                "paths": tuple(chain.written for chain in chains),
                "confidence": fused.probability if fused.conclusion is not None else 0.0,
                "evidence": {**said.evidence, **evidence},
                "usage": total(chain.answer.usage for chain in chains),
                "log_probability": None,
            }
        )


@dataclass(frozen=True)
class Job:
    """A line at work.

    Args:
        line: how to think.
        model: who is asked; see `sampler`.
        at_most_tokens: of one chain.
    """

    line: Line
    model: Sampler
    at_most_tokens: int

    @classmethod
    def of(cls, line: Line, model: Answerer, *, at_most_tokens: int) -> Job:
        """The line with a model, which checks that ask one are given too; one that cannot draw is asked once."""
        sampler = model if isinstance(model, Sampler) else Once(model)
        return cls(replace(line, checks=tuple(with_model(line.checks, model))), sampler, at_most_tokens)

    def chains(self, questions: Sequence[Conversation]) -> list[list[Chain]]:
        """The chains of each question, checked, in the order they were drawn."""
        return self.line.paths.draw(self, questions) if questions else []

    def answer(self, questions: Sequence[Conversation]) -> list[Answer]:
        """One answer per question, in order."""
        return [self.line.answer(chains) for chains in self.chains(questions)]

    def sample(
        self, conversations: Sequence[Conversation], draws: Sequence[range], *, likeliest: bool = False
    ) -> list[list[Answer]]:
        """What the model says, see `core.protocols.Sampler`; `likeliest`: at temperature 0."""
        how = self.line.sampling.model_copy(update={"temperature": 0.0}) if likeliest else self.line.sampling
        return self.model.sample(conversations, draws=draws, at_most_tokens=self.at_most_tokens, how=how)


class Once:
    """An answerer that cannot draw, as a sampler of its one answer.

    Args:
        answerer: who is asked.
    """

    def __init__(self, answerer: Answerer) -> None:
        self.name = answerer.name
        self._answerer = answerer

    def answer(self, conversations: Sequence[Conversation], *, at_most_tokens: int) -> list[Answer]:
        """Its answers."""
        return self._answerer.answer(conversations, at_most_tokens=at_most_tokens)

    def sample(
        self, conversations: Sequence[Conversation], *, draws: Sequence[range], at_most_tokens: int, how: Sampling
    ) -> list[list[Answer]]:
        """The one answer to each conversation.

        Raises:
            UserError: more is asked for: the same answer several times would look like agreement.
        """
        if how.temperature or any(len(some) > 1 for some in draws):
            message = f"{self.name} gives one answer a question and cannot draw several"
            raise UserError(
                Problem("cannot-draw", message, "use paths: direct, or a model that samples", "reason.paths")
            )
        wanted = [n for n, some in enumerate(draws) if some]
        said = iter(self.answer([conversations[n] for n in wanted], at_most_tokens=at_most_tokens))
        return [[next(said)] if some else [] for some in draws]


def unscored(answer: Answer) -> str:
    """Why an answer can have no say, whatever stands in it; empty: it can."""
    if answer.stop == "error":
        return f"backend: {answer.evidence.get('error', 'unknown')}"
    if cut := answer.evidence.get("cut"):
        return str(cut)
    return "" if answer.text.strip() or answer.reasoning else "empty"


def total(usages: Any) -> Usage:
    """Tokens and seconds of several answers together."""
    some = list(usages)
    counts = {name: sum(getattr(usage, name) for usage in some) for name in Usage.model_fields}
    return Usage(**counts)
