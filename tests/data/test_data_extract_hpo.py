"""Do triples out of the definitions of the Human Phenotype Ontology agree with the ontology itself?

A definition is read as `NAME is DEFINITION`, as `An abnormal fear of darkness.` is meant; what the sentence
says that NAME *is* is compared with the term's ancestors and their exact synonyms. A found (NAME, be, X) agrees when X
names an ancestor (same normalised form), or shares at least half of its words with one (F1 of the two sets of words).
The same is counted against the ancestors of another term, drawn at random: what is right by chance.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tunesmith.core.errors import UserError
from tunesmith.data.extract.dependency import Dependency
from tunesmith.data.knowledge.linking import read_synonyms
from tunesmith.data.knowledge.normal import phrase_key
from tunesmith.data.knowledge.tables import HPO
from tunesmith.models.fetch import asset_path, cache_folder

SAMPLE = 400
FLOORS = {"precision": 0.35, "recall": 0.27}

pytestmark = pytest.mark.slow


@dataclass
class Term:
    id: str = ""
    name: str = ""
    definition: str = ""
    names: list[str] = field(default_factory=list)
    parents: list[str] = field(default_factory=list)
    obsolete: bool = False


def ontology() -> Path:
    path = asset_path(HPO, cache_folder())
    if not path.is_file():
        pytest.skip(f"needs {HPO.name}: `facts: {{synonyms: hpo}}` brings it, or {HPO.requirement} at {path}")
    return path


def terms(path: Path) -> dict[str, Term]:
    """Every term of the OBO file that is in use, by id."""
    found: list[Term] = []
    for block in path.read_text(encoding="utf-8").split("\n\n"):
        if not block.startswith("[Term]"):
            continue
        term = Term(obsolete="is_obsolete: true" in block)
        for line in block.splitlines():
            key, _, value = line.partition(": ")
            if key == "id":
                term.id = value
            elif key == "name":
                term.name = value
                term.names.append(value)
            elif key == "is_a":
                term.parents.append(value.split(" ! ")[0])
            elif key == "def" and (match := re.match(r'"((?:[^"\\]|\\.)*)"', value)):
                term.definition = match[1].replace("\\", "")
            elif key == "synonym" and (match := re.match(r'"((?:[^"\\]|\\.)*)" EXACT', value)):
                term.names.append(match[1])
        found.append(term)
    return {term.id: term for term in found if not term.obsolete}


def ancestors(term: Term, every: dict[str, Term]) -> set[str]:
    """Normalised names and exact synonyms of everything above a term."""
    above, todo = set[str](), list(term.parents)
    while todo:
        one = todo.pop()
        if one in every and one not in above:
            above.add(one)
            todo += every[one].parents
    return {phrase_key(name) for one in above for name in every[one].names}


def agrees(thing: str, names: set[str]) -> bool:
    words = set(thing.split())
    shares = (2 * len(words & set(n.split())) / (len(words) + len(set(n.split()))) for n in names)
    return thing in names or any(share >= 0.5 for share in shares)


def test_what_definitions_say_agrees_with_the_ontology() -> None:
    path = ontology()
    try:
        read = Dependency(language="en").open(Path())
    except UserError as error:
        pytest.skip(f"needs the extra 'extract': {error}")
    every = terms(path)
    defined = sorted((term for term in every.values() if term.definition and term.parents), key=lambda term: term.id)
    dice = random.Random(7)
    sample = dice.sample(defined, SAMPLE)
    found = right = chance = reached = 0
    for term in sample:
        first = re.split(r"(?<=[.;])\s", term.definition)[0]
        triples = read(f"{term.name} is {first[:1].lower() + first[1:]}")
        said = [t.object_key for t in triples if t.relation_key == "be" and t.subject_key == phrase_key(term.name)]
        own, other = ancestors(term, every), ancestors(dice.choice(defined), every)
        good = [thing for thing in said if agrees(thing, own)]
        found, right, reached = found + len(said), right + len(good), reached + bool(good)
        chance += sum(agrees(thing, other) for thing in said)
    precision, recall = right / max(1, found), reached / SAMPLE
    told = f"{found} found, precision {precision:.3f} (by chance {chance / max(1, found):.3f}), recall {recall:.3f}"
    print(told)
    assert precision >= FLOORS["precision"] and recall >= FLOORS["recall"], told


def test_its_synonyms_link_names() -> None:
    """`Fits` is an exact synonym of `Seizure` in no release, `Epileptic seizure` is; a term's own name stays itself."""
    table = read_synonyms(ontology())
    assert len(table.names) > 15_000 and len(table.keys) > 15_000
    own = [key for key in table.names if table.key(key) != key]
    assert own == []
