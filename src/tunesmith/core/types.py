"""The nouns: everything that flows between rooms is defined here, once, frozen.

Axes used in names: B sequence in batch, T token, D hidden, V vocabulary, N example, P reasoning path.
An *artifact* is a noun that a stage makes: it has an id over its content, the run that made it, the ids it
was made from, and a folder with its files. Rooms share these types and never each other.

Longer than other files because the whole vocabulary, every field explained, is read in one place.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from tunesmith.core.ids import content_id

Split = Literal["train", "valid", "test", "general"]
Role = Literal["system", "user", "assistant", "tool"]
DataKind = Literal["structured", "semi_structured", "unstructured"]
VerdictName = Literal["passed", "failed", "unknown"]

CANARY = "canary"
"""Attribute of a row that was planted to test what is memorised; its value is the secret in the row's answer."""


class Noun(BaseModel):
    """A frozen value that knows no unknown fields and has a canonical JSON form."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# -- conversations ----------------------------------------------------------------------------------


class ToolCall(Noun):
    """One call of a tool by the assistant.

    `arguments` is kept as the JSON text that the data has: parsing it into columns would let Arrow fill
    absent keys with nulls and so change what the model learns.
    """

    name: str
    arguments: str = "{}"
    id: str = ""


class Message(Noun):
    """One turn of a conversation.

    Fields:
        role: who speaks; `tool` answers a tool call.
        content: the text, without reasoning.
        reasoning: chain of thought before `content`. None: the data says nothing about reasoning; an empty
            string: thinking was left empty on purpose (`<think></think>` is rendered).
        tool_calls: calls made in this assistant turn, in order.
        tool_call_id: which call a `tool` turn answers, if the data says.
        trained: for assistant turns, whether its tokens carry loss; data may switch single turns off.
    """

    role: Role
    content: str = ""
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    trained: bool = True


class Example(Noun):
    """One row: a conversation with what is known about it.

    Fields:
        id: content id of the conversation and target (`ex-...`).
        messages: the turns; for supervised rows the last is the assistant's.
        target: the short reference answer that metrics compare with (a label, a number, a text); None: the last
            assistant turn's content is the reference.
        rejected: the worse last turn of a preference pair; None where there is no pair.
        desirable: the verdict of a KTO row; None where there is none.
        tools: each tool's JSON schema, as JSON text.
        images, audio: paths of media, relative to the source file.
        group: rows with the same group stay in one split (a patient, a category); None: the row is its own group.
        attributes: columns that are not shown to the model but sliced by, e.g. protected groups: name -> value.
        kind: how structured the source was.
        source, licence: where the row comes from.
        place: where the row stands, for people: `FILE:NUMBER`, the number of its line, row, page or paragraph; `FILE`
            alone for a whole document. FILE goes on inside archives (`all.zip/notes/a.txt`) and workbooks
            (`b.xlsx/Sheet1`).
        byte: offset of the row's first byte in its file; None where the format has none (pages, cells, archives).
        parent: id of the example that this one was made from, if any.
        split: set by the splitter, or beforehand by a source that is already split.
    """

    id: str
    messages: tuple[Message, ...]
    target: str | None = None
    rejected: Message | None = None
    desirable: bool | None = None
    tools: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    audio: tuple[str, ...] = ()
    group: str | None = None
    attributes: dict[str, str] = Field(default_factory=dict)
    kind: DataKind = "structured"
    source: str = ""
    licence: str = ""
    place: str = ""
    byte: int | None = None
    parent: str | None = None
    split: Split | None = None

    @property
    def reference(self) -> str:
        """What an answer is compared with: `target`, or else the last assistant turn's content."""
        if self.target is not None:
            return self.target
        said = [m.content for m in self.messages if m.role == "assistant"]
        return said[-1] if said else ""

    @property
    def text(self) -> str | None:
        """The text of a row that is plain text: one turn that nobody answers, nothing to compare with. Else None."""
        alone = len(self.messages) == 1 and self.messages[0].role == "user" and self.target is None
        return self.messages[0].content if alone else None

    @property
    def prompt(self) -> tuple[Message, ...]:
        """The turns before the last assistant turn: what an answerer is given."""
        last = max((i for i, m in enumerate(self.messages) if m.role == "assistant"), default=len(self.messages))
        return self.messages[:last]


def example_id(messages: tuple[Message, ...], target: str | None, rejected: Message | None = None) -> str:
    """The content id of a row: what it says, not where it came from."""
    body = {"messages": [m.model_dump(mode="json") for m in messages], "target": target, "rejected": rejected}
    return content_id("ex", body)


# -- knowledge --------------------------------------------------------------------------------------


class Evidence(Noun):
    """Where a text says something.

    Fields:
        sentence: as it stands there.
        start, end: its characters in the text that was read: `text[start:end] == sentence`.
        row, turn: id of the example and index of the turn whose content was read; empty and 0 for a text alone.
        place: file and line or row number in the source, for people.
    """

    sentence: str
    start: int
    end: int
    row: str = ""
    turn: int = 0
    place: str = ""


class Triple(Noun):
    """One statement that a text makes: subject, relation, object, and the sentence that it rests on.

    Fields:
        subject, object: phrases as the text has them, without articles.
        relation: a verb in its base form with its preposition (`lead to`, `be treated with`); in Chinese as it is
            written, with `…` where the object stands if that is before the verb (`由…组成`).
        subject_key, relation_key, object_key: normalised forms; equal keys count as the same thing.
        subject_kind, object_kind: what they are in the domain (`symptom`), empty where nobody said.
        language: BCP 47 code.
        confidence: in [0, 1]; orders statements, it is not a calibrated probability.
        negated: the text denies it.
        hedged: the text does not vouch for it: may, might, if, somebody suspects.
        extractor: name of the component that found it.
        evidence: where it stands.
    """

    subject: str
    relation: str
    object: str
    subject_key: str
    relation_key: str
    object_key: str
    subject_kind: str = ""
    object_kind: str = ""
    language: str = "en"
    confidence: float = Field(ge=0.0, le=1.0)
    negated: bool = False
    hedged: bool = False
    extractor: str = ""
    evidence: Evidence


# -- verdicts ---------------------------------------------------------------------------------------


class Reason(Noun):
    """Why a gate decided as it did: one checkable statement with its evidence.

    Fields:
        code: stable kebab-case name (`train-test-leak`).
        message: one sentence for people, with the figures in it.
        verdict: what this reason alone says.
        evidence: JSON values: counts, limits, the first few row ids.
    """

    code: str
    message: str
    verdict: VerdictName
    evidence: dict[str, Any] = Field(default_factory=dict)


class GateVerdict(Noun):
    """What one gate says of one run.

    Fields:
        gate: `G0` feasible, `G1` data, `G2` tokens, `G3` quality, `G4` safety, `G5` parity.
        verdict: `passed` only if every reason passed; `unknown` is not passed.
        reasons: all reasons, also those that passed.
        lowered: the user's reason for lowering this gate to a warning; None: the gate stops the run.
    """

    gate: str
    verdict: VerdictName
    reasons: tuple[Reason, ...]
    lowered: str | None = None

    @property
    def stops(self) -> bool:
        """Whether the run ends here."""
        return self.verdict != "passed" and self.lowered is None

    @staticmethod
    def of(gate: str, reasons: list[Reason]) -> GateVerdict:
        """The verdict that follows: failed if one reason failed, passed if there are reasons and all passed."""
        names = {reason.verdict for reason in reasons}
        verdict: VerdictName = "failed" if "failed" in names else "passed" if names == {"passed"} else "unknown"
        return GateVerdict(gate=gate, verdict=verdict, reasons=tuple(reasons))


# -- artifacts --------------------------------------------------------------------------------------


class Artifact(Noun):
    """A noun that a stage makes and the run store keeps.

    Fields:
        id: content id; equal content has an equal id whichever run made it.
        run: id of the run of the stage that made it.
        inputs: ids of the artifacts it was made from.
        gates: verdicts that were reached while making it.
        folder: where its files lie; set when the run store opens it, never stored.
    """

    prefix: ClassVar[str] = "art"
    volatile: ClassVar[tuple[str, ...]] = ()
    """Fields that differ between two runs of the same work (times, memory); they do not enter the id."""
    volatile_files: ClassVar[tuple[str, ...]] = ()
    """Files that do not enter the id, for the same reason."""

    id: str = ""
    run: str = ""
    inputs: tuple[str, ...] = ()
    gates: tuple[GateVerdict, ...] = ()
    folder: Path | None = Field(default=None, exclude=True)

    def file(self, name: str) -> Path:
        """The path of one of this artifact's files; the artifact must have been opened from a store."""
        if self.folder is None:
            raise ValueError(f"{type(self).__name__} {self.id} has no folder: open it through the run store")
        return self.folder / name


class Target(Noun):
    """One number that the expert must reach, written before training.

    Fields:
        measure: name of the measure (`accuracy`, `valid_output`, `retention`, ...).
        at_least, at_most: the threshold; exactly one of them is set.
        slice: None: all test rows; `attribute=value`: only those.
        surely: the whole confidence interval, not only the point value, must clear the threshold.
    """

    measure: str
    at_least: float | None = None
    at_most: float | None = None
    slice: str | None = None
    surely: bool = False

    @property
    def threshold(self) -> float:
        """The number to reach."""
        return self.at_least if self.at_least is not None else float(self.at_most or 0.0)

    def met_by(self, value: float) -> bool:
        """Whether `value` is on the right side of the threshold (the threshold itself is)."""
        return value >= self.threshold if self.at_least is not None else value <= self.threshold


class Base(Artifact):
    """The base model, as files on this disk.

    Fields:
        name: the catalog name, folder or hub id the user wrote.
        revision: commit of the hub, or digest of the file it was unpacked from.
        digest: content id over the digests of config, tokeniser and weight files.
        architecture: transformers class name (`LlamaForCausalLM`).
        parameters: number of weights; `active_parameters` those used per token (mixture of experts).
        layers, hidden, vocabulary: shape of the model.
        context: longest input in tokens.
        licence: SPDX id or name, empty if unknown.
        path: absolute folder with config.json, tokeniser and safetensors.
        chat_template_hash: digest of the chat template in force, empty where there is none.
        sampling: sampling settings that the maker recommends.
    """

    prefix: ClassVar[str] = "base"

    name: str
    revision: str
    digest: str
    architecture: str
    parameters: int
    active_parameters: int
    layers: int
    hidden: int
    vocabulary: int
    context: int
    licence: str = ""
    path: str = ""
    chat_template_hash: str = ""
    sampling: dict[str, float] = Field(default_factory=dict)


class Profile(Artifact):
    """The business goal in numbers.

    Fields:
        problem: what the expert is for, in the user's words.
        task: `classification` (answers come from `labels`) or `generation`.
        labels: the closed set of answers, in the order they are shown; empty for generation.
        languages: BCP 47 codes.
        protect: attributes whose groups must be treated alike.
        terms: the domain's vocabulary that answers should use, for terminology coverage.
        targets: what must be reached.
        train_minutes, memory_gb, latency_p95_ms: the budget; None: no limit.
        licences: licences that the house accepts for a base model; empty: any known one.
    """

    prefix: ClassVar[str] = "prof"

    problem: str
    task: Literal["classification", "generation"]
    labels: tuple[str, ...] = ()
    languages: tuple[str, ...] = ("en",)
    protect: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()
    train_minutes: float | None = None
    memory_gb: float | None = None
    latency_p95_ms: float | None = None
    licences: tuple[str, ...] = ()


Fate = Literal["dropped", "merged", "aside"]


class Refusal(Noun):
    """Why a filter lets a row not go on.

    Fields:
        reason: stable kebab-case reason (`too-short`, `personal-data`).
        detail: what was seen, shortened, with the figures that decided; never the personal data itself.
        fate: `dropped`; `merged`: the row says what a row that stays says too, which `detail` names; `aside`: dropped
            here, and kept whole in `aside.parquet` until a person has looked at it.
    """

    reason: str
    detail: str = ""
    fate: Fate = "dropped"


class Drop(Noun):
    """One row that did not go on, and why.

    Fields:
        place: file and number in the source, see `Example.place`.
        step: the operation that dropped it (`read`, `clean.html`, `filter.length`, `duplicates`, ...).
        reason: stable kebab-case reason.
        detail: what was seen, shortened.
        fate: see `Refusal`.
        byte: offset of the row's first byte in its file; None where the format has none.
    """

    place: str
    step: str
    reason: str
    detail: str = ""
    fate: Fate = "dropped"
    byte: int | None = None


class Tally(Noun):
    """What one operation of the data line did: every row that came in was kept, dropped or merged, exactly.

    Fields:
        step: the operation's name, as in `Drop.step`.
        rows_in: rows that it was given; `made`: new ones that it tried to make of them; `kept`: rows that went on.
        dropped: reason -> rows, those set aside for review included; `merged`: reason -> rows.
        changed: rows that went on altered.
    """

    step: str
    rows_in: int
    made: int = 0
    kept: int
    dropped: dict[str, int] = Field(default_factory=dict)
    merged: dict[str, int] = Field(default_factory=dict)
    changed: int = 0

    @property
    def balanced(self) -> bool:
        """Whether no row was lost and none was counted twice."""
        return self.rows_in + self.made == self.kept + sum(self.dropped.values()) + sum(self.merged.values())


class Snapshot(Artifact):
    """Clean, split, documented training data. Files: `examples.parquet`, `drops.jsonl`, `datasheet.json`, `.md`.

    Rows that a filter set aside for review are in `aside.parquet`, where there are any.

    Fields:
        rows_in: rows that were read from the sources; `rows_in + made = kept + sum(dropped.values())`, exactly.
        made: new rows that were made from training rows, whatever became of them.
        kept: rows that went on.
        dropped: reason -> rows.
        splits: split -> rows.
        groups: number of distinct groups.
        leakage: result of the leak check (counts per kind of match, the first pairs).
        changed: operation -> rows it altered but kept.
        tallies: what each operation was given and what became of it, in order; every one is balanced.
    """

    prefix: ClassVar[str] = "snap"

    rows_in: int
    made: int = 0
    kept: int
    dropped: dict[str, int] = Field(default_factory=dict)
    splits: dict[str, int] = Field(default_factory=dict)
    groups: int = 0
    leakage: dict[str, Any] = Field(default_factory=dict)
    changed: dict[str, int] = Field(default_factory=dict)
    tallies: tuple[Tally, ...] = ()


class Tokens(Artifact):
    """The snapshot in the model's tokens, with label mask. Files: `rows.parquet`, `preview.jsonl`.

    Fields:
        chat_template_hash: digest of the template that rendered the rows.
        rows: split -> rows.
        tokens, trained, cut: totals over the training split; `cut` tokens are beyond the context.
        rows_cut: training rows that lost tokens; `rows_untrained`: training rows without any trained token.
        end_of_turn_missing: training rows whose trained turns do not end with the end-of-turn token.
        reasoning_lost: training rows whose reasoning the template dropped though the data has it.
        shared_prefix: tokens that all rows have in common at their start.
        estimate: predicted memory (GB) and time (minutes) with the figures they were made of.
    """

    prefix: ClassVar[str] = "tok"
    volatile: ClassVar[tuple[str, ...]] = ("estimate",)

    chat_template_hash: str
    rows: dict[str, int]
    tokens: int
    trained: int
    cut: int
    rows_cut: int
    rows_untrained: int
    end_of_turn_missing: int
    reasoning_lost: int
    shared_prefix: int
    estimate: dict[str, Any] = Field(default_factory=dict)


class Checkpoint(Artifact):
    """A trained model. Files: `adapter/` in PEFT's format, or `model/` where all was trained; `curves.jsonl`.

    Where a term of the objective keeps something (EWC its Fisher), it lies in `terms/`.

    Fields:
        base: id of the Base it was trained on; `base_path`, `base_revision` where that lies.
        strategy: filled settings of the strategy (`{"use": "lora", "rank": 16, ...}`).
        trainable: number of trained weights.
        steps, epochs: how long it was trained.
        seed: seed of data order and initial adapter weights.
        loss_first, loss_last: mean cross-entropy (nats per trained token) of the first and last tenth of the steps.
        valid_loss: the same on the validation split after training; None without one.
        set_aside: steps that were left out because their loss or gradient was not finite, or jumped.
        rewinds: how often a jump of the loss took the run back.
        chat_template_hash: digest of the template the rows were rendered with.
        seconds: wall time of the training's steps, those before an interruption included.
        preparing_seconds: wall time of what is computed once before them (border states, a teacher's answers).
        tokens_per_second: non-pad tokens trained on, per second.
        peak_memory_gb: largest resident memory while training, of all its processes; on GPUs what torch took there.
        privacy_spent: epsilon of differential privacy; None where it was not asked for.
        versions: library -> version.
    """

    prefix: ClassVar[str] = "ckpt"
    volatile: ClassVar[tuple[str, ...]] = (
        "seconds",
        "preparing_seconds",
        "tokens_per_second",
        "peak_memory_gb",
        "versions",
    )
    volatile_files: ClassVar[tuple[str, ...]] = ("curves.jsonl",)

    base: str
    base_path: str
    base_revision: str
    strategy: dict[str, Any]
    trainable: int
    steps: int
    epochs: float
    seed: int
    loss_first: float
    loss_last: float
    valid_loss: float | None = None
    set_aside: int = 0
    rewinds: int = 0
    chat_template_hash: str
    seconds: float
    preparing_seconds: float = 0.0
    tokens_per_second: float
    peak_memory_gb: float
    privacy_spent: float | None = None
    versions: dict[str, str] = Field(default_factory=dict)


class Expert(Artifact):
    """The thing that is shipped: checkpoint, chat template, way of reasoning, calibrations.

    Fields:
        checkpoint: id of the Checkpoint; None: the base model itself answers.
        base_path: folder of the base model, or of the checkpoint's own model where all of it was trained.
        adapter_path: folder of the adapter; None: what is in `base_path` answers as it is.
        chat_template_hash: digest of the template it answers with.
        reasoning: filled settings of how it thinks (`{"use": "direct", ...}`).
        calibrations: name -> fitted numbers (temperature, detector thresholds).
    """

    prefix: ClassVar[str] = "exp"

    checkpoint: str | None
    base_path: str
    adapter_path: str | None = None
    chat_template_hash: str = ""
    reasoning: dict[str, Any] = Field(default_factory=dict)
    calibrations: dict[str, float] = Field(default_factory=dict)


# -- answers and what is said of them ---------------------------------------------------------------


class Usage(Noun):
    """Tokens and time that an answer cost. `seconds` is wall time divided among the rows of a batch."""

    prompt_tokens: int = 0
    answer_tokens: int = 0
    reasoning_tokens: int = 0
    seconds: float = 0.0


class Answer(Noun):
    """What an answerer says to one conversation.

    Fields:
        text: the answer without reasoning.
        reasoning: chain of thought of the chosen path; None where there was none.
        paths: texts of all sampled paths, for answers made by fusion.
        confidence: probability that the answer is right, in [0, 1]; None where nobody estimated it.
        evidence: what checks found, JSON values.
        usage: what it cost.
        stop: `end` (end-of-turn), `length` (ran out of tokens, or was cut: `evidence["cut"]` says why), `error`.
        route: which expert or fallback answered.
        log_probability: of the tokens that the model chose, in nats, by its own distribution (temperature 1, nothing
            left out); None where nobody counted it.
    """

    text: str
    reasoning: str | None = None
    paths: tuple[str, ...] = ()
    confidence: float | None = None
    evidence: dict[str, Any] = Field(default_factory=dict)
    usage: Usage = Usage()
    stop: Literal["end", "length", "error"] = "end"
    route: str = ""
    log_probability: float | None = None


class Sampling(Noun):
    """How paths are drawn; the defaults are those of DeepSeek-R1's model card.

    Fields:
        temperature: logits are divided by it; 0 takes the likeliest token.
        top_p: draw from the smallest set of tokens with at least this probability (Holtzman et al., 2020).
        think: whether a model that can reason in `<think>` does: `auto` as its chat template has it, `on`, `off`, or
            on with at most so many tokens, after which it is made to close its thought.
        seed: of all draws.
    """

    temperature: float = Field(default=0.6, ge=0.0, le=2.0)
    top_p: float = Field(default=0.95, gt=0.0, le=1.0)
    think: Literal["auto", "on", "off"] | Annotated[int, Field(ge=1)] = "auto"
    seed: int = 0


class Likelihood(Noun):
    """How likely a model finds a continuation: sum of log-probabilities in nats, and its number of tokens."""

    log_probability: float
    tokens: int

    @property
    def per_token(self) -> float:
        """Mean log-probability in nats per token; 0 for no tokens."""
        return self.log_probability / self.tokens if self.tokens else 0.0


class Score(Noun):
    """One scorer's word on one answer: a value, or *unscored* with the reason. Unscored is never zero."""

    value: float | None
    unscored: str = ""


class Measure(Noun):
    """An aggregate over examples, with its uncertainty.

    Fields:
        name: the measure's name.
        model: `expert`, `base`, `base_fair` (base scored by likelihood of the labels) or `difference`.
        value: point value; None when nothing could be scored.
        low, high: confidence interval at `level`; None where none can be given.
        level: coverage of the interval.
        n: examples that were scored; `unscored`: examples that were not.
        slice: `all`, or `attribute=value`.
        p: two-sided p-value of the paired test, for differences; `p_adjusted`: the same among all that were made.
        method: how the interval was made.
        unit: `share`, `nats`, `seconds`, `tokens/s`, `ratio`, ...
    """

    name: str
    model: str
    value: float | None
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    n: int
    unscored: int = 0
    slice: str = "all"
    p: float | None = None
    p_adjusted: float | None = None
    method: str = ""
    unit: str = "share"


class Baseline(Artifact):
    """The base model's answers on the held-out rows and on general tasks. Files: `answers.jsonl`, `general.jsonl`.

    Fields:
        answers: number of held-out rows answered.
        seconds: wall time it took.
    """

    prefix: ClassVar[str] = "line"
    volatile: ClassVar[tuple[str, ...]] = ("seconds",)
    volatile_files: ClassVar[tuple[str, ...]] = ("answers.jsonl", "general.jsonl")

    answers: int
    seconds: float


class Report(Artifact):
    """The verdict with everything it rests on. Files: `report.html`, `report.json`, `answers.jsonl`.

    Fields:
        measures: all aggregates, for expert and base, per slice.
        targets: one mapping per target: target, base, expert, low, high, verdict.
        seeds: seeds the expert was trained with.
        notes: limits of what was shown (one seed, small n, lowered gates).
    """

    prefix: ClassVar[str] = "rep"

    measures: tuple[Measure, ...]
    targets: tuple[dict[str, Any], ...] = ()
    seeds: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


class Release(Artifact):
    """What is served.

    Fields:
        experts: ids of the experts; `shares`: expert id -> traffic share, adding up to 1.
        fallback: ids to ask in order when one cannot answer.
        policies: filled settings of access, audit, limits, guards.
        approvals: who approved, as `{"who", "when", "evidence"}`.
        report: id of the report that supports it.
    """

    prefix: ClassVar[str] = "rel"

    experts: tuple[str, ...]
    shares: dict[str, float]
    fallback: tuple[str, ...] = ()
    policies: tuple[dict[str, Any], ...] = ()
    approvals: tuple[dict[str, str], ...] = ()
    report: str


class Interaction(Noun):
    """One request in production.

    Fields:
        id: of this interaction.
        release: id of the release that answered.
        request: the conversation that was sent; `answer` what came back.
        route: which expert or fallback answered.
        decision: what the user did with the answer; None where nobody said.
        at: when it was asked, seconds since the epoch.
    """

    id: str
    release: str
    request: tuple[Message, ...]
    answer: Answer
    route: str = ""
    decision: str | None = None
    at: float = 0.0


class Corrections(Artifact):
    """Rows that people corrected, one more source of the next run. Files: `corrections.parquet`.

    Fields:
        rows: number of corrected rows.
        causes: cause -> rows.
        reviewers: who corrected.
    """

    prefix: ClassVar[str] = "corr"

    rows: int
    causes: dict[str, int] = Field(default_factory=dict)
    reviewers: tuple[str, ...] = ()
