"""Identity and account numbers: resident identity, bank card, social security, IBAN, passport, number plate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from tunesmith.data.personal.context import cues, stands_alone
from tunesmith.data.personal.digits import Window, windows
from tunesmith.data.personal.findings import Finding, Kind

_ID_CUES = cues(words=r"id|identity|identification|national id", signs="身份证|证件号|身份号码|公民身份")
_CARD_CUES = cues(
    words=r"cards?|credit|debit|visa|mastercard|amex|unionpay|pan|account|acct",
    signs="卡号|银行卡|信用卡|借记卡|储蓄卡|银联|账号|帐号|账户|卡",
)
_SSN_CUES = cues(words=r"ssn|social security|soc\.? sec\.?|itin", signs="社会安全号|社安号")
_PASSPORT_CUES = cues(words=r"passports?", signs="护照|通行证|旅行证", against=False)
_PLATE_CUES = cues(words=r"(?:licen[cs]e |number )?plates?|registration|reg|vehicle|car|van", signs="车牌|牌照")

_PROVINCES = frozenset(
    str(code)
    for first, last in ((11, 15), (21, 23), (31, 37), (41, 46), (50, 54), (61, 65), (71, 71), (81, 83), (91, 91))
    for code in range(first, last + 1)
)
_LAST_X = re.compile(r"[ -]?[Xx](?![0-9A-Za-z])")
_OLDEST_YEAR = 1890
_NO_PERSON = frozenset({"000", "666"})

_SIXTEEN_UP = (16, 17, 18, 19)
_CARDS: tuple[tuple[re.Pattern[str], tuple[int, ...]], ...] = (
    (re.compile("4"), (13, 16, 19)),  # Visa
    (re.compile("5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)"), (16,)),  # Mastercard
    (re.compile("3[47]"), (15,)),  # American Express
    (re.compile("62|81"), _SIXTEEN_UP),  # UnionPay
    (re.compile("6011|64[4-9]|65"), _SIXTEEN_UP),  # Discover
    (re.compile("35(?:2[89]|[3-8])"), _SIXTEEN_UP),  # JCB
    (re.compile("30[0-5]|3095|3[689]"), (14, 16, 19)),  # Diners Club
    (re.compile("50(?:18|20|38)|5[678]|63(?:04|90)|67(?:59|6[1-3])"), (13, 14, 15, *_SIXTEEN_UP)),  # Maestro
    (re.compile("9558"), (16, 18, 19)),  # Chinese cards older than UnionPay's numbers
)
_CARD_SHAPES = frozenset({(4, 6, 5), (4, 6, 4), (6, 13), (6, 10), (6, 12)})

_IBAN_HEAD = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[ -]?[0-9]{2}(?=[ -]?[A-Za-z0-9])")
_IBAN_LENGTHS = {
    country: length
    for length, countries in (
        (15, "NO"),
        (16, "BE"),
        (18, "DK FI FK FO GL NL SD"),
        (19, "MK SI"),
        (20, "AT BA EE KZ LT LU MN XK"),
        (21, "CH HR LI LV"),
        (22, "BG BH CR DE GB GE IE ME RS VA"),
        (23, "AE GI IL IQ OM SO TL"),
        (24, "AD CZ ES MD PK RO SA SE SK TN VG"),
        (25, "LY PT ST"),
        (26, "IS TR"),
        (27, "BI DJ FR GR IT MC MR SM"),
        (28, "AL AZ BY CY DO GT HN HU LB NI PL SV"),
        (29, "BR EG PS QA UA"),
        (30, "JO KW MU YE"),
        (31, "MT SC"),
        (32, "LC"),
        (33, "RU"),
    )
    for country in countries.split()
}
"""Country -> characters of its IBAN (SWIFT, IBAN Registry, release 99)."""

_PASSPORT = re.compile(r"(?<![0-9A-Za-z])(?!X00)[A-Za-z]{0,2}[0-9]{6,9}(?![0-9A-Za-z])")
_PASSPORT_SIGNS = ("passport", "护照", "通行证", "旅行证")
_PLATE_SIGNS = ("plate", "reg", "veh", "car", "van", "车牌", "牌照")
"""One of these stands in each text in which a cue does."""
_PLATE_ZH = re.compile(
    r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-HJ-NP-Z] ?[·•.-]? ?"
    r"(?=[A-HJ-NP-Z]{0,5}[0-9])[0-9A-HJ-NP-Z]{4,6}[挂学警港澳]?(?![0-9A-Za-z])"
)
_PLATE = re.compile(
    r"(?<![0-9A-Za-z])(?!QI)(?:[A-Z]{2}[0-9]{2} ?[A-Z]{3}|[0-9A-Z]{1,3}[ -][0-9A-Z]{2,5})(?![0-9A-Za-z])"
)


def digit_numbers(text: str) -> Iterator[Finding]:
    """Resident identity numbers, bank cards and social security numbers."""
    for window in windows(text):
        size = len(window.digits)
        if size in {15, 17, 18}:
            yield from _resident_id(text, window)
        if size == 9:
            yield from _ssn(text, window)
        if size > 12:
            yield from _bank_card(text, window)


def _finding(kind: Kind, window: Window, *, end: int | None = None, more: str = "") -> Finding:
    return Finding(kind, window.start, end or window.end, ((kind, window.digits + more),))


def _resident_id(text: str, window: Window) -> Iterator[Finding]:
    """Chinese resident identity: 18 characters with region, birth date and check (GB 11643-1999), or 15 where named.

    Numbers of 15 digits were given out until 1999 and have no check digit.
    """
    digits, end = window.digits, window.end
    if digits[:2] not in _PROVINCES:
        return
    if len(digits) == 15:
        named = _ID_CUES.before(text, window.start) is True
        if named and _is_date("19" + digits[6:12]) and stands_alone(text, window.start, end, named=True):
            yield _finding("resident_id", window)
        return
    more = ""
    if len(digits) == 17:
        last = _LAST_X.match(text, end)
        if not last:
            return
        more, end = "X", last.end()
    if _is_date(digits[6:14]) and _mod_11_2(digits + more) and stands_alone(text, window.start, end, named=True):
        yield _finding("resident_id", window, end=end, more=more)


def _mod_11_2(number: str) -> bool:
    from stdnum.iso7064 import mod_11_2

    return bool(mod_11_2.is_valid(number))


def _is_date(eight: str) -> bool:
    try:
        born = date(int(eight[:4]), int(eight[4:6]), int(eight[6:]))
    except ValueError:
        return False
    return born.year >= _OLDEST_YEAR and born.year < 2100


def _bank_card(text: str, window: Window) -> Iterator[Finding]:
    """A card number: prefix and length of a network (ISO/IEC 7812), Luhn's check digit, written as cards are."""
    from stdnum import luhn

    digits = window.digits
    if not any(len(digits) in sizes and prefix.match(digits) for prefix, sizes in _CARDS) or not luhn.is_valid(digits):
        return
    named = _CARD_CUES.before(text, window.start)
    usual = len(window.shape) == 1 or window.shape in _CARD_SHAPES or set(window.shape[:-1]) == {4}
    said = named or (named is None and usual)
    if said and stands_alone(text, window.start, window.end, named=bool(named)):
        yield _finding("bank_card", window)


def _ssn(text: str, window: Window) -> Iterator[Finding]:
    """A United States social security number: 3-2-4 with hyphens, or named; area, group and serial that are issued.

    Never issued: area 000, 666 and 900-999, group 00, serial 0000 (Social Security Administration, RM 10201.035).
    """
    area, group, serial = window.digits[:3], window.digits[3:5], window.digits[5:]
    if area in _NO_PERSON or area >= "900" or group == "00" or serial == "0000":
        return
    named = _SSN_CUES.before(text, window.start)
    written_so = window.shape == (3, 2, 4) and window.joints == {"-"}
    said = named or (named is None and written_so)
    if said and stands_alone(text, window.start, window.end, named=bool(named)):
        yield _finding("ssn", window)


def ibans(text: str) -> Iterator[Finding]:
    """International bank account numbers: length of the country, check digits modulo 97 (ISO 13616, ISO 7064)."""
    from stdnum.iso7064 import mod_97_10

    for match in _IBAN_HEAD.finditer(text):
        length = _IBAN_LENGTHS.get(match[0][:2].upper())
        number, end = _characters(text, match.start(), length) if length else ("", 0)
        if number and mod_97_10.is_valid(number[4:] + number[:4]):
            yield Finding("iban", match.start(), end, (("iban", number),))


def _characters(text: str, start: int, count: int) -> tuple[str, int]:
    """`count` letters and digits from `start`, with at most one separator between two, and where they end."""
    taken: list[str] = []
    i = start
    while i < len(text) and len(taken) < count:
        if text[i].isascii() and text[i].isalnum():
            taken.append(text[i].upper())
        elif text[i] not in " -." or text[i - 1] in " -.":
            break
        i += 1
    whole = len(taken) == count and not (text[i : i + 1].isascii() and text[i : i + 1].isalnum())
    return ("".join(taken), i) if whole else ("", i)


def papers(text: str) -> Iterator[Finding]:
    """Passports where a word names them; Chinese number plates by their build, others where a word names them."""
    low = text.lower()
    forms = (
        ("passport", _PASSPORT, _PASSPORT_CUES, _PASSPORT_SIGNS),
        ("plate", _PLATE, _PLATE_CUES, _PLATE_SIGNS),
    )
    for kind, pattern, named, signs in forms:
        for match in pattern.finditer(text) if any(sign in low for sign in signs) else ():
            lettered = kind == "passport" or any(map(str.isalpha, match[0]))
            if lettered and any(map(str.isdigit, match[0])) and named.before(text, match.start()):
                yield _paper("passport" if kind == "passport" else "plate", match)
    for match in _PLATE_ZH.finditer(text):
        yield _paper("plate", match)


def _paper(kind: Kind, match: re.Match[str]) -> Finding:
    value = re.sub(r"[^0-9A-Za-z\u4e00-\u9fff]", "", match[0]).upper()
    return Finding(kind, match.start(), match.end(), ((kind, value),))
