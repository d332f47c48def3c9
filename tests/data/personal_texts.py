"""Texts with personal data whose places are known, made without any code or list of the detector.

Names come from Faker's lists of six locales and from lists written here; check digits are worked out here; sentences
are written here. A third of the numbers is disguised: fullwidth digits, spaces, hyphens, zero-width characters.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest


@dataclass(frozen=True)
class Labelled:
    """A text and the (kind, start, end) of all personal data in it."""

    text: str
    truth: tuple[tuple[str, int, int], ...]
    language: str


ENGLISH = [
    "My name is {name} and you can reach me at {phone} or {email}.",
    "Dear {name}, your application was received. We will call {phone} tomorrow.",
    "Patient {name} was admitted on 2023-04-12 with chest pain (I21.9). Contact: {email}.",
    "Please transfer the amount to {iban}, account holder {name}.",
    "The card {card} was charged twice, says {name}.",
    "SSN: {ssn}. Applicant: {name}. Income: $54,000 a year.",
    "{name} logged in from {ip} at 10:32:07 and changed the password.",
    "Regards,\n{name}\nTel: {phone}\n{email}",
    "On Monday {name} told the nurse that the pain had started three days earlier.",
    "The loan officer, {name}, approved order 20240115123456 for 1,200 units.",
    "We interviewed {name} and {name} about the failed bearing in line 4.",
    "Send the invoice to {email}; for questions ask {name} on {phone}.",
    "Borrower: {name}\nCard number: {card}\nIBAN: {iban}",
    "Inspector: {name}. The torque was 45.5 Nm, the limit is 50 Nm.",
    "According to {name}, version 2.4.1 of the firmware fails after 3,000 hours.",
    "The gateway saw {ip} and {ip} within 5 minutes; the user is {email}.",
    "Yesterday {name} paid 1,250.00 USD with the card {card}.",
    "{name} works with Dr. {surname} at the clinic.",
    "Could you ask {name} whether 555 units are enough? Ref. 4815162342.",
    "Her social security number is {ssn}, she lives alone.",
    "Contact {name} <{email}>, mobile {phone}.",
    "The statement of {name} (passport no. {passport}) was recorded.",
]
CHINESE = [
    "我叫{name}，手机号是{phone}，邮箱{email}。",
    "患者{name}，男，45岁，身份证号{id}，主诉胸闷三天。",
    "请联系{name}（电话：{phone}）办理贷款手续。",
    "{name}昨天在系统里提交了申请，登录地址{ip}。",
    "申请人：{name}，证件号码：{id}，月收入8500元。",
    "银行卡号{card}，开户人{name}，金额12000元。",
    "经办人{name}已审核，订单号20240115123456789，请尽快处理。",
    "{name}医生建议复查血常规，随访电话{phone}。",
    "会议由{name}主持，{name}和{name}参加了讨论。",
    "昨天下午{name}去医院做了胃镜检查，结果正常。",
    "收件人：{name}\n电话：{phone}\n邮箱：{email}",
    "操作员{name}在3号线更换了轴承，扭矩45牛米。",
    "公民身份号码为{id}的客户于2023年5月1日开户。",
    "汇款请付至{card}，收款人{name}。",
    "{name}表示，该设备运行3000小时后出现故障代码P0301。",
    "据{name}介绍，新版本2.4.1已经上线。",
    "{name}先生您好，您的快递已到，单号SF1234567890123。",
    "联系人{name}，座机{landline}，分机号无。",
    "被保险人{name}（身份证{id}）申请理赔，卡号{card}。",
    "质检员{name}发现批号20231107的零件尺寸偏差0.05毫米。",
    "老师{name}认为这道题的答案是42。",
    "{name}今年56岁，有高血压和糖尿病史，长期服用阿司匹林。",
]
HARD_NEGATIVES = [
    "Order 4111222233334444 shipped on 2024-01-15; tracking number 9400110200881234567890.",
    "ICD-10 codes I21.9, E11.65 and Z79.4 were billed; total 1,234.56 USD.",
    "Version 10.2.15.3 of the driver fixes 12 bugs; see section 4.2.1.7 of the manual.",
    "The population grew from 1380013800 to 1390013900 in 20 years.",
    "ISBN 9780306406157, DOI 10.1000/182, PMID 12345678901.",
    "In 1999, 2000 and 2001 the firm sold 12345678, 23456789 and 34567890 parts.",
    "The ratio was 0.13800138000 and the error 3.14159265358979.",
    "Hodgkin Lymphoma and Parkinson Disease were compared by the Mann Whitney test in New York.",
    "Wells Fargo Bank and Chase Bank raised rates; Virginia Beach and Santa Clara followed.",
    "Set x = 4532015112830367 and print(x % 97).",
    "Timestamp 1700000000123, serial number SN-378282246310006, batch 20231107.",
    "订单号13912345678901，单号SF13800138000，流水号6222021234567890128。",
    "高血压患者应常测血压，糖尿病和高脂血症需要长期随访，何时复查由医生决定。",
    "2023年GDP为1260582亿元，增长5.2%，人口140967万人。",
    "该药为罗红霉素胶囊，国药准字H20033513，每日2次，每次150mg。",
    "马上安排，方可成功；白天温度25度，金属石材江水常满。",
    "版本10.2.15.3修复了12个问题，第4.2.1.7节有说明。",
    "黄芪、党参、白术、茯苓、陈皮各10克，水煎服，方中石膏清热。",
    "型号13800138000的轴承价格是45元，时间戳1700000000123。",
    "向前走，和从前一样，成都和重庆都是大城市，于是大家都来了。",
]
_NAMES_ZH = """
王建国 李秀英 张伟明 刘洋 陈思雨 杨晓东 赵国庆 黄丽华 周杰 吴雅婷 徐志强 孙晓梅 胡海波 朱文静 高志远 林小红
何俊杰 郭天宇 马晓燕 罗永辉 梁淑芬 宋佳怡 郑浩然 谢雨桐 韩冰 唐诗涵 冯建军 于海涛 董玉兰 萧敬 程子豪 曹丽
袁梦琪 邓超 许文强 傅莹 沈佳 曾志伟 彭雪琴 吕良 苏有朋 卢志刚 蒋欣然 蔡明德 贾玉梅 丁一帆 魏春花 薛之华
叶紫涵 阎锡明 余秋生 潘晓婷 杜鹃 戴玉强 夏雨荷 钟欣桐 汪涵之 田雨薇 任嘉伦 姜文杰 范文芳 方志敏 石磊 姚明轩
谭咏梅 廖凡生 邹晓玲 熊志勇 金秀贤 陆毅 郝建华 孔令辉 白雪峰 崔永平 康建民 毛晓彤 邱淑贞 秦海璐 江一燕 史玉柱
顾长卫 侯勇 邵兵 孟庆云 龙丹妮 万梓良 段奕宏 雷佳音 钱学明 汤唯佳 尹正男 黎耀祥 易建联 常宝华 武大海 乔振宇
贺军翔 赖雅妍 龚琳娜 文章华 欧阳娜 司马光明 诸葛云 上官婉儿 慕容雪 令狐文 夏侯明 皇甫静 尉迟刚 李明 王芳 张敏
刘伟 陈静 杨勇 赵磊 黄涛 周敏 吴刚 徐丽 孙强 胡军 朱红 郭峰 何平 高峰 林涛 马丽
罗兰 梁栋 宋杰 郑爽 谢霆 唐嫣 冯刚 于洋 董洁 许晴 沈腾 曾黎 彭博 苏芒 卢靖 蒋雯
蔡琴 贾玲 丁宁 魏晨 叶青 余男 潘虹 杜江 戴娇 钟丽 汪峰
"""


class Maker:
    """Draws values and fills them into sentences; the same seed makes the same texts."""

    def __init__(self, seed: int) -> None:
        faker: Any = pytest.importorskip("faker", reason="needs the test extra: pip install tunesmith[test]")
        self.draw = random.Random(seed)
        self._fakers = [faker.Faker(locale) for locale in ("en_US", "en_US", "en_GB", "en_IN", "de_DE", "es_ES")]
        self._chinese = faker.Faker("zh_CN")
        for each in (*self._fakers, self._chinese):
            each.seed_instance(seed)

    def texts(self, count: int) -> Iterator[Labelled]:
        """`count` texts: half English, half Chinese, every fourth a hard negative."""
        for i in range(count):
            if i % 4 == 3:
                text = self.draw.choice(HARD_NEGATIVES)
                yield Labelled(text, (), "zh" if re.search("[\u4e00-\u9fff]", text) else "en")
            else:
                chinese = i % 2 == 1
                count_of = self.draw.choice((1, 1, 2))
                sentences = self.draw.sample(CHINESE if chinese else ENGLISH, count_of)
                yield self._filled(sentences, "zh" if chinese else "en")

    def _filled(self, sentences: list[str], language: str) -> Labelled:
        text, truth = "", []
        for sentence in sentences:
            text += "\n" if text else ""
            for part in re.split(r"(\{\w+\})", sentence):
                slot = re.fullmatch(r"\{(\w+)\}", part)
                value = self.value(slot[1], language) if slot else part
                if slot:
                    truth.append((KIND[slot[1]], len(text), len(text) + len(value)))
                text += value
        return Labelled(text, tuple(truth), language)

    def value(self, slot: str, language: str) -> str:
        """One value; numbers with a check digit are disguised three times out of ten."""
        if slot == "name":
            return self._name_zh() if language == "zh" else self._name_en()
        if slot == "surname":
            return str(self.draw.choice(self._fakers[:3]).last_name())
        if slot in {"id", "card", "iban", "ssn"}:
            return self._disguised(_NUMBERS[slot](self.draw))
        return _NUMBERS[f"{slot}_{language}" if slot == "phone" else slot](self.draw)

    def _name_en(self) -> str:
        faker = self.draw.choice(self._fakers)
        name = f"{faker.first_name()} {faker.last_name()}"
        if self.draw.random() < 0.15:
            first, last = name.split(" ", 1)
            name = f"{first} {self.draw.choice('ABCDEFGHJKLMNPRST')}. {last}"
        return name

    def _name_zh(self) -> str:
        return self.draw.choice(_NAMES_ZH.split()) if self.draw.random() < 0.5 else str(self._chinese.name())

    def _disguised(self, value: str) -> str:
        kind = self.draw.choice(["plain"] * 7 + ["fullwidth", "spaces", "invisible"])
        if kind == "fullwidth":
            return "".join(chr(ord(c) + 0xFEE0) if c.isdigit() else c for c in value)
        if kind == "spaces" and value.isalnum():
            joint = self.draw.choice(" -")
            return joint.join(value[i : i + 4] for i in range(0, len(value), 4))
        if kind == "invisible":
            place = self.draw.randrange(1, len(value))
            return value[:place] + self.draw.choice("\u200b\u2060\ufeff\u00ad") + value[place:]
        return value


KIND = {
    "name": "name",
    "surname": "name",
    "phone": "phone",
    "landline": "phone",
    "email": "email",
    "id": "resident_id",
    "card": "bank_card",
    "iban": "iban",
    "ssn": "ssn",
    "ip": "ip",
    "passport": "passport",
}


def _digits(draw: random.Random, count: int) -> str:
    return "".join(draw.choices("0123456789", k=count))


def resident_id(draw: random.Random) -> str:
    """Region, birth date, sequence, check digit: weights 2^(17-i) mod 11, remainder looked up (GB 11643-1999)."""
    region = draw.choice(["110105", "310115", "440306", "510107", "330106", "420111", "610113", "230103", "654301"])
    born = date(1945, 1, 1) + timedelta(days=draw.randrange(24_000))
    body = f"{region}{born:%Y%m%d}{_digits(draw, 3)}"
    weighted = sum(int(c) * w for c, w in zip(body, [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2], strict=True))
    return body + "10X98765432"[weighted % 11]


def card(draw: random.Random) -> str:
    """Prefix and length of a network, and the digit that makes Luhn's sum a multiple of ten."""
    prefix, length = draw.choice(
        [("4", 16), ("51", 16), ("34", 15), ("622202", 19), ("621700", 19), ("6228", 16), ("6011", 16)]
    )
    body = prefix + _digits(draw, length - len(prefix) - 1)
    total = 0
    for i, c in enumerate(reversed(body)):
        doubled = int(c) * (2 if i % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return body + str(-total % 10)


def iban(draw: random.Random) -> str:
    """Country, check digits, account: letters as 10 ... 35, the whole modulo 97 is 1 (ISO 13616)."""
    country, length = draw.choice([("DE", 18), ("FR", 23), ("ES", 20), ("PL", 24), ("NL", -10), ("GB", -14)])
    account = (
        _digits(draw, length) if length > 0 else "".join(draw.choices("ABCDEFGHKLMNPRST", k=4)) + _digits(draw, -length)
    )
    number = int("".join(str(int(c, 36)) for c in account + country + "00"))
    whole = f"{country}{98 - number % 97:02}{account}"
    return " ".join(whole[i : i + 4] for i in range(0, len(whole), 4)) if draw.random() < 0.4 else whole


def ssn(draw: random.Random) -> str:
    area = draw.choice([a for a in range(1, 900) if a != 666])
    return f"{area:03}-{draw.randrange(1, 100):02}-{draw.randrange(1, 10_000):04}"


def phone_en(draw: random.Random) -> str:
    area, exchange = draw.choice(["212", "415", "312", "617", "206", "713"]), draw.randrange(600, 999)
    line = _digits(draw, 4)
    mobile = f"7{draw.choice('4578')}{_digits(draw, 8)}"
    return draw.choice(
        [
            f"({area}) {exchange}-{line}",
            f"{area}-{exchange}-{line}",
            f"{area}.{exchange}.{line}",
            f"+1 {area} {exchange} {line}",
            f"+44 {mobile[:4]} {mobile[4:]}",
            f"+49 30 {_digits(draw, 7)}",
            f"+33 6 12 34 {_digits(draw, 2)} {_digits(draw, 2)}",
            f"0{mobile[:4]} {mobile[4:]}",
            f"+86 138 {_digits(draw, 4)} {_digits(draw, 4)}",
        ]
    )


def phone_zh(draw: random.Random) -> str:
    number = draw.choice(["130", "135", "138", "139", "150", "158", "177", "186", "199"]) + _digits(draw, 8)
    spaced = [f"{number[:3]}{joint}{number[3:7]}{joint}{number[7:]}" for joint in " -"]
    wide = "".join(chr(ord(c) + 0xFEE0) for c in number)
    return draw.choice([number, number, number, *spaced, wide, f"+86 {number}", f"+86-{number}"])


def landline(draw: random.Random) -> str:
    area = draw.choice(["010", "021", "0755", "0571", "028"])
    number = draw.choice("2568") + _digits(draw, 7)
    return draw.choice([f"{area}-{number}", f"({area}){number}", f"（{area}）{number}"])


def email(draw: random.Random) -> str:
    host = draw.choice(
        ["gmail.com", "qq.com", "163.com", "stadtwerke-musterstadt.de", "mail.hospital.org", "uni.ac.uk"]
    )
    local = draw.choice(["li.na", "k_mueller", "jsmith82", "wang-fang", "a.b.c", "hr+jobs", "13812345678", "x9"])
    return f"{local}{draw.choice(['@', '@', '@', '＠'])}{host}"


def ip(draw: random.Random) -> str:
    if draw.random() < 0.2:
        return ":".join(f"{draw.randrange(4096, 65536):x}" for _ in range(8))
    return ".".join(str(draw.randrange(21, 120)) for _ in range(4))


def passport(draw: random.Random) -> str:
    return draw.choice("EGC") + _digits(draw, 8)


_NUMBERS: dict[str, Callable[[random.Random], str]] = {
    "id": resident_id,
    "card": card,
    "iban": iban,
    "ssn": ssn,
    "phone_en": phone_en,
    "phone_zh": phone_zh,
    "landline": landline,
    "email": email,
    "ip": ip,
    "passport": passport,
}
