"""The graph: what counts as the same, what can be asked, what is kept."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tunesmith.core.errors import CorruptArtifact, UserError
from tunesmith.core.types import Evidence, Triple
from tunesmith.data.knowledge.draw import write_picture
from tunesmith.data.knowledge.graph import KnowledgeGraph
from tunesmith.data.knowledge.linking import Synonyms, abbreviations, read_synonyms
from tunesmith.data.knowledge.normal import is_plural, phrase_key, relation_key
from tunesmith.data.knowledge.store import read_graphml, read_parquet, write_graphml, write_parquet
from tunesmith.data.knowledge.tables import HPO, KNOWN, open_synonyms, synonyms_outside
from tunesmith.models.fetch import asset_path

READERS = {"graph.parquet": (write_parquet, read_parquet), "graph.graphml": (write_graphml, read_graphml)}


def triple(subject: str, relation: str, thing: str, sentence: str = "", **more: object) -> Triple:
    sentence = sentence or f"{subject} {relation} {thing}."
    fields = {
        "subject": subject, "relation": relation, "object": thing, "subject_key": phrase_key(subject),
        "relation_key": relation_key(relation), "object_key": phrase_key(thing), "confidence": 0.9,
        "evidence": Evidence(sentence=sentence, start=0, end=len(sentence)), **more,
    }  # fmt: skip
    return Triple.model_validate(fields)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The Diseases", "disease"),
        ("Ménière’s disease", "meniere disease"),
        ("acute myeloid leukaemia (AML)", "acute myeloid leukaemia"),
        ("12 %", "12%"),
        ("5 mg", "5mg"),
        ("ＡＢＣ transporters", "abc transporter"),
        ("患者的体温", "患者体温"),
        ("血压 150", "血压150"),
        ("risk of stroke", "risks of the stroke"),
        ("diagnoses", "diagnosis"),
        ("many diseases", "many disease"),
    ],
)
def test_equal_keys(one: str, other: str) -> None:
    assert phrase_key(one) == phrase_key(other)


@pytest.mark.parametrize(
    ("one", "other"), [("left arm", "right arm"), ("P0301", "P0302"), ("目的", "目"), ("1.5", "15")]
)
def test_different_keys(one: str, other: str) -> None:
    assert phrase_key(one) != phrase_key(other)


@pytest.mark.parametrize(
    ("phrase", "plural"),
    [
        ("worn bearings", True),
        ("risk of strokes", False),
        ("diabetes", False),
        ("salt and pepper", True),
        ("children", True),
    ],
)
def test_plural(phrase: str, plural: bool) -> None:
    assert is_plural(phrase) == plural


def test_synonyms_link_but_never_replace_a_things_own_name() -> None:
    """`cold` is a synonym of two things and links to none; `flu` is a thing's own name and is not replaced."""
    table = Synonyms.of(
        [("influenza", "grippe"), ("influenza", "cold"), ("rhinitis", "cold"), ("x", "flu"), ("flu", "flu")]
    )
    assert [table.key(key) for key in ("grippe", "cold", "flu", "unknown")] == ["influenza", "cold", "flu", "unknown"]
    assert table.ambiguous == {"cold"}


def test_synonyms_from_files(tmp_path: Path) -> None:
    obo = tmp_path / "hp.obo"
    obo.write_text(
        '[Term]\nid: HP:1\nname: Seizure\nsynonym: "Fits" EXACT []\nsynonym: "Attack" RELATED []\n\n'
        '[Term]\nid: HP:2\nname: obsolete Old\nsynonym: "Older" EXACT []\nis_obsolete: true\n\n[Typedef]\nid: is_a\n'
    )
    assert dict(read_synonyms(obo).keys) == {"fit": "seizure"}
    table = tmp_path / "table.tsv"
    table.write_text("name\tsynonym\n肺炎\t肺部感染\n", encoding="utf-8")
    assert dict(read_synonyms(table).keys) == {"肺部感染": "肺炎"}
    table.write_text("a\tb\n", encoding="utf-8")
    with pytest.raises(UserError, match="columns 'name' and 'synonym'"):
        read_synonyms(table)
    with pytest.raises(UserError, match="broken-synonyms"):
        read_synonyms(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("text", "phrases", "expected"),
    [
        ("Patients with acute myeloid leukaemia (AML) bleed.", [], [("acute myeloid leukaemia", "AML")]),
        ("the heat shock protein (HSP70)", [], []),  # 70 is nowhere in the long form
        ("慢性阻塞性肺疾病（COPD）患者", ["慢性阻塞性肺疾病", "肺疾病"], [("慢性阻塞性肺疾病", "COPD")]),
        ("It rose (see below).", [], []),
    ],
)
def test_abbreviations(text: str, phrases: list[str], expected: list[tuple[str, str]]) -> None:
    assert abbreviations(text, phrases) == expected


SEPSIS = [
    triple("Pneumonia", "lead to", "sepsis"),
    triple("sepsis", "cause", "organ failure"),
    triple("pneumonias", "lead to", "Sepsis", "Pneumonias lead to sepsis, they say."),
    triple("sepsis", "cause", "rash", negated=True),
    triple("Statins", "lower", "cholesterol"),
    triple("患者", "有", "发热"),
]


def test_one_thing_is_one_node_and_keeps_every_sentence() -> None:
    graph = KnowledgeGraph.of([*SEPSIS, SEPSIS[0]])
    (fact,) = graph.query(subject="PNEUMONIA")
    assert (fact.subject, fact.relation, fact.object) == ("Pneumonia", "lead to", "sepsis")
    assert [t.evidence.sentence for t in fact.triples] == [
        "Pneumonia lead to sepsis.",
        "Pneumonias lead to sepsis, they say.",
    ]
    assert graph.counts() == {"things": 8, "facts": 5, "triples": 6, "negated": 1, "hedged": 0}


def test_two_witnesses_are_surer_than_one_and_a_copy_is_none() -> None:
    """0.9 and 0.9 from two sentences: 1 - 0.1 * 0.1 = 0.99; the same sentence in another row adds nothing."""
    one = triple("a", "cause", "b", "A causes b.")
    copied = one.model_copy(update={"evidence": one.evidence.model_copy(update={"row": "ex-2"})})
    other = triple("a", "cause", "b", "B is caused by a.")
    assert KnowledgeGraph.of([one, copied]).facts()[0].confidence == 0.9
    assert KnowledgeGraph.of([one, copied, other]).facts()[0].confidence == 0.99


def test_an_ontology_that_is_named_is_read_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the cache with the right digest is not brought again; its digest stands for it, no file does."""
    text = '[Term]\nname: seizure\nsynonym: "fit" EXACT []\n'
    asset = HPO.model_copy(update={"sha256": hashlib.sha256(text.encode()).hexdigest()})
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(KNOWN, "hpo", asset)
    path = asset_path(asset, tmp_path / "cache")
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    assert dict(open_synonyms("hpo", tmp_path).keys) == {"fit": "seizure"}
    assert synonyms_outside("hpo", tmp_path) == {"hpo": asset.sha256}
    assert (dict(open_synonyms("", tmp_path).keys), synonyms_outside("", tmp_path)) == ({}, {})
    (tmp_path / "own.csv").write_text("name,synonym\na,b\n")
    assert dict(open_synonyms("own.csv", tmp_path).keys) == {"b": "a"}
    assert synonyms_outside("own.csv", tmp_path).keys() == {"own.csv"}
    with pytest.raises(UserError):
        open_synonyms("hpa", tmp_path)


def test_queries_take_wildcards_and_synonyms() -> None:
    graph = KnowledgeGraph.of(SEPSIS, Synonyms.of([("pneumonia", "lung infection")]))
    assert [f.object for f in graph.query(relation="cause")] == ["organ failure", "rash"]
    assert [f.object for f in graph.query(object="*failure*")] == ["organ failure"]
    assert [f.object for f in graph.query("lung infections", "lead*")] == ["sepsis"]
    assert graph.query("unknown") == graph.query(relation="unknown") == []


def test_neighbours_and_paths() -> None:
    graph = KnowledgeGraph.of(SEPSIS)
    assert {f.object for f in graph.neighbours("sepsis")} == {"sepsis", "organ failure", "rash"}
    assert len(graph.neighbours("pneumonia", hops=2)) == 3
    assert graph.neighbours("nobody") == []
    assert [[f.relation for f in path] for path in graph.paths("pneumonia", "organ failure")] == [["lead to", "cause"]]
    assert graph.paths("pneumonia", "rash") == []  # only denied
    assert graph.paths("pneumonia", "organ failure", at_most=1) == []


def test_abbreviations_link_what_the_sentences_explain() -> None:
    first = triple("acute myeloid leukaemia", "be", "cancer", "Acute myeloid leukaemia (AML) is a cancer.")
    graph = KnowledgeGraph.of([triple("AML", "cause", "anaemia"), first])
    assert len(graph.query("acute myeloid leukaemia")) == 2


def test_merging_keeps_where_everything_comes_from() -> None:
    left, right = KnowledgeGraph.of(SEPSIS[:2]), KnowledgeGraph.of(SEPSIS[1:3])
    both = left.merged(right)
    assert sorted(t.evidence.sentence for t in both.triples()) == sorted(t.evidence.sentence for t in SEPSIS[:3])
    assert len(both.facts()) == 2 and left.counts()["triples"] == 2


def test_conflicts() -> None:
    """Two diagnoses of one patient, a statement and its denial; what is hedged is no witness."""
    graph = KnowledgeGraph.of(
        [
            triple("patient 7", "be diagnosed as", "influenza"),
            triple("patient 7", "be diagnosed as", "measles"),
            triple("patient 7", "be diagnosed as", "gout", hedged=True),
            triple("patient 8", "be diagnosed as", "gout"),
            triple("patient 8", "have", "fever"),
            triple("patient 8", "have", "fever", "no fever", negated=True),
        ]
    )
    found = graph.conflicts(["be diagnosed as"])
    assert [(c.kind, [f.object for f in c.facts]) for c in found] == [
        ("several-objects", ["influenza", "measles"]),
        ("said-and-denied", ["fever", "fever"]),
    ]
    assert [c.kind for c in graph.conflicts()] == ["said-and-denied"]


@pytest.mark.parametrize("name", READERS)
def test_files_hold_every_triple(name: str, tmp_path: Path) -> None:
    write, read = READERS[name]
    odd = triple('<b>"x" & y</b>', "由…组成", "a\tb", "Zeile 1\nZeile 2", subject_kind="part", hedged=True)
    graph = KnowledgeGraph.of([*SEPSIS, odd])
    assert write(graph, tmp_path / name) == 7
    back = read(tmp_path / name)
    assert sorted(map(str, back.triples())) == sorted(map(str, graph.triples()))
    assert back.counts() == graph.counts()
    again = tmp_path / f"again-{name}"
    write(graph, again)
    assert again.read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_holds_no_triples_is_told(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("nothing")
    for path in (tmp_path / name, tmp_path / "missing"):
        with pytest.raises(CorruptArtifact):
            READERS[name][1](path)


def test_characters_that_xml_cannot_hold_do_not_break_the_graphml(tmp_path: Path) -> None:
    write_graphml(KnowledgeGraph.of([triple("a\x00b", "cause", "c\ufffe")]), tmp_path / "g.graphml")
    (back,) = read_graphml(tmp_path / "g.graphml").triples()
    assert back.subject == "a\ufffdb"


def test_the_picture_is_one_file_with_every_name(tmp_path: Path) -> None:
    """Nothing is loaded from elsewhere, no script runs, markup in the data stays text; equal graphs, equal bytes."""
    graph = KnowledgeGraph.of([*SEPSIS, triple("<script>alert(1)</script>", "cause", "harm", subject_kind="part")])
    assert write_picture(graph, tmp_path / "a.html") == 10
    write_picture(graph, tmp_path / "b.html")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert text == (tmp_path / "b.html").read_text(encoding="utf-8")
    assert all(
        name in text for name in ("Pneumonia", "发热", "&lt;script&gt;alert(1)&lt;/script&gt;", "10 of 10 things")
    )
    assert "<script" not in text and "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_the_picture_shows_the_things_with_most_facts_and_says_what_is_left_out(tmp_path: Path) -> None:
    """A hub with 50 leaves and 10 lonely pairs: 20 things drawn, the hub among them."""
    leaves = [triple("hub", "have", f"leaf {i}") for i in range(50)]
    pairs = [triple(f"left {i}", "be", f"right {i}") for i in range(10)]
    assert write_picture(KnowledgeGraph.of([*pairs, *leaves]), tmp_path / "a.html", at_most=20) == 20
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "20 of 71 things, 19 of 60 facts" in text


def test_an_empty_graph_can_be_drawn_and_kept(tmp_path: Path) -> None:
    graph = KnowledgeGraph()
    assert write_picture(graph, tmp_path / "a.html") == write_parquet(graph, tmp_path / "a.parquet") == 0
    assert read_parquet(tmp_path / "a.parquet").facts() == []
