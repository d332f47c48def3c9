"""Turns HTML into text, and leaves everything else alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape

_ELEMENTS = (
    "a|abbr|article|aside|b|blockquote|body|button|caption|center|cite|code|dd|del|details|div|dl|dt|em|figcaption|"
    "figure|font|footer|form|h[1-6]|head|header|html|i|iframe|ins|kbd|label|li|main|mark|nav|noscript|ol|option|p|pre|"
    "q|s|samp|script|section|select|small|span|strike|strong|style|sub|summary|sup|svg|table|tbody|td|textarea|tfoot|"
    "th|thead|title|tr|tt|u|ul|var"
)
_LOOKS_LIKE_HTML = re.compile(
    rf"<!doctype\s+html[^<>]*>|</(?:{_ELEMENTS})\s*>|<(?:br|hr)\s*/?>|<(?:img|input|link|meta)\s[^<>]*>", re.IGNORECASE
)
_UNSEEN = "script,style,template,noscript,head,iframe,svg"
_BLOCKS = (
    "address,article,aside,blockquote,br,caption,dd,details,div,dl,dt,figure,footer,form,h1,h2,h3,h4,h5,h6,header,hr,"
    "li,main,nav,ol,option,p,pre,section,summary,table,tr,ul"
)
_TAG = re.compile(r"<(/?)[a-zA-Z!][^<>]*>")
_DEEPEST = 500
_BREAK, _SPACE = "\ufdd0", "\ufdd1"  # noncharacters: no text may carry them, so they can stand for what must stay
_MARKS = str.maketrans({_BREAK: "\n", _SPACE: " "})


@dataclass(frozen=True)
class Html:
    """HTML becomes text: blocks become lines, scripts and styles vanish, entities are read.

    A text counts as HTML when it has a doctype, a closing tag of a known element, `<br>`, `<hr>` or a void element
    with attributes; `5 < 6 and a > b`, `List<String>` and `<think>` stay as they are. Markup that was escaped inside
    HTML is unescaped and then removed as well, else a second cleaning would change the text again.
    """

    def clean(self, text: str) -> str:
        """The text without markup; each pass removes at least one tag, so this ends."""
        before = ""
        while text != before and _LOOKS_LIKE_HTML.search(text):
            before, text = text, _text_of(text)
        return text


def _text_of(html: str) -> str:
    """Visible text of one document: space collapsed as a browser does, `<pre>` kept, blocks on lines of their own."""
    from selectolax.lexbor import LexborHTMLParser

    html = html.translate(_MARKS)
    if _depth(html) > _DEEPEST:  # the parser takes quadratic time for nesting that no real page has
        return unescape(_TAG.sub("", html))
    tree = LexborHTMLParser(html)
    for node in tree.css(_UNSEEN):
        node.decompose()
    for node in tree.css("pre"):
        node.replace_with(_BREAK + node.text().replace("\n", _BREAK).replace(" ", _SPACE) + _BREAK)
    for node in tree.css(_BLOCKS):
        node.insert_before(_BREAK)
        node.insert_after(_BREAK)
    for node in tree.css("td,th"):
        node.insert_after(_SPACE)
    text = tree.body.text() if tree.body else ""
    text = re.sub(rf"\s*{_BREAK}\s*", _BREAK, " ".join(text.split()))
    return re.sub(r"[ \n]*\n", "\n", text.translate(_MARKS)).strip()


def _depth(html: str) -> int:
    """Deepest nesting if every tag that is opened must be closed: never less than the parser's."""
    deepest = depth = 0
    for match in _TAG.finditer(html):
        depth = max(0, depth - 1) if match.group(1) else depth + 1
        deepest = max(deepest, depth)
    return deepest
