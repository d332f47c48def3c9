"""The closed classes of Chinese words that the clause grammar turns on, and noun phrases cut at them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tunesmith.data.extract._text import Token


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MODALS = _words(
    "可 可以 能 能够 会 将 将会 要 应 应当 应该 须 必须 需 需要 得 可能 也许 不会 不能 不得 不应 不可 不宜 无法 未能"
)
DENIALS = _words(
    "不 未 没 没有 非 并非 并不 并未 从不 从未 不会 不能 不得 不应 不可 不宜 无法 未能 未曾 尚未 既未 也未 "
    "不再 绝不 不予"
)
UNSURE = _words("可能 也许 或许 大概 似乎 疑似 恐怕 或将 有望 很少 较少")
ADVERBS = _words(
    "主要 通常 一般 多 常 往往 大多 常常 经常 完全 直接 间接 明显 显著 均 都 共同 分别 已 已经 "
    "正在 曾 再 最终 进一步 进而 仍 仅 只"
)
CONDITIONS = _words("如果 若 假如 假若 倘若 要是 一旦 只要 万一 除非 若是")
BELIEFS = _words("认为 怀疑 预计 估计 预期 预测 推测 猜测 担心 以为 预料 考虑 疑 料")
REPORTS = _words("表示 显示 表明 指出 报告 报道 称 说 建议 要求 说明 证实 宣布 强调 提示 发现 证明")
LINKS = _words(
    "但 但是 并 并且 而 而且 且 因此 因而 所以 同时 然后 则 也 不过 然而 从而 进而 此外 另外 其中 以及 故 "
    "既 又 还 那么 于是 就 同比 环比 因为 由于 "
    "虽然 尽管 即使 最后 首先 其次 一方面 另一方面"
)
QUESTIONS = _words("？ ? 吗 什么 多少 怎么 怎样 怎么样 谁 哪 哪些 哪个 如何 为什么 为何 是否 几")
ASPECTS = _words("了 着 过")
SUFFIXES = _words("到 至 于 在 给 为 成 出 入 向 自")
LOCALISERS = _words("上 中 内 里 下 外 时 后 前 之后 之前 以后 以前 期间 之中 之上 之内 时候")
COVERBS = _words(
    "由 被 把 将 用 以 向 对 与 和 跟 同 在 从 因 通过 根据 按 按照 经 经过 受 为 给 比 随 依据 凭 朝 自 "
    "对于 针对 关于 随着 至于 作为 鉴于 除 除了 于"
)
JOINING = _words("并 并且 且 而且")
JOINTS = _words("、 和 与 及 以及 或 或者 跟 并 及其")
WAYS = _words("通过 与 向 对 同 跟")
"""Coverbs after which even a word that is else a noun is a verb."""
SAME = {"为": "是", "没有": "有", "无": "有", "没": "有", "并无": "有"}
"""Verbs that are written as another one; a denial is kept apart."""
STRONG = _words("是 为 有 无 没有 没 导致 引起 造成 引发 诱发 促使 使 令 包括 包含 属于 位于 具有 称为 产生 并无 即")
LIGHT = _words("接受 展开 进行 开展 出现 发生 给予 实施 完成 提供 采取 做 作 作出 予以 得到 获得 受到")
"""Verbs whose object is often another verb (`接受治疗`)."""
RELATED = _words("有关 相关 无关 相似 相同 不同")
DIRECTIVES = _words("应 应该 应当 需 需要 须 必须 建议 宜 要 请 可考虑")
EXAMPLES = _words("如 例如 比如 譬如 诸如")
COMPOSED = _words("组成 构成 制成 做成 负责 开始 决定")
CHAINS = _words(
    "忘记 开始 停止 继续 计划 打算 决定 同意 拒绝 尝试 试图 避免 用于 用来 "
    "有助于 准备 负责 允许 禁止 可用于 有利于 能用于"
)

_ONE = "种个家类项款台位名些次条件笔例批份只"
_DETERMINER = re.compile(
    rf"^(?:其他|其它|其余|[该此其]|[这那各某][{_ONE}]?|此次|本次|一[{_ONE}]|这些|那些|其他|任何|所有)(?=.)"
)
_TIME = re.compile(
    r"^(?:第[一二三四1-4]季度|\d{4}年(?:\d{1,2}月)?|[一二三四五六七八九十\d]{1,3}月份?|[上下]半年|今年|去年|明年|目前|近年来|近日|日前|当时|现在|今天|昨天)"
)
_OTHERS = re.compile(r"(?<=.)等\w{0,4}$")
"""`水肿等症状` names the oedema."""
_PRONOUNS = _words("我 你 您 他 她 它 我们 你们 您们 他们 她们 它们 其 谁 自己 这 那 此 本人 大家 者 之 这里 那里")


def without_time(text: str) -> str:
    """A phrase without the time word that it begins with, as long as something is left."""
    return _TIME.sub("", text) or text


def things(words: Sequence[Token]) -> tuple[str, ...]:
    """The names in a noun phrase: what is joined by 和, 或, 、 taken apart, articles and what describes them left out.

    A joint before the last 的 belongs to what owns the noun, and stays; what stands before that 的 owns every name
    (`患者的体温和血压` are two of the patient's); pronouns name nothing.
    """
    words = _after_clause(list(words))
    last = max((i for i, word in enumerate(words) if word.text == "的"), default=-1)
    parts: list[list[Token]] = [[]]
    for i, word in enumerate(words):
        if i > last and word.text in JOINTS:
            parts.append([])
        else:
            parts[-1].append(word)
    owner = parts[0][: last + 1] if last < len(parts[0]) - 1 else []
    named = [_named([*(owner if i and part else []), *part]) for i, part in enumerate(parts)]
    return tuple(name for name in named if name)


def _after_clause(words: list[Token]) -> list[Token]:
    """Words after the last 的 that ends a clause (a verb stands before it)."""
    for i in range(len(words) - 2, 0, -1):
        if words[i].text == "的" and is_clause(words[:i]):
            return words[i + 1 :]
    return words


def is_clause(words: Sequence[Token]) -> bool:
    """Whether words before 的 are a clause (`控制流量`, `由病毒引起`), not a name that ends like one (`细菌感染`)."""
    verbs = [i for i, word in enumerate(words) if word.pos == "VERB" and word.text not in MODALS]
    verbs = [i for i in verbs if i + 1 == len(words) or words[i + 1].text[0] not in "型性式期症化"]
    if not verbs:
        return False
    alone = verbs[-1] == len(words) - 1 and words[verbs[-1]].text not in STRONG
    return not alone or len(words) == 1 or any(word.text in COVERBS | MODALS or word.pos == "ADV" for word in words)


def _named(words: list[Token]) -> str:
    text = "".join(w.text + " " * (w.spaced and w.text.isascii()) for w in words).strip("的 ，。、")
    text = without_time(_DETERMINER.sub("", _DETERMINER.sub("", _OTHERS.sub("", text))))
    return "" if text in _PRONOUNS else text
