"""Chinese names: a surname of the list with one or two characters that given names are made of, where words allow it.

The text is cut into words first (jieba's dictionary), because surnames are words as well: the characters of a name fall
apart there, those of `高血压` do not. What stands before and after decides the doubtful ones.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from tunesmith.data.chinese import cut, frequency, persons
from tunesmith.data.personal.findings import Finding, Part
from tunesmith.data.personal.lists import names_chinese, stand_ins

_RUN = re.compile("[\u4e00-\u9fff]{2,200}")
_ANNOUNCES = re.compile(
    "(?:姓名|名字|我叫|名叫|叫做|本人|联系人|申请人|经办人|负责人|法定代表人|法人|收件人|收货人|寄件人|持卡人|户名|开户名|"
    "借款人|担保人|投保人|被保险人|受益人|代理人|委托人|原告|被告人?|签字|签名|主治医师|主治医生|责任护士|操作员|检验员|质检员|"
    "巡检员|维修工|班长|组长|患者|病人|病患|客户|用户|家属|护工|员工|司机|乘客|学生|同学|同事|朋友|老师|医生|医师|护士|大夫|教授|主任|经理|"
    "工程师|技术员|律师|法官|先生|女士|小姐|父亲|母亲|丈夫|妻子|儿子|女儿|哥哥|姐姐|弟弟|妹妹|叔叔|阿姨|董事长|总经理|总裁|院长|校长|"
    "作者|记者|导师|专家|会计|出纳|[\u4e00-\u9fff]{2}人)(?:叫|是|为|名)?[：:，, ]{0,2}$"
)
_TITLE = re.compile(
    "(?:先生|女士|小姐|太太|医生|医师|大夫|护士长?|老师|教授|主任|经理|博士|同学|同志|律师|法官|院长|校长|科长|处长|局长|部长|主管|"
    "总监|董事长|总经理|总(?![是共之体有会算的])|工程师|工(?![作人业程艺厂具资])|师傅|阿姨|叔叔|奶奶|爷爷|大爷|大妈|大姐|大哥|警官|队长|班长|组长|某)"
)
_HINTS = re.compile("[据由请和与对给向跟问找、及让被]$|(?:联系|通知|告诉|咨询)$")
_LOOSE_BEFORE = frozenset("的了是在和与及由据请对给向把被让到为因而或但则就也都还又从自比替跟同叫找问说")
_NO_PERSON = re.compile(
    "(?:菌|镜|蛋白|单胞|霉素|素|病|症|炎|癌|瘤|药|片|胶囊|颗粒|丸|散|汤|膏|酸|钠|胺|酯|酮|醇|苷|唑|平片|肽|酶|综合征|疗法|试验|反应|体征|氏|公司|大学|医院|银行|集团|"
    "市|县|区|镇|村|路|街|山|河|湖|江|岛|省|国|寺|桥|站|机场|牌|茶|酒|花|树|草|菜|果|肉|粉|水|油)"
)
_VERBS = re.compile(
    "(?:说|在|是|的|于|和|与|及|对|向|把|被|让|给|去|来|到|从|已|将|于|等|、|因|就|也|都|很|曾|表示|告诉|认为|介绍|主持|参加|讨论|审核|建议|指出|透露|回忆|解释|称|回答|补充|强调|今年|现|昨|住|负责|联系|申请|办理|提交|反映|咨询|签|"
    "出生|毕业|担任|确认|通过|购买|收到|要求|提出|感到|出现|主诉|入院|前来|打|拨|发|报|同意|签署|完成|检查|维修|操作|记录|男|女|，|。|,|$)"
)
_NO_ENDING = frozenset("醇菌镜炎酮胺酯苷肽酶酸藻丸膏片性烯癌症病率")
_NEEDED = 1.7
_UNUSUAL = -2.0
_TWO_PLACES = 4


def chinese_names(text: str) -> Iterator[Finding]:
    """Names of two to four characters, surnames with a title (`张先生`), foreign names with a point (`约翰·史密斯`)."""
    if "·" in text:
        for match in _foreign().finditer(text):
            yield Finding("name", match.start(), match.end(), (("foreign", match[0]),))
    starts = _starts()
    for run in _RUN.finditer(text):
        if not starts.isdisjoint(run[0]):
            yield from _in_run(text, run.start(), cut(run[0]))


@cache
def _starts() -> frozenset[str]:
    """Characters that surnames begin with."""
    return frozenset([*names_chinese().surnames, *(double[0] for double in names_chinese().double)])


@cache
def _foreign() -> re.Pattern[str]:
    """Parts of one to seven characters that foreign names are written with, joined by points."""
    part = f"[{names_chinese().foreign}]{{1,7}}"
    return re.compile(f"{part}(?:·{part}){{1,3}}")


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A surname and a given name at a place, with what its words alone say for it."""

    start: int
    surname: str
    given: str
    score: float

    @property
    def end(self) -> int:
        return self.start + len(self.surname) + len(self.given)


def _in_run(text: str, start: int, words: Sequence[str]) -> Iterator[Finding]:
    places = [start]
    for word in words:
        places.append(places[-1] + len(word))
    done = start
    for i in range(len(words)):
        if places[i] < done or _is_stand_in(text, places[i]):
            continue
        loose = i > 0 and len(words[i - 1]) == 1 and words[i - 1] not in _LOOSE_BEFORE
        judged = [(c.score + _around(text, c, loose=loose), c) for c in _candidates(words, i, places[i])]
        score, best = max(judged, key=lambda pair: pair[0], default=(0.0, None))
        if best and score >= _NEEDED:
            done = best.end
            yield _finding(best)


def _candidates(words: Sequence[str], i: int, place: int) -> Iterator[_Candidate]:
    """What may be a name from word `i` on: the surname with two characters, one, or none; names end where words end."""
    surname = _surname(words[i])
    if not surname:
        return
    ahead = "".join(words[i : i + _TWO_PLACES])
    borders = {len("".join(words[i:j])): words[i:j] for j in range(i + 1, min(i + _TWO_PLACES, len(words)) + 1)}
    for size in (2, 1, 0):
        end = len(surname) + size
        if end not in borders:
            continue
        given = ahead[len(surname) : end]
        if _TITLE.fullmatch(given):  # the dictionary has `王先生` as one word
            yield _Candidate(place, surname, "", _surname_score(surname) + _UNUSUAL)
        else:
            score = _surname_score(surname) + _given_score(given) - _words_against(borders[end])
            yield _Candidate(place, surname, given, score)


def _surname(word: str) -> str:
    lists = names_chinese()
    if word[:2] in lists.double and len(word) <= 4:
        return word[:2]
    return word[0] if word[0] in lists.surnames and len(word) <= 3 else ""


def _surname_score(surname: str) -> float:
    return names_chinese().surnames[surname] if len(surname) == 1 else 1.4


def _given_score(given: str) -> float:
    """Sum over the characters; a single one says less than two, and none says nothing for a name."""
    known = names_chinese().given
    score = sum(known.get(c, _UNUSUAL) for c in given)
    return score - 0.3 if len(given) == 1 else score if given else _UNUSUAL


def _words_against(words: Sequence[str]) -> float:
    """What the dictionary's words inside the candidate say against it: most where one word is the whole of it."""
    if "".join(words)[-1] in _NO_ENDING:
        return -_UNUSUAL
    weight = 0.25 if len(words) > 1 or words[0] in persons() else 0.5
    return sum(weight * math.log10(1 + frequency(word)) for word in words if len(word) > 1)


def _around(text: str, candidate: _Candidate, *, loose: bool) -> float:
    """What the neighbourhood says: an announcement before, a title or a verb after, or the rest of another word."""
    before, after = text[max(0, candidate.start - 10) : candidate.start], text[candidate.end : candidate.end + 4]
    said = 1.5 if _ANNOUNCES.search(before) else 0.4 if _HINTS.search(before) else -1.0 if loose else 0.0
    if not candidate.given:
        return said + _before_title(before, candidate.surname) + (3.0 if _TITLE.match(after) else 0.0)
    if _TITLE.match(after):
        return said + 1.5
    if _NO_PERSON.match(after):
        return said - 1.5
    return said + (0.6 if not after or _VERBS.match(after) or not after[0].isalnum() else 0.0)


def _before_title(before: str, surname: str) -> float:
    """What stands before a surname alone: a border speaks for it; in `和医生` it is more likely a particle."""
    if not before or not "\u4e00" <= before[-1] <= "\u9fff":
        return 0.5
    return 0.0 if _surname_score(surname) >= 1.0 else -1.5


def _is_stand_in(text: str, start: int) -> bool:
    known = stand_ins().surnames_zh
    return any(text[i : i + 2] in known for i in range(max(0, start - 3), start + 1))


def _finding(candidate: _Candidate) -> Finding:
    parts: list[Part] = [("surname_zh", candidate.surname)]
    if candidate.given:
        parts.append(("given_zh", candidate.given))
    return Finding("name", candidate.start, candidate.end, tuple(parts))
