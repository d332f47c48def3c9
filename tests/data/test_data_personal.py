from __future__ import annotations

import re
import time
from collections import Counter

import pytest

from tunesmith.core.errors import UserError
from tunesmith.core.types import Example, Message
from tunesmith.data.clean.personal_data import PersonalData
from tunesmith.data.filter.personal_data import PersonalData as PersonalDataFilter
from tunesmith.data.personal.findings import KINDS, Finding, find, without_overlaps
from tunesmith.data.personal.lists import names_chinese, names_english, stand_ins
from tunesmith.data.personal.shadow import shadow

SECRET = "a secret of the tests, 32 letters"


def seen(text: str) -> list[tuple[str, str]]:
    return [(f.kind, text[f.start : f.end]) for f in find(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("write to Jane.Doe+x@mail.hospital.org.", [("email", "Jane.Doe+x@mail.hospital.org")]),
        ("邮箱zhang_san@163.com，谢谢", [("email", "zhang_san@163.com")]),
        ("k.mueller [at] firma (dot) de", [("email", "k.mueller [at] firma (dot) de")]),
        ("li＠qq．com", [("email", "li＠qq．com")]),
        ("Call (212) 736-5000 x12 now", [("phone", "(212) 736-5000 x12")]),
        ("+44 20 7930 9000", [("phone", "+44 20 7930 9000")]),
        ("Tel.: 030 1234567", [("phone", "030 1234567")]),
        ("手机１３８００１３８０００", [("phone", "１３８００１３８０００")]),
        ("138 0013 8000转12", [("phone", "138 0013 8000转12")]),
        ("电话010-62511234。", [("phone", "010-62511234")]),
        ("13800138000/13900139000", [("phone", "13800138000"), ("phone", "13900139000")]),
        ("身份证11010519491231002X。", [("resident_id", "11010519491231002X")]),
        ("110105 19491231 002x", [("resident_id", "110105 19491231 002x")]),
        ("1101\u200b0519491231002X", [("resident_id", "1101\u200b0519491231002X")]),
        ("SSN 078-05-1120", [("ssn", "078-05-1120")]),
        ("IBAN DE89 3704 0044 0532 0130 00 today", [("iban", "DE89 3704 0044 0532 0130 00")]),
        ("gb82west12345698765432", [("iban", "gb82west12345698765432")]),
        ("card 4111-1111-1111-1111 exp 12/26", [("bank_card", "4111-1111-1111-1111")]),
        ("卡号6222021234567890129", []),  # Luhn's digit is wrong
        ("login from 8.8.4.255 at noon", [("ip", "8.8.4.255")]),
        ("2a00:1450:4001:81b::200e", [("ip", "2a00:1450:4001:81b::200e")]),
        ("护照号E12345678", [("passport", "E12345678")]),
        ("车牌京A·12345停在", [("plate", "京A·12345")]),
        ("plate number KA19 BCD", [("plate", "KA19 BCD")]),
        ("lives at 221B Baker Street, London NW1 6XE.", [("address", "221B Baker Street, London NW1 6XE")]),
        ("住在浙江省杭州市西湖区文三路478号3幢201室", [("address", "浙江省杭州市西湖区文三路478号3幢201室")]),
        ("Mr. Smith and Dr Jane O'Brien", [("name", "Smith"), ("name", "Jane O'Brien")]),
        ("My name is Xochitl Quetzal.", [("name", "Xochitl Quetzal")]),
        ("by Ludwig van Beethoven himself", [("name", "Ludwig van Beethoven")]),
        ("患者王小红，女", [("name", "王小红")]),
        ("张先生和欧阳医生", [("name", "张"), ("name", "欧阳")]),
        ("作家约翰·史密斯说", [("name", "约翰·史密斯")]),
    ],
)
def test_what_is_found(text: str, found: list[tuple[str, str]]) -> None:
    assert seen(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "order 4111111111111111 was shipped",
        "订单号13800138000",
        "0.13800138000 and 2,13800138000.5",
        "ICD-10 I21.9, E11.65; 1,234,567.89 USD in 1999-2004",
        "version 10.2.15.3, section 4.2.1.7, v1.2.3.4",
        "127.0.0.1 and 192.0.2.7, 2001:db8::1, 255.255.255.0",
        "a@example.com, icon@2x.png, @user, std::cout, dead::beef",
        "555-0123 and (212) 555-0188 are kept for films",
        "at 12:30:45 on 2024-01-15",
        "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18",
        "May Day, New York, Hodgkin Lymphoma, Wells Fargo Bank, Virginia Beach",
        "Natalia sold clips to 48 of her friends in April",
        "高血压、黄疸、白血病和石膏固定；何时复查由医生决定",
        "110105194912310021",  # the resident identity's check digit is X
        "DE89370400440532013001",
        "",
    ],
)
def test_what_is_not_found(text: str) -> None:
    assert seen(text) == []


def test_shadow_maps_back_to_the_places_of_the_original() -> None:
    """`a\u200b１–b` shows as `a1-b`: four characters for five, the second stands at 2, the last at 4."""
    plain = shadow("a\u200b１–b")
    assert plain.text == "a1-b"
    assert plain.original(1, 2) == (2, 3)
    assert plain.original(0, 4) == (0, 5)


def test_of_two_that_overlap_the_surer_class_and_then_the_longer_one_stays() -> None:
    phone, card = Finding("phone", 0, 12, (("phone", "1"),)), Finding("bank_card", 3, 19, (("bank_card", "2"),))
    short, long = Finding("name", 30, 34, (("given", "a"),)), Finding("name", 28, 36, (("given", "b"),))
    assert without_overlaps([short, phone, card, long]) == [card, long]


def test_a_digest_tells_whether_two_findings_are_the_same_and_needs_the_key() -> None:
    one, same, other = (find(text)[0] for text in ("13800138000", "电话138-0013-8000", "13800138001"))
    assert one.digest(b"k") == same.digest(b"k") != other.digest(b"k")
    assert one.digest(b"k") != one.digest(b"l")
    assert re.fullmatch("[0-9a-f]{12}", one.digest(b"k"))


def test_masking() -> None:
    text = "患者王小红（手机１３８００１３８０００），邮箱wang@qq.com。"
    assert PersonalData().clean(text) == "患者[NAME]（手机[PHONE]），邮箱[EMAIL]。"
    assert PersonalData(kinds=("email",)).clean(text) == "患者王小红（手机１３８００１３８０００），邮箱[EMAIL]。"


def test_classes_are_counted() -> None:
    notes: Counter[str] = Counter()
    PersonalData().clean_noting("a@b.org, c@d.org, 13800138000", notes)
    assert notes == {"email": 2, "phone": 1}


@pytest.fixture
def pseudonyms(monkeypatch: pytest.MonkeyPatch) -> PersonalData:
    monkeypatch.setenv("TUNESMITH_PSEUDONYM_SECRET", SECRET)
    return PersonalData(action="pseudonymise")


def test_one_person_keeps_one_stand_in_in_all_rows_and_spellings(pseudonyms: PersonalData) -> None:
    full, reversed_case, titled = (
        pseudonyms.clean(text) for text in ("I met John Smith.", "I met JOHN SMITH.", "I met Mr. Smith.")
    )
    given, surname = full.removeprefix("I met ").removesuffix(".").split()
    assert reversed_case == f"I met {given} {surname}.".replace(given, given.upper()).replace(surname, surname.upper())
    assert titled == f"I met Mr. {surname}."
    assert {"John", "Smith"}.isdisjoint({given, surname})
    assert pseudonyms.clean("患者张伟，和张先生") == pseudonyms.clean("患者张伟，和张先生")
    assert pseudonyms.clean("13800138000") == pseudonyms.clean("+86 138-0013-8000")


def test_another_secret_gives_other_stand_ins(pseudonyms: PersonalData, monkeypatch: pytest.MonkeyPatch) -> None:
    one, before = pseudonyms.clean("John Smith, 13800138000"), pseudonyms.outside()
    monkeypatch.setenv("TUNESMITH_PSEUDONYM_SECRET", SECRET[::-1])
    other = PersonalData(action="pseudonymise")
    assert one != other.clean("John Smith, 13800138000")
    assert before != other.outside()
    assert SECRET not in str(before)


def test_without_a_secret_nothing_is_pseudonymised(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", "short"):
        monkeypatch.setenv("TUNESMITH_PSEUDONYM_SECRET", value)
        with pytest.raises(UserError, match="at least 16 characters in TUNESMITH_PSEUDONYM_SECRET"):
            PersonalData(action="pseudonymise").clean("13800138000")


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("11010519491231002X", r"99\d{12}\d{3}[\dX]"),
        ("4111-1111-1111-1111", r"4\d{3}-\d{4}-\d{4}-\d{4}"),
        ("DE89 3704 0044 0532 0130 00", r"DE\d\d \d{4} \d{4} \d{4} \d{4} \d\d"),
        ("078-05-1120", r"9\d\d-[0-4]\d-\d{4}"),
        ("li@qq.com", r"[a-z]+\.[a-z]+\d\d@example\.com"),
        ("13800138000", r"100\d{8}"),
        ("(212) 736-5000", r"[2-9]\d\d-555-01\d\d"),
        ("login 8.8.4.255", r"login (?:192\.0\.2|198\.51\.100|203\.0\.113)\.\d+"),
        ("2a00:1450:4001:81b::200e", r"2001:db8::[0-9a-f]+:[0-9a-f]+"),
        ("护照E12345678", r"护照X00\d{6}"),
        ("京A12345", r"京I·\d{5}"),
        ("221B Baker Street", r"\d+ [A-Z][a-z]+ Street"),
    ],
)
def test_stand_ins_are_nobodys_and_are_not_found_again(pseudonyms: PersonalData, text: str, pattern: str) -> None:
    made = pseudonyms.clean(text)
    assert re.fullmatch(pattern, made), made
    assert seen(made) == []


def test_no_stand_in_stands_in_the_lists_of_the_detectors() -> None:
    """Else a second cleaning would replace it again, and a real person could bear it."""
    invented, english, chinese = stand_ins(), names_english(), names_chinese()
    assert {name.lower() for name in invented.given | invented.surnames}.isdisjoint(english.given | english.surnames)
    assert invented.surnames_zh.isdisjoint(chinese.double)


def test_chinese_characters_have_weights_of_logarithms() -> None:
    lists = names_chinese()
    assert min(map(len, (lists.surnames, lists.given))) > 250
    assert all(len(c) == 1 and -2 <= weight <= 1.5 for c, weight in {**lists.surnames, **lists.given}.items())


def test_rows_are_refused_with_counts_and_never_with_the_data() -> None:
    turns = (Message(role="user", content="I am at a@b.org"), Message(role="assistant", content="Call 13800138000"))
    refusal = PersonalDataFilter(fate="aside").judge(Example(id="ex-1", messages=turns))
    assert refusal is not None
    assert (refusal.reason, refusal.detail, refusal.fate) == ("personal-data", "email 1, phone 1", "aside")
    assert PersonalDataFilter(kinds=("iban",)).judge(Example(id="ex-1", messages=turns)) is None


PATHOLOGICAL = [
    "1",
    "1 ",
    "1-",
    "12 ",
    "138 0013 ",
    "0123456789-",
    "+1 ",
    "+",
    "a",
    "a@",
    "a.",
    "@a.",
    "a[at]",
    ":",
    "a:",
    "1.1.",
    "DE89 ",
    "AB12",
    "A",
    "A ",
    "A.",
    "Aa ",
    "John ",
    "Mr ",
    "van der ",
    "1 Aa Bb ",
    "王",
    "王小",
    "李明·",
    "市",
    "路1",
    "市路1号",
    "电话",
    "电话 1",
    "护照 ",
    "\u200b1",
    "(",
    "name: ",
]


@pytest.mark.slow
@pytest.mark.parametrize("piece", PATHOLOGICAL)
def test_a_megabyte_of_anything_takes_time_in_proportion(piece: str) -> None:
    """1 MB after 100 kB: ten times as long if linear, a hundred times if quadratic; the bound is thirty."""

    def seconds(size: int) -> float:
        text = piece * (size // len(piece))
        began = time.process_time()
        find(text)
        return time.process_time() - began

    seconds(1_000)
    small = max(seconds(100_000), 0.02)
    assert seconds(1_000_000) < 30 * small


@pytest.mark.parametrize("piece", PATHOLOGICAL)
def test_five_kilobytes_of_anything_do_not_hang(piece: str) -> None:
    """A quarter of a second in each; what is exponential or cubic takes hours."""
    began = time.process_time()
    find(piece * (5_000 // len(piece)))
    assert time.process_time() - began < 10


def test_all_classes_have_a_detector() -> None:
    from tunesmith.data.personal.detectors import DETECTORS

    assert frozenset().union(*(kinds for kinds, _ in DETECTORS)) == frozenset(KINDS)
