"""Ways to reach a person: e-mail, telephone, IP address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from tunesmith.data.personal.context import cues, stands_alone
from tunesmith.data.personal.digits import windows
from tunesmith.data.personal.findings import Finding

_LETTER = "0-9A-Za-zÀ-ɏͰ-ӿ"
_LOCAL = rf"(?<![{_LETTER}._%+'-])[.%+'-]{{0,4}}(?P<mail>[{_LETTER}_][{_LETTER}._%+'-]{{0,63}}"
_TOP = "[A-Za-z]{2,24}(?![0-9A-Za-z]))"
_EMAIL = re.compile(rf"{_LOCAL}@(?:[0-9A-Za-zÀ-ɏ-]{{1,63}}\.){{1,8}}{_TOP}")
_HIDDEN_EMAIL = re.compile(
    rf"{_LOCAL} ?[\[({{<] ?(?:at|@|艾特) ?[\])}}>] ?[0-9A-Za-z-]{{1,63}}"
    rf"(?: ?[\[({{<] ?(?:dot|点|\.) ?[\])}}>] ?|\.){_TOP}",
    re.IGNORECASE,
)
_HIDDEN_AT = re.compile(r"[\[({<] ?(?:at|@|艾特) ?[\])}>]", re.IGNORECASE)
_NO_DOMAIN = re.compile(r"\.(?:png|jpe?g|gif|svg|webp|py|[jt]s|css|html|json|md|txt|pdf|zip)$")
_RESERVED_DOMAIN = re.compile(r"(?:@|\.)(?:example\.(?:com|net|org)|[^@]*\.(?:example|test|invalid))$", re.IGNORECASE)

_PHONE_CUES = cues(
    words=(
        r"tel|phone|telephone|mobile|cell|cellphone|call|fax|dial|text|sms|whatsapp|viber|contact|reach|ring|hotline|"
        r"number is|ph"
    ),
    signs="手机|电话|联系|座机|拨打|致电|传真|热线|微信|来电|号码是|手机号",
)
_PLAIN_COUNTRIES = frozenset({1, 86})
_GROUP = re.compile(r"[0-9]+")
_EXTENSION = re.compile(r"(?:,? ?(?:extension|ext\.?|x|转|分机)[ .:]?[0-9]{1,6})(?![0-9A-Za-z])", re.IGNORECASE)
_TAIL = r"(?:[ .()/-]{1,3}[0-9]{1,14}){0,7}"
_PLUS = re.compile(rf"(?<![0-9A-Za-z+])(?P<prefix>\+ ?\(?|00(?=[1-9]))[0-9]{{1,15}}{_TAIL}")
_NANP = re.compile(
    r"(?<![0-9A-Za-z_.-])(?:(?:00)?1[ .-])?(?:\([2-9][0-9]{2}\)[ .-]?|[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4}"
    r"(?![0-9A-WYZa-wyz]|[.-][0-9])"
)
_TRUNK = re.compile(
    r"(?<![0-9A-Za-z_.-])\(?0[1-9][0-9]{0,10}(?:\)[ -]?[0-9]{2,8})?(?:[ .-]{1,2}[0-9]{2,8}){0,4}"
    r"(?![0-9A-Za-z]|[.-][0-9])"
)
_NAMED = re.compile(
    r"(?:(?<![A-Za-z])(?:tel|phone|telephone|mobile|cell|fax|call|ph|whatsapp|text)(?![A-Za-z])|手机|电话|座机|传真|联系方式|致电|拨打)"
    rf"[^0-9\n+]{{0,16}}(?P<number>\(?[0-9]{{1,15}}{_TAIL})(?![0-9A-Za-z])",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"[0-9](?:[ .()/-]{0,3}[0-9]){6}")
"""What each of the forms above has in it."""
_MOBILE_SHAPES = frozenset({(11,), (3, 4, 4), (3, 3, 5), (3, 8), (4, 3, 4), (5, 6), (7, 4), (1,) * 11})
_RESERVED_PHONE = re.compile(r"55501\d{2}$|^(?:86)?100\d{8}$|7700900\d{3}$|2079460\d{3}$")
_TRUNK_FORMS = (
    ("CN", re.compile(r"(?:\(0[1-9][0-9]{1,2}\) ?-?|0[1-9][0-9]{1,2}[- ])[2-9][0-9]{2,3}[ -]?[0-9]{4}")),
    ("FR", re.compile(r"0[1-9](?:[ .-][0-9]{2}){4}")),
    (
        "GB",
        re.compile(
            r"07[1-9][0-9]{8}|07[0-9]{3} ?[0-9]{3} ?[0-9]{3}|\(?0[0-9]{2,4}\)?[ -][0-9]{3,6}(?:[ -][0-9]{3,4})?"
        ),
    ),
)

_IPV4 = re.compile(
    r"[0-9](?<![0-9A-Za-z_.-].)[0-9]{0,2}\.(?:[0-9]{1,3}\.){2}[0-9]{1,3}(?![0-9A-Za-z_]|\.[0-9]|-[0-9A-Za-z])"
)
_IPV6 = re.compile(r"(?<![0-9A-Za-z_:.])[0-9A-Fa-f:]{4,39}(?:\.[0-9]{1,3}){0,3}(?![0-9A-Za-z_:.])")
_TWO_COLONS = re.compile(r":[0-9A-Fa-f]{0,37}:")
_IP_CUES = cues(
    words=r"ips?|ip address|ipv[46]|address|host|server|client|login|logged in|from|user|connected|request|source",
    signs="地址|登录|登陆|服务器|主机|访问|来自|来源",
)
_NOBODY = [
    ip_network(net)
    for net in (
        "0.0.0.0/8",
        "127.0.0.0/8",
        "192.0.2.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
        "::/127",
        "2001:db8::/32",
        "ff00::/8",
    )
]
"""Networks whose addresses are nobody's: this host, documentation (RFC 5737, RFC 3849), multicast, masks."""
_LEAST_OCTET = 20


def emails(text: str) -> Iterator[Finding]:
    """E-mail addresses, plain or with `[at]` and `(dot)`; not those of the domains that RFC 2606 keeps for examples."""
    forms = [form for form, there in ((_EMAIL, "@" in text), (_HIDDEN_EMAIL, _HIDDEN_AT.search(text))) if there]
    for pattern in forms:
        for match in pattern.finditer(text):
            value = re.sub(r"[\[({< ]+(?:at|@|艾特)[\])}> ]+", "@", match["mail"], flags=re.IGNORECASE)
            value = re.sub(r"[\[({< ]+(?:dot|点|\.)[\])}> ]+", ".", value, flags=re.IGNORECASE).lower()
            if not _NO_DOMAIN.search(value) and not _RESERVED_DOMAIN.search(value):
                yield Finding("email", match.start("mail"), match.end(), (("email", value),))


def phones(text: str) -> Iterator[Finding]:
    """Telephone numbers: international, North American, British, French, Chinese; any other where a word names it.

    Numbers that are kept for fiction (555-01xx; Ofcom's 07700 900xxx, 020 7946 0xxx) are nobody's. A number without
    separators or prefix counts only if it is a Chinese or British mobile, or is named.
    """
    if not _DIGITS.search(text):
        return
    for start, end, number in (*_international(text), *_national(text), *_chinese_mobiles(text), *_named(text)):
        if not _RESERVED_PHONE.search(number):
            extension = _EXTENSION.match(text, end)
            yield Finding("phone", start, extension.end() if extension else end, (("phone", number),))


Span = tuple[int, int, str]
"""Start, end and canonical number: national digits for China and North America, else country code and digits."""


def _international(text: str) -> Iterator[Span]:
    for match in _PLUS.finditer(text):
        signed = match["prefix"].startswith("+")
        if not signed and not _PHONE_CUES.before(text, match.start()) and not re.search(r"[ ()-]", match[0]):
            continue
        first = match.end("prefix")
        for last in reversed([m.end() for m in _GROUP.finditer(match[0])]):
            digits = _digits(text[first : match.start() + last])
            if 8 <= len(digits) <= 15 and (number := _number("+" + digits, surely=not signed)):
                yield match.start(), match.start() + last, number
                break


def _digits(text: str) -> str:
    return "".join(_GROUP.findall(text))


def _number(written: str, region: str | None = None, *, surely: bool = True) -> str:
    """The canonical number, or nothing where `written` is none; `surely`: it must be in use, not only as long."""
    import phonenumbers

    try:
        number = phonenumbers.parse(written, region)
    except phonenumbers.NumberParseException:
        return ""
    if not (phonenumbers.is_valid_number(number) if surely else phonenumbers.is_possible_number(number)):
        return ""
    country = "" if number.country_code in _PLAIN_COUNTRIES else str(number.country_code)
    return f"{country}{number.national_number}"


def _national(text: str) -> Iterator[Span]:
    for match in _NANP.finditer(text):
        if _PHONE_CUES.before(text, match.start()) is not False:
            yield match.start(), match.end(), _digits(match[0])[-10:]
    for match in _TRUNK.finditer(text):
        digits = _digits(match[0])
        named = _PHONE_CUES.before(text, match.start())
        if 9 <= len(digits) <= 12 and named is not False and (number := _trunk_number(match[0]) or (named and digits)):
            yield match.start(), match.end(), number


def _trunk_number(written: str) -> str:
    """The canonical number where it is written as one is in China, France or Britain, and is in use there."""
    regions = (region for region, form in _TRUNK_FORMS if form.fullmatch(written))
    return next((number for region in regions if (number := _number(written, region))), "")


def _chinese_mobiles(text: str) -> Iterator[Span]:
    for window in windows(text):
        digits = window.digits[2:] if window.digits.startswith("86") else window.digits
        if len(digits) == 11 and digits[0] == "1" and digits[1] in "3456789":
            named = _PHONE_CUES.before(text, window.start)
            usual = window.shape in _MOBILE_SHAPES or (window.digits != digits and window.shape[1:] in _MOBILE_SHAPES)
            if (named or (named is None and usual)) and stands_alone(text, window.start, window.end, named=bool(named)):
                yield window.start, window.end, digits


def _named(text: str) -> Iterator[Span]:
    for match in _NAMED.finditer(text):
        first = match.start("number")
        ends = [m.end() for m in _GROUP.finditer(match["number"])]
        last = next((end for end in reversed(ends) if 7 <= len(_digits(match["number"][:end])) <= 13), 0)
        if last and _PHONE_CUES.before(text, first) and stands_alone(text, first, first + last, named=True):
            yield first, first + last, _digits(match["number"][:last])


def ips(text: str) -> Iterator[Finding]:
    """IP addresses of both versions that can be somebody's; not versions of programs and numbers of sections.

    Four small numbers (`1.2.3.4`) are an address only where a word says so.
    """
    for match in _IPV4.finditer(text):
        octets = [int(part) for part in match[0].split(".")]
        named = _IP_CUES.before(text, match.start())
        if max(octets) > 255 or named is False or (max(octets) < _LEAST_OCTET and not named):
            continue
        if re.search(r"(?:[vV]|version|section|§|版本|chapter) ?$", text[max(0, match.start() - 10) : match.start()]):
            continue
        address = IPv4Address(".".join(map(str, octets)))
        if not any(address in net for net in _NOBODY):
            yield Finding("ip", match.start(), match.end(), (("ip", str(address)),))
    for match in _IPV6.finditer(text) if _TWO_COLONS.search(text) else ():
        if match[0].count(":") >= 2 and sum(c.isdigit() for c in match[0]) >= 2 and (found := _ipv6(match[0])):
            yield Finding("ip", match.start(), match.end(), (("ip", str(found)),))


def _ipv6(text: str) -> IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    somebodys = isinstance(address, IPv6Address) and not any(address in net for net in _NOBODY)
    return address if somebodys and isinstance(address, IPv6Address) else None
