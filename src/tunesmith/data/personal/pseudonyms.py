"""Stand-ins for personal data: the same value always gets the same one, and none can be anybody's.

Each is drawn by HMAC-SHA256 of the value under a secret, so the same secret gives the same stand-ins in every row, run
and worker, and who has the data alone cannot try all values. Numbers come from ranges that are never given out or carry
a wrong check digit; names are invented or out of use. So detectors find no stand-in, and a second cleaning changes
nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache

from tunesmith.data.personal.findings import Finding, Kind
from tunesmith.data.personal.lists import stand_ins

_NAME_WORD = re.compile(
    r"(?<![^\W\d_])(?!(?:van|von|de|der|den|da|dos|del|della|di|la|le|bin|ibn|al|el|ter)\b)[^\W\d_]+(?:['’-][^\W\d_]+)*"
)
_DIGIT = re.compile(r"\d")
_PLATE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_FIRST_BIRTH = date(1940, 1, 1).toordinal()
_BIRTH_DAYS = 24_000
_DOCUMENTATION_NETS = ("192.0.2", "198.51.100", "203.0.113")


@dataclass(frozen=True)
class Draw:
    """Numbers that look random, the same for the same secret and value.

    Args:
        key: the secret.
        value: what the stand-in is for, with its role.
    """

    key: bytes
    value: str

    def below(self, limit: int, place: int) -> int:
        """A number in [0, limit) for the `place`-th thing to choose; 64 bits, so the bias is under limit / 2^64."""
        message = f"{place}\x1f{self.value}".encode("utf-8", "surrogatepass")
        return int.from_bytes(hmac.new(self.key, message, hashlib.sha256).digest()[:8], "big") % limit

    def digits(self, count: int, place: int) -> str:
        """`count` decimal digits, at most 19."""
        return str(self.below(10**count, place)).zfill(count)

    def one_of(self, choices: Sequence[str], place: int) -> str:
        """One of `choices`."""
        return choices[self.below(len(choices), place)]


def stand_in(finding: Finding, written: str, key: bytes) -> str:
    """What stands for `finding` from now on.

    Args:
        finding: what was found.
        written: how it is written in the text; capitals, points and the places of separators are kept.
        key: the secret of the data set.
    """
    if finding.kind == "name":
        return _name(finding, written, key)
    role, value = finding.parts[0]
    return _MAKERS[finding.kind](Draw(key, f"{role}={value}"), value, written)


def _name(finding: Finding, written: str, key: bytes) -> str:
    """Word for word, so that `John Smith`, `John` and `Mr Smith` stay one person and one family."""
    if finding.parts[0][0].endswith("_zh"):
        return "".join(_name_part(role, value, key) for role, value in finding.parts)
    if finding.parts[0][0] == "foreign":
        return "·".join(_name_part("foreign", part, key) for part in written.split("·"))
    parts = iter(finding.parts)

    def other(match: re.Match[str]) -> str:
        role, value = next(parts, ("given", match[0].lower()))
        made = _name_part(role, value, key)[: 1 if len(match[0]) == 1 else None]
        return made.upper() if match[0].isupper() else made.lower() if match[0].islower() else made

    return _NAME_WORD.sub(other, written)


def _name_part(role: str, value: str, key: bytes) -> str:
    draw = Draw(key, f"{role}={value}")
    surnames, given, surnames_zh, given_zh = _choices()
    if role == "surname_zh":
        return draw.one_of(surnames_zh, 0)
    if role in {"given_zh", "foreign"}:
        return "".join(draw.one_of(given_zh, i) for i in range(2 if role == "foreign" else len(value)))
    return draw.one_of(surnames if role == "surname" else given, 0)


@cache
def _choices() -> tuple[list[str], list[str], list[str], list[str]]:
    """Surnames, given names, Chinese surnames, Chinese characters, in a fixed order."""
    lists = stand_ins()
    return sorted(lists.surnames), sorted(lists.given), sorted(lists.surnames_zh), sorted(lists.given_zh)


def _filled(written: str, digits: str) -> str:
    """`digits` in the places of the digits of `written`; `digits` alone where their numbers differ."""
    if len(_DIGIT.findall(written)) != len(digits):
        return digits
    left = iter(digits)
    return _DIGIT.sub(lambda _: next(left), written)


def _email(draw: Draw, value: str, written: str) -> str:
    surnames, given, *_ = _choices()
    return f"{draw.one_of(given, 0)}.{draw.one_of(surnames, 1)}{draw.digits(2, 2)}@example.com".lower()


def _ip(draw: Draw, value: str, written: str) -> str:
    """Addresses for documentation: RFC 5737 and RFC 3849."""
    if ":" in value:
        return f"2001:db8::{draw.below(1 << 16, 0):x}:{draw.below(1 << 16, 1):x}"
    return f"{draw.one_of(_DOCUMENTATION_NETS, 0)}.{1 + draw.below(254, 1)}"


def _phone(draw: Draw, value: str, written: str) -> str:
    """China: 100..., which no network uses. Elsewhere 555-01xx, which North America keeps for fiction."""
    if re.fullmatch("1[3-9][0-9]{9}", value):
        return "100" + draw.digits(8, 0)
    return f"{2 + draw.below(8, 0)}{draw.digits(2, 1)}-555-01{draw.digits(2, 2)}"


def _resident_id(draw: Draw, value: str, written: str) -> str:
    """Region 99, which is none, a plausible birth date, and a check digit that is wrong."""
    from stdnum.iso7064 import mod_11_2

    born = date.fromordinal(_FIRST_BIRTH + draw.below(_BIRTH_DAYS, 0))
    body = f"99{draw.digits(4, 1)}{born:%Y%m%d}{draw.digits(3, 2)}"
    right = mod_11_2.calc_check_digit(body)
    return body + draw.one_of([digit for digit in string.digits if digit != right], 3)


def _iban(draw: Draw, value: str, written: str) -> str:
    """The same country and length, with check digits that are wrong."""
    from stdnum.iso7064 import mod_97_10

    body = (draw.digits(16, 0) + draw.digits(16, 1))[: len(value) - 4]
    right = int(mod_97_10.calc_check_digits(body + value[:2]))
    wrong = 2 + (right - 2 + 1 + draw.below(96, 2)) % 97
    made = f"{value[:2]}{wrong:02}{body}"
    spaced = " " in written.strip()
    return " ".join(made[i : i + 4] for i in range(0, len(made), 4)) if spaced else made


def _bank_card(draw: Draw, value: str, written: str) -> str:
    """The same network and length, with a check digit that is wrong by Luhn."""
    from stdnum import luhn

    body = value[:1] + draw.digits(len(value) - 2, 0)
    right = luhn.calc_check_digit(body)
    return _filled(written, body + draw.one_of([digit for digit in string.digits if digit != right], 1))


def _ssn(draw: Draw, value: str, written: str) -> str:
    """Areas 900-999 with groups under 50, which are neither social security nor taxpayer numbers."""
    return f"9{draw.digits(2, 0)}-{1 + draw.below(49, 1):02}-{1 + draw.below(9999, 2):04}"


def _passport(draw: Draw, value: str, written: str) -> str:
    return f"X00{draw.digits(6, 0)}"


def _plate(draw: Draw, value: str, written: str) -> str:
    """With a letter I, which neither Chinese nor British plates have."""
    if "\u4e00" <= value[0] <= "\u9fff":
        return f"{value[0]}I·{draw.digits(5, 0)}"
    return f"QI{draw.digits(2, 0)} {''.join(draw.one_of(_PLATE_LETTERS, i) for i in (1, 2, 3))}"


def _address(draw: Draw, value: str, written: str) -> str:
    if re.search("[\u4e00-\u9fff]", written):
        return f"示例路{1 + draw.below(999, 0)}号{1 + draw.below(30, 1)}室"
    return f"{1 + draw.below(999, 0)} {draw.one_of(_choices()[0], 1)} Street"


_MAKERS: dict[Kind, Callable[[Draw, str, str], str]] = {
    "resident_id": _resident_id,
    "iban": _iban,
    "bank_card": _bank_card,
    "email": _email,
    "ip": _ip,
    "ssn": _ssn,
    "phone": _phone,
    "passport": _passport,
    "plate": _plate,
    "address": _address,
}


def fingerprint(key: bytes) -> str:
    """Sixteen hexadecimal digits by which two secrets are told apart; the secret cannot be had from them."""
    return hmac.new(key, b"tunesmith fingerprint of a secret", hashlib.sha256).hexdigest()[:16]
