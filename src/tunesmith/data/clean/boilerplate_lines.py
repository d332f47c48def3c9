"""Takes out lines that every web page has: cookies, navigation, sharing, copyright."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LONGEST = 200
_LINE = re.compile(
    r"[\s|·•>»*-]*(?:"
    r"(?:we|this (?:web)?site|our (?:web)?site|by (?:using|continuing)[^.\n]{0,60})[^.\n]{0,80}\bcookies?\b[^\n]{0,120}"
    r"|(?:accept|reject|manage|allow) (?:all )?cookies?(?: settings)?"
    r"|(?:privacy|cookie) (?:policy|notice|settings|preferences)|terms (?:of (?:use|service)|and conditions)"
    r"|skip to (?:main )?(?:content|navigation)|(?:back|go|return) to (?:the )?top"
    r"|toggle navigation|main menu|breadcrumbs?"
    r"|(?:share|follow us|like us) on (?:facebook|twitter|x|linkedin|instagram|whatsapp)[^\n]{0,40}"
    r"|(?:sign|log) ?(?:in|up|out)(?: (?:or|/|\|) (?:register|sign up|log in))?"
    r"|register now|subscribe(?: now| to our newsletter)?"
    r"|(?:read|learn|show|load) (?:more|less)|click here(?: to [^.\n]{0,40})?"
    r"|print this page|advertisement|sponsored(?: content)?"
    r"|(?:copyright )?(?:©|\(c\)) ?(?:copyright )?[12][0-9]{3}[^\n]{0,100}|all rights reserved\.?"
    r"|please enable javascript[^\n]{0,80}|javascript (?:is|must be) [^\n]{0,80}"
    r"|(?:首页|主页|关于我们|联系我们|网站地图|加入收藏|设为首页|返回顶部|上一篇|下一篇|登录|注册|免费注册|忘记密码|阅读全文|查看更多|点击查看更多|分享到[^\n]{0,30})"
    r"|[^\n。]{0,40}(?:版权所有|保留所有权利)[^\n]{0,60}|[^\n]{0,10}ICP[备证][^\n]{0,40}|本(?:网)?站使用[^\n]{0,10}cookie[^\n]{0,80}"
    r")[\s|·•>»*.!。！-]*",
    re.IGNORECASE,
)
_MENU = re.compile(
    r"(?:首页|主页|关于我们|联系我们|登录|注册|Home|About(?: us)?|Contact(?: us)?|Login|Register|FAQ|News|Blog)",
    re.IGNORECASE,
)
_SEPARATORS = re.compile(r"\s*(?:[|>»·•/]|\s{2,}|\t)\s*")


@dataclass(frozen=True)
class BoilerplateLines:
    """Takes out lines of web pages that say nothing of their own: cookies, navigation, sharing, copyright.

    A line goes if the whole of it is such a phrase (English and Chinese), or a menu: at least three entries between
    separators, two of which are usual ones (`Home | About us | Contact`). Lines of more than 200 characters stay, and
    so does a text that has nothing but such lines. Lines that repeat over a source's documents: see the filter
    `boilerplate`.
    """

    def clean(self, text: str) -> str:
        """The text without such lines."""
        if "\n" not in text:
            return text
        lines = text.split("\n")
        kept = [line for line in lines if not is_boilerplate(line)]
        return "\n".join(kept) if len(kept) < len(lines) and any(map(str.strip, kept)) else text


def is_boilerplate(line: str) -> bool:
    """Whether the whole line is a phrase of a page's frame."""
    if len(line) > _LONGEST or not line.strip():
        return False
    if _LINE.fullmatch(line):
        return True
    entries = [entry for entry in _SEPARATORS.split(line.strip()) if entry]
    return len(entries) > 2 and sum(bool(_MENU.fullmatch(entry)) for entry in entries) > 1
