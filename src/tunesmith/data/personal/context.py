"""What stands before a number and says what it is: a telephone, or an order."""

from __future__ import annotations

import re
from dataclasses import dataclass

_REACH = 40
_REACH_AGAINST = 20
_SENTENCE_END = re.compile(r"[。！？\n]|[.!?] ")
_UNIT = re.compile(
    r" ?(?:%|‰|°|元|块|万|亿|吨|公里|千克|公斤|毫|厘米|米|岁|人民币|美元|kg\b|mg\b|ml\b|km\b|rpm\b|ppm\b|bytes?\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Cues:
    """Words that speak for a class and words that speak against it.

    Fields:
        pattern: matches either; its group `for` is set where the word speaks for the class.
    """

    pattern: re.Pattern[str]

    def before(self, text: str, start: int) -> bool | None:
        """Whether the nearest cue in the 40 characters before `start` speaks for (True) or against; None: no cue.

        A word against it must stand in the same sentence and within 20 characters: `order 7 was paid by 138...` says
        nothing of the last number. A blank line ends the search: another paragraph says nothing.
        """
        window = text[max(0, start - _REACH) : start].rpartition("\n\n")[2]
        last = None
        for match in self.pattern.finditer(window):
            last = match
        if last is None or last["for"] is not None:
            return None if last is None else True
        between = window[last.end() :]
        return None if len(between) > _REACH_AGAINST or _SENTENCE_END.search(between) else False


def cues(*, words: str, signs: str, against: bool = True) -> Cues:
    """Cues of a class: `words` are English alternatives matched as whole words, `signs` Chinese ones matched anywhere.

    Args:
        words: alternatives of a regular expression, at most one quantifier each.
        signs: the same, without word borders.
        against: whether the words that name other numbers (order, serial, version, ...) speak against the class.
    """
    other = rf"|(?<![A-Za-z])(?:{_OTHER_WORDS})(?![A-Za-z])|{_OTHER_SIGNS}" if against else ""
    return Cues(re.compile(rf"(?P<for>(?<![A-Za-z])(?:{words})(?![A-Za-z])|{signs}){other}", re.IGNORECASE))


_OTHER_WORDS = (
    "orders?|invoices?|tracking|parcel|shipment|consignment|serial|s/n|part|model|tickets?|batch|lot|sku|isbn|issn|upc|"
    "ean|barcode|version|ver|release|build|firmware|ref|reference|doi|pmid|pmcid|nct|isrctn|trial|grant|patent|icd|"
    "transaction|txn|receipt|booking|item|product|article|asset|hash|checksum|commit|timestamp|population|total|sum|"
    "equals|about|approximately|worth|amount|price"
)
_OTHER_SIGNS = (
    "订单|单号|运单|快递单|编号|流水|批号|批次|货号|条码|条形码|序列号|型号|合同号|工单|批准文号|国药准字|注册证|许可证|"
    "版本|时间戳|总计|合计|金额|数量|人口|约为|大约"
)


def stands_alone(text: str, start: int, end: int, *, named: bool = False) -> bool:
    """Whether `text[start:end]` is a number of its own: no piece of a longer number, code, path, amount or decimal.

    Args:
        text: a plain text, see `shadow`.
        start: first character of the number.
        end: character after its last.
        named: a cue names it, so that a letter and a hyphen before it (`Tel-138...`) do not speak against it.
    """
    before, two = text[start - 1 : start] if start else "", text[max(0, start - 2) : max(0, start - 1)]
    after, next_one = text[end : end + 1], text[end + 1 : end + 2]
    if _part_of_word(before) or _part_of_word(after) or before in set("#$€£¥￥") or _UNIT.match(text, end):
        return False
    if (before in {"-", "."} and two.isdigit()) or (after in {"-", "."} and next_one.isdigit()):
        return False
    return named or not (before in {"-", "/"} and two.isascii() and two.isalpha())


def _part_of_word(character: str) -> bool:
    return character == "_" or (character.isascii() and character.isalnum())
