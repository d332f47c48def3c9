"""A domain as data: its roles with their labels, the chain of relations between them, and patterns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tunesmith.core.errors import Problem, UserError, did_you_mean
from tunesmith.core.shelf import problems_of
from tunesmith.data.extract._grammar import Link, Pattern, compiled

Language = Literal["en", "zh"]
FOLDER = Path(__file__).parent / "domains"
_ROLE = Annotated[str, Field(pattern=r"^[a-z][a-z_]*$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Role(_Part):
    """What a name can be in the domain.

    Fields:
        en, zh: labels that such names stand after in records (`Diagnosis: influenza`).
        with_label: the label is part of the name (`duration: 24 months`).
        unmarked: in a list with commas the labels need no colon (`savings unknown, history critical, housing rented`).
        whole: what stands after a label is one name, whatever commas and `and` it has (`Category: warts and corns`).
    """

    en: tuple[str, ...] = ()
    zh: tuple[str, ...] = ()
    with_label: bool = False
    unmarked: bool = False
    whole: bool = False

    def labels(self, language: Language) -> tuple[str, ...]:
        """The labels in one language."""
        return self.en if language == "en" else self.zh


class _Step(_Part):
    subject: _ROLE
    relation: Mapping[Language, str]
    object: _ROLE


class Domain(_Part):
    """The content of a domain file.

    Fields:
        roles: name of a role -> its labels.
        chain: relations between roles, in the order in which one reads them.
        patterns: language -> patterns, see `tunesmith.data.extract._grammar`.
        answer: the role of what a row answers: a record in the question and a short answer are read together.
    """

    roles: Mapping[_ROLE, Role]
    chain: tuple[_Step, ...]
    patterns: Mapping[Language, tuple[str, ...]] = Field(default_factory=dict)
    answer: str = ""

    def links(self, language: Language) -> tuple[Link, ...]:
        """The steps of the chain that have words in this language."""
        return tuple(Link(s.subject, s.relation[language], s.object) for s in self.chain if language in s.relation)

    def compiled(self, language: Language, where: str) -> tuple[Pattern, ...]:
        """The patterns of one language.

        Raises:
            UserError: every pattern that cannot be understood, all at once.
        """
        made, problems = [], list[Problem]()
        for i, text in enumerate(self.patterns.get(language, ())):
            try:
                made.append(
                    compiled(text, language, roles=list(self.roles), where=f"{where}: patterns.{language}[{i}]")
                )
            except UserError as error:
                problems += error.problems
        if problems:
            raise UserError(problems)
        return tuple(made)


def own_domains() -> list[str]:
    """Names of the domains that come with the program."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read_domain(path: Path, shown: str) -> Domain:
    """The domain in a YAML file (JSON is YAML too).

    Raises:
        UserError: the file is missing or no YAML, has unknown or missing keys, or its chain names unknown roles.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content: Any = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError, RecursionError) as error:
        message = f"not readable as YAML: {' '.join(str(error).split())}"
        raise UserError(Problem("broken-domain", message, "expected roles, chain, patterns", shown)) from None
    try:
        domain = Domain.model_validate(content)
    except ValidationError as error:
        raise UserError(problems_of(error, shown, list(Domain.model_fields))) from None
    problems = [
        Problem("unknown-role", f"there is no role '{role}'", did_you_mean(role, domain.roles), f"{shown}: chain[{i}]")
        for i, step in enumerate(domain.chain)
        for role in (step.subject, step.object)
        if role not in domain.roles
    ]
    if domain.answer and domain.answer not in domain.roles:
        hint = did_you_mean(domain.answer, domain.roles)
        problems.append(Problem("unknown-role", f"there is no role '{domain.answer}'", hint, f"{shown}: answer"))
    if problems:
        raise UserError(problems)
    return domain
