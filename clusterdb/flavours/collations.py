"""How MySQL compares texts: whatever their case and accents, and whatever spaces they end with.

As utf8mb4_unicode_ci does it, the collation of the server that proves the flavour: the first level of the Unicode
collation algorithm.  Letters beyond the Latin, Greek and Cyrillic alphabets are ordered by their code points.  Tables
keep the collation's name: plain SQLite refuses to compare their texts, instead of doing it in another order than the
indexes have.
"""

# ruff: noqa: RUF001 - the characters are meant

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import apsw

__all__ = ["BIN", "CI", "fold", "install", "key", "like", "key_bin"]

CI = "utf8mb4_unicode_ci"
BIN = "utf8mb4_bin"

_ORDER = (
    "\t\n\x0b\x0c\r\u2028\u2029 `´^¯‾¨¸_‗\xad-‐‒–—―⁓,;⁏:!¡?¿‽.·'‘’‚‛‹›\"“”„‟«»()[]{}⁅⁆§¶⁋©®@*⁎⁑/⁄\\&⁊#%‰‱"
    "⁒†‡•‣‧⁃⁌⁍′‵‸※‿⁔⁀⁐⁁⁂͵°҂϶+±÷×<=>¬|¦‖~¤¢$£¥₠₡₢₣₤₥₦₧₩₪₫€₭₮₯₰₱0123456789aæɐɑɒbʙƀɓƃcƈɕdđɖɗƌȡðeǝəɛɘɚɜɝɞʚɤfƒ"
    "gɡɢǥɠʛɣƣhʜƕħɦɧiıɪɨɩjʝɟʄkƙʞlʟłƚɫɬɭȴɮƛʎmɱnɴɲƞɳȵŋoɶøɔɵɷȣpƥɸqʠĸrʀɹɺɻɼɽɾɿʁsʂʃƪʅʆtŧƫƭʈȶʇuʉɥʮʯɯɰʊvʋʌwʍxyʏƴz"
    "ƶȥʐʑʒƹƺʓȝþƿƻƨƽƅʔʕʡʢʖǀǁǂǃʗʘʬʭαβγδεϝϛζηθͺϳκλμνξοπϟϙρστυφχψωϡϸϻϣϥϧϩϫϭϯаӑӓәӛӕбвгғҕдђѓҙеӗєжӝҗзӟѕӡиҋӥіїйјк"
    "қӄҡҟҝлӆљмӎнӊңӈҥњоӧөӫпҧҁрҏсҫтҭћќуўӱӳүұѹфхҳһѡѿѽѻцҵчӵҷӌҹҽҿџшщъыӹьҍѣэӭюяѥѧѫѩѭѯѱѳѵѷҩ"
)
"""Characters in the collation's order: white space, signs, digits, letters."""

_KEPT = frozenset("ѓїќўйѷӑӓӗӛӝӟӥӧӫӭӱӳӵӹ")
"""Letters that are letters of their own, though Unicode takes them apart."""


class _Places(dict[int, str]):
    """The place of each character in the order; what is not in it comes behind, by its code point."""

    def __missing__(self, code: int) -> str:
        made = chr(min(code + 0x2000, 0x10FFFF))
        self[code] = made
        return made


_PLACES = _Places({ord(char): chr(at) for at, char in enumerate(_ORDER, 1)})
_PLACES |= dict.fromkeys((*range(9), *range(14, 32), 127), "")


def _bare(text: str) -> str:
    """A text in lower case without accents."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in parts if unicodedata.category(char) != "Mn")


@lru_cache(maxsize=4096)
def key(text: str) -> str:
    """What compares as the text does."""
    if text.isascii():
        return (text.lower().rstrip(" ") + " ").translate(_PLACES)
    made = "".join(char if char.casefold() in _KEPT or ord(char) in _SIGNS else _bare(_bare(char)) for char in text)
    return (made.casefold().rstrip(" ") + " ").translate(_PLACES)


def key_bin(text: str) -> bytes:
    """What compares as the text does in a binary collation of MySQL's, which ignores spaces at the end too."""
    return (text.rstrip(" ") + " ").encode("utf-8", "surrogatepass")


_SIGNS = frozenset(ord(char) for char in _ORDER if not char.isalnum() and ord(char) > 127)


class _Folded(dict[int, str]):
    """Each character's representative among those that are equal to it."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        made = _bare(_bare(char)) if code not in _SIGNS and char.casefold() not in _KEPT else char.casefold()
        self[code] = made if len(made) == 1 else char
        return self[code]


_FOLDED = _Folded()


def fold(text: str) -> str:
    """A text of as many characters, each the representative of those that are equal to it."""
    return text.lower() if text.isascii() else text.translate(_FOLDED)


@lru_cache(maxsize=256)
def _pattern(pattern: str, escape: str) -> re.Pattern[str]:
    made, rest = "", iter(pattern)
    for char in rest:
        if char == escape:
            made += re.escape(next(rest, escape))
        else:
            made += {"%": ".*", "_": "."}.get(char) or re.escape(char)
    return re.compile(made, re.DOTALL)


def like(text: str, pattern: str, escape: str = "\\", *, exactly: bool = False) -> bool:
    """LIKE, character by character."""
    if exactly:
        return _pattern(pattern, escape).fullmatch(text) is not None
    return _pattern(fold(pattern), fold(escape)).fullmatch(fold(text)) is not None


def _compare_ci(first: str, second: str) -> int:
    if first == second:
        return 0
    a, b = key(first), key(second)
    return (a > b) - (a < b)


def _compare_bin(first: str, second: str) -> int:
    a, b = key_bin(first), key_bin(second)
    return (a > b) - (a < b)


def install(db: apsw.Connection) -> None:
    """Give a connection the collations."""
    db.create_collation(CI, _compare_ci)
    db.create_collation(BIN, _compare_bin)
