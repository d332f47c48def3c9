"""Reasoning on a terminal: chains, what was found in them, votes and the posterior."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_SHOWN_FINDINGS = 3
_BAR = 24
_MARKS = {"for": "[green]+[/]", "against": "[red]-[/]", "silent": "[dim].[/]"}


def answer(console: Console, result: dict[str, Any]) -> None:
    """The answer alone, and how sure it is."""
    if result["abstained"]:
        console.print(
            f"[yellow]no answer[/]: the likeliest one is right with probability {_share(result['confidence'])}"
        )
        return
    console.print(result["text"], markup=False)
    if result["confidence"] is not None:
        console.print(f"[dim]probability {_share(result['confidence'])}, {_cost(result)}[/]")


def chains(console: Console, result: dict[str, Any]) -> None:
    """Every chain with its findings, then votes and posterior, then the answer."""
    for number, chain in enumerate(result["chains"]):
        _chain(console, number, chain, chosen=bool(result["fused"]) and result["fused"]["chosen"] == number)
    if result["fused"]:
        _posterior(console, result)
    answer(console, result)


def learnt(console: Console, result: dict[str, Any]) -> None:
    """What became of the questions, and what to do with the rows."""
    console.print(
        f"{result['kept']} of {result['asked']} questions gave a row "
        f"({result['chains']} chains, {result['tokens']:,} tokens)",
        highlight=False,
    )
    for why, count in sorted(result["left"].items()):
        console.print(f"  {count} without: {escape(why)}", highlight=False)
    console.print(f"wrote {result['file']}", markup=False, highlight=False)
    console.print(
        "next: name it in data.sources as {use: conversations, path: ..., target: target, split: train}", markup=False
    )


def _chain(console: Console, number: int, chain: dict[str, Any], *, chosen: bool) -> None:
    said = f"-> {chain['conclusion']}" if chain["conclusion"] is not None else f"unscored: {chain['unscored']}"
    chance = chain["log_probability"]
    told = [f"{chain['tokens']} tokens"] + ([f"{chance / max(1, chain['tokens']):.2f} nats a token"] if chance else [])
    mark = "[bold green]*[/] " if chosen else "  "
    console.print(
        f"{mark}[bold]{number + 1}[/] {escape(chain['source'])}  {escape(said)}  [dim]{', '.join(told)}[/]",
        highlight=False,
    )
    spoken = "\n".join(part for part in (chain["answer"]["reasoning"], chain["answer"]["text"]) if part)
    for line in spoken.splitlines():
        console.print("    " + line, style="dim", markup=False, highlight=False)
    for finding in chain["findings"][:_SHOWN_FINDINGS]:
        console.print(
            f"    {_MARKS[finding['verdict']]} {escape(finding['check'])}: {escape(finding['detail'])}", highlight=False
        )
    if len(chain["findings"]) > _SHOWN_FINDINGS:
        console.print(f"    [dim]and {len(chain['findings']) - _SHOWN_FINDINGS} more findings[/]")


def _posterior(console: Console, result: dict[str, Any]) -> None:
    votes = [chain["conclusion"] for chain in result["chains"] if not chain["unscored"]]
    table = Table("conclusion", "votes", "posterior", "", box=None)
    for conclusion, share in sorted(result["fused"]["posterior"].items(), key=lambda item: (-item[1], item[0])):
        bar = "\u2588" * round(_BAR * share)
        table.add_row(escape(conclusion), str(votes.count(conclusion)), _share(share), bar)
    console.print(table)


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def _cost(result: dict[str, Any]) -> str:
    usage = result["usage"]
    return f"{len(result['chains'])} chains, {usage['answer_tokens'] + usage['reasoning_tokens']} tokens"
