"""Which characters are parts of words: a phrase stands in a text only where none of them touches it."""

import unicodedata
from functools import lru_cache

# Han, kana, Thai, Lao, Myanmar, Khmer: writing without spaces, where every character may begin a word.
_UNSPACED = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x2E80, 0x9FFF), (0xF900, 0xFAFF))
_UNSPACED_PLANES = (0x20000, 0x3FFFF)


@lru_cache(4096)
def is_word_character(character: str) -> bool:
    """Letters, digits and the marks put on them, but not those of scripts that part no words."""
    code = ord(character)
    if any(first <= code <= last for first, last in (*_UNSPACED, _UNSPACED_PLANES)):
        return False
    return character.isalnum() or unicodedata.category(character).startswith("M")
