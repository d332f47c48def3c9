"""Parsed sentences written by hand, so that rules are tested without a parser."""

from __future__ import annotations

from tunesmith.data.extract._text import Sentence, Token


def table(text: str) -> Sentence:
    """A sentence from `word/class/dependency/head` items (head counted from 1, 0: the root); the lemma after `=`.

    Example:
        table("rash/NOUN/nsubjpass/3 was=be/AUX/auxpass/3 caused=cause/VERB/ROOT/0")
    """
    tokens = []
    items = text.split()
    for i, item in enumerate(items):
        word, pos, dep, head = item.rsplit("/", 3)
        form, _, lemma = word.partition("=")
        spaced = not (i + 1 < len(items) and items[i + 1].startswith("'"))
        tokens.append(Token(form, lemma or form, pos, dep.lower(), i if head == "0" else int(head) - 1, spaced))
    return Sentence(tuple(tokens))


def words(text: str, root: str = "") -> Sentence:
    """A Chinese sentence from `word/class` items, without a tree but for the word that is its root."""
    tokens = []
    for i, item in enumerate(text.split()):
        word, pos = item.rsplit("/", 1)
        tokens.append(Token(word, word, pos, "root" if word == root else "dep", i, False))
    return Sentence(tuple(tokens))
