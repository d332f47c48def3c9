"""Postal addresses, coarsely: a house number at a street, with what names the place around it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tunesmith.data.personal.findings import Finding
from tunesmith.data.personal.lists import stand_ins

_KIND_EN = (
    "Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Way|Place|Pl|Square|Sq|Terrace|Crescent|"
    "Close|Parkway|Pkwy|Highway|Hwy|Circle|Cir|Trail|Alley|Grove|Gardens|Row|Walk|Mews|Loop|Pike|Plaza"
)
_WORD_EN = r"[A-Z][A-Za-z'.-]{0,24}"
_STREET_EN = re.compile(
    rf"[0-9](?<![0-9A-Za-z.,$-].)[0-9]{{0,4}}[A-Za-z]?(?:-[0-9]{{1,4}})? (?:[NSEW]\.? )?"
    rf"(?:{_WORD_EN} |[0-9]{{1,3}}(?:st|nd|rd|th) ){{1,4}}?"
    rf"(?:{_KIND_EN})\b\.?(?: (?:[NSEW]|North|South|East|West)\b\.?)?"
)
_MORE_EN = re.compile(
    rf",?\s(?:(?:Apt|Apartment|Suite|Ste|Unit|Flat|Floor|Room)\.? ?#?[0-9A-Za-z]{{1,6}}\b|#[0-9]{{1,5}}\b"
    rf"|{_WORD_EN}(?: {_WORD_EN}){{0,2}},? [A-Z]{{2}},? [0-9]{{5}}(?:-[0-9]{{4}})?\b"
    rf"|{_WORD_EN}(?: {_WORD_EN}){{0,2}},? [A-Z]{{1,2}}[0-9][0-9A-Z]? [0-9][A-Z]{{2}}\b)"
)
_BOX = "box"
_BOX_EN = re.compile(r"(?<![A-Za-z])P\.? ?O\.? Box [0-9]{1,6}\b", re.IGNORECASE)
_ENDS_DE = ("straße", "strasse", "str.", "weg", "allee", "platz", "gasse", "damm", "ufer")
_STREET_DE = re.compile(
    rf"(?<![0-9A-Za-zÀ-ɏ])[A-ZÄÖÜ][a-zäöüß]{{1,20}}(?:{'|'.join(map(re.escape, _ENDS_DE))})"
    r" [0-9]{1,4}[a-z]?\b"
    r"(?:, [0-9]{5} [A-ZÄÖÜ][a-zäöüß]{1,24})?"
)

_HAN = "(?:(?![在住是于到从往址])[\u4e00-\u9fff])"
_NUMBER_ZH = "[0-9一二三四五六七八九十百零〇]{1,6}"
_STREET_ZH = re.compile(
    rf"(?:{_HAN}{{1,6}}?(?:路|街|道|巷|弄|里|胡同|大道|大街|村|屯|组|小区|花园|新村|苑|庄园)|{_HAN}{{2,8}}?(?:大厦|广场|公寓|中心))"
    rf"(?:[东南西北中]?段)?{_NUMBER_ZH}(?:号|弄|栋|幢|座|组|楼)(?:院|楼)?"
    rf"(?:[- ]?{_NUMBER_ZH}(?:号楼|栋|幢|座|单元|层|楼|室|号|户)|[A-Z]座|[0-9]{{3,4}}(?![0-9])){{0,4}}"
)
_NUMBERED_ZH = re.compile("[0-9一二三四五六七八九十百零〇][号弄栋幢座组楼]")
_BLOCK_ZH = re.compile(rf"{_HAN}{{1,6}}?(?:街|路)[A-Z]座(?: [0-9]{{6}}(?![0-9]))?")
_BLOCK = re.compile("[街路][A-Z]座")
_PROVINCE_ZH = re.compile(
    "北京|上海|天津|重庆|河北|山西|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|海南|四川|贵州|云南|陕西|"
    "甘肃|青海|台湾|内蒙古|广西|西藏|宁夏|新疆|香港|澳门"
)
_AREA_ZH = re.compile(r"[\u4e00-\u9fff]{2,3}(?:自治州|地区|街道|省|市|区|县|旗|镇|乡|村)$")
_REACH = 30
_MOST_AREAS = 5


def addresses(text: str) -> Iterator[Finding]:
    """Addresses with a street and a number; a city alone is nobody's address."""
    for match in _STREET_EN.finditer(text):
        end = match.end()
        while more := _MORE_EN.match(text, end):
            end = more.end()
        yield from _finding(text, match.start(), end)
    german = any(f"{end} " in text for end in _ENDS_DE)
    for pattern, there in ((_BOX_EN, _BOX in text.lower()), (_STREET_DE, german)):
        for match in pattern.finditer(text) if there else ():
            yield from _finding(text, *match.span())
    for pattern, sign in ((_STREET_ZH, _NUMBERED_ZH), (_BLOCK_ZH, _BLOCK)):
        for match in pattern.finditer(text) if sign.search(text) else ():
            yield from _finding(text, _area_before(text, match.start()), match.end())


def _area_before(text: str, start: int) -> int:
    """Where the province, city and district that stand before a Chinese street begin; `start` where there are none."""
    window = re.split(r"[^\u4e00-\u9fff]", text[max(0, start - _REACH) : start])[-1]
    provinces = [province.start() for province in _PROVINCE_ZH.finditer(window)]
    if provinces:
        return start - len(window) + provinces[-1]
    left = window
    for _ in range(_MOST_AREAS):
        area = _AREA_ZH.search(left)
        if not area:
            break
        left = left[: area.start()]
    return start - len(window) + len(left)


def _finding(text: str, start: int, end: int) -> Iterator[Finding]:
    words = set(re.findall(r"[A-Z][a-z]+", text[start:end]))
    if not words & stand_ins().surnames and "示例路" not in text[start:end]:
        value = re.sub(r"[\W_]+", " ", text[start:end]).casefold().strip()
        yield Finding("address", start, end, (("address", value),))
