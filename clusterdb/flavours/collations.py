"""MySQL's collations utf8mb4_unicode_ci, which ignores case, accents and trailing spaces, and utf8mb4_bin.

utf8mb4_unicode_ci compares by the first level of the Unicode collation algorithm, as the server does in the tests.
Letters outside of the Latin, Greek and Cyrillic alphabets are ordered by code point.  Tables name the collation, so
plain SQLite refuses to compare their texts rather than use another order than the indexes have.
"""

# ruff: noqa: RUF001 - ambiguous characters are intended

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
"""Characters in the collation's order: white space, punctuation and symbols, digits, letters."""

_KEPT = frozenset("ѓїќўйѷӑӓӗӛӝӟӥӧӫӭӱӳӵӹ")
"""Letters that the collation distinguishes from their base letter, though Unicode decomposes them."""


class _Places(dict[int, str]):
    """The place of a character in the order; characters that are not in it follow by code point."""

    def __missing__(self, code: int) -> str:
        self[code] = chr(min(code + 0x2000, 0x10FFFF))
        return self[code]


_PLACES = _Places({ord(char): chr(at) for at, char in enumerate(_ORDER, 1)})
_PLACES |= dict.fromkeys((*range(9), *range(14, 32), 127), "")


def _bare(text: str) -> str:
    """A text in folded case without accents."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in parts if unicodedata.category(char) != "Mn")


@lru_cache(maxsize=4096)
def key(text: str) -> str:
    """A key that sorts as the text does in utf8mb4_unicode_ci."""
    if text.isascii():
        return (text.lower().rstrip(" ") + " ").translate(_PLACES)
    bare = "".join(char if char.casefold() in _KEPT or ord(char) in _SIGNS else _bare(_bare(char)) for char in text)
    return (bare.casefold().rstrip(" ") + " ").translate(_PLACES)


def key_bin(text: str) -> bytes:
    """A key that sorts as the text does in utf8mb4_bin, which also ignores trailing spaces."""
    return (text.rstrip(" ") + " ").encode("utf-8", "surrogatepass")


_SIGNS = frozenset(ord(char) for char in _ORDER if not char.isalnum() and ord(char) > 127)


class _Folded(dict[int, str]):
    """The representative of each character among those that the collation considers equal."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        bare = _bare(_bare(char)) if code not in _SIGNS and char.casefold() not in _KEPT else char.casefold()
        self[code] = bare if len(bare) == 1 else char
        return self[code]


_FOLDED = _Folded()


def fold(text: str) -> str:
    """The text with each character replaced by its representative; the length stays the same."""
    return text.lower() if text.isascii() else text.translate(_FOLDED)


@lru_cache(maxsize=256)
def _pattern(pattern: str, escape: str) -> re.Pattern[str]:
    expression, rest = "", iter(pattern)
    for char in rest:
        if char == escape:
            expression += re.escape(next(rest, escape))
        else:
            expression += {"%": ".*", "_": "."}.get(char) or re.escape(char)
    return re.compile(expression, re.DOTALL)


def like(text: str, pattern: str, escape: str = "\\", *, exactly: bool = False) -> bool:
    """Whether a text matches a pattern of LIKE; ``exactly``: case and accents count."""
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
    """Register the collations on a connection."""
    db.create_collation(CI, _compare_ci)
    db.create_collation(BIN, _compare_bin)
