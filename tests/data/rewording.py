"""Rewords questions by rules and tables written by hand, as people do who rephrase a question: 3 of 10 words.

Nothing here is shared with the detector: words are what spaces divide, or what a Chinese dictionary word list of this
file finds, and none is weighed, stemmed or hashed.
"""

from __future__ import annotations

import random
import re

ENGLISH = {
    "the": "this", "a": "one", "an": "some", "is": "was", "are": "were", "was": "had been", "has": "shows",
    "had": "showed", "have": "possess", "he": "the man", "she": "the woman", "his": "this person's",
    "her": "that person's", "they": "those", "and": "plus", "but": "yet", "because": "since", "of": "from",
    "in": "within", "on": "upon", "at": "by", "for": "over", "with": "having", "to": "towards", "how": "what",
    "many": "number of", "much": "amount", "each": "every", "every": "each", "all": "the whole",
    "more": "additional", "than": "compared to", "which": "what", "following": "below", "most": "very",
    "likely": "probable", "patient": "person", "physician": "doctor", "woman": "female", "man": "male",
    "boy": "lad", "girl": "young female", "brought": "taken", "comes": "presents", "presents": "comes",
    "history": "record", "examination": "inspection", "shows": "reveals", "reveals": "shows", "pain": "ache",
    "weeks": "wks", "week": "seven days", "days": "d", "day": "24 hours", "years": "yrs", "year": "twelve months",
    "month": "30 days", "hours": "h", "bought": "purchased", "buys": "purchases", "sold": "gave away for money",
    "sells": "vends", "money": "cash", "dollars": "bucks", "total": "sum", "left": "remaining", "gave": "handed",
    "gives": "hands", "made": "produced", "makes": "produces", "twice": "two times", "half": "50%",
    "first": "initial", "second": "next", "children": "kids", "friends": "pals", "house": "home", "big": "large",
    "small": "little", "if": "suppose", "then": "afterwards", "after": "following", "before": "prior to",
    "study": "trial", "patients": "persons", "method": "approach", "results": "findings", "showed": "found",
    "significant": "notable", "increase": "rise", "decrease": "fall", "between": "among", "compared": "set against",
    "group": "arm", "treatment": "therapy", "associated": "linked", "risk": "danger", "effect": "impact",
    "does": "will", "did": "could", "can": "may", "best": "top", "appropriate": "suitable",
    "management": "handling", "cause": "reason", "diagnosis": "finding", "next": "subsequent", "there": "here",
    "be": "become", "or": "and maybe", "by": "through", "from": "out of", "we": "the authors", "were": "are",
    "during": "in", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "some": "several",
    "also": "too", "as": "like",
}  # fmt: skip
CHINESE = {
    "患者": "病人", "病人": "患者", "一名": "有个", "一位": "某个", "女性": "女士", "男性": "男士", "女士": "女性",
    "男士": "男性", "出现": "发生", "症状": "表现", "治疗": "医治", "方法": "办法", "方案": "计划", "应该": "需要",
    "需要": "应当", "如何": "怎样", "什么": "哪种", "哪些": "什么", "请问": "想知道", "可能": "也许",
    "疾病": "病症", "检查": "检测", "进行": "开展", "诊断": "判定", "发现": "查出", "常见": "普遍",
    "是否": "是不是", "有何": "有什么", "不同": "差别", "区别": "差异", "以及": "和", "导致": "引起",
    "引起": "造成", "医生": "大夫", "预防": "防止", "措施": "手段", "年龄": "岁数", "经过": "经", "确诊": "诊明",
    "怀疑": "疑似", "伴有": "并有", "严重": "厉害", "或者": "或", "之后": "以后", "主要": "首要", "部位": "位置",
    "手术": "开刀", "药物": "药品", "并发症": "合并症", "病因": "起因", "临床": "病床", "表现": "症候",
    "影像学": "成像", "这种": "该", "这两种": "两类", "情况": "状况", "一般": "通常", "最近": "近来", "等": "之类",
    "的": "之", "和": "与", "与": "和", "有": "存在", "是": "为", "了": "过", "该": "这", "他": "这人",
    "她": "那人", "吗": "么", "在": "于", "被": "遭",
}  # fmt: skip
_BY_LENGTH = sorted(CHINESE, key=len, reverse=True)
_CHINESE_WORD = re.compile("|".join([*_BY_LENGTH, r"[A-Za-z0-9.%]+", "[\u3400-\u9fff]{2}", "."]), re.DOTALL)
_FILLERS = ("really", "actually", "here", "in fact", "now")


def reworded(text: str, draw: random.Random, *, share: float = 0.3) -> str:
    """`text` with `share` of its words replaced by others, left out, swapped with a neighbour, or something put in."""
    chinese = len(re.findall("[\u3400-\u9fff]", text)) > len(text) / 3
    words = _CHINESE_WORD.findall(text) if chinese else text.split(" ")
    table = CHINESE if chinese else ENGLISH
    changed = set(draw.sample(range(len(words)), round(share * len(words))))
    said: list[str] = []
    for i, word in enumerate(words):
        if i not in changed:
            said.append(word)
        elif word.lower() in table:
            said.append(table[word.lower()])
        else:
            _otherwise(word, said, draw, chinese=chinese)
    return ("" if chinese else " ").join(said)


def _otherwise(word: str, said: list[str], draw: random.Random, *, chinese: bool) -> None:
    """A word for which the table has no other: left out, before its neighbour, or behind something that was put in."""
    way = draw.choice(("out", "out", "swap", "in"))
    if way == "swap":
        said.insert(max(0, len(said) - 1), word)
    elif way == "in":
        said += ["其实" if chinese else draw.choice(_FILLERS)]
