"""Text as old newswire corpora hold it: lower case, split at punctuation, digits masked with `#`.

A model that is to read such text must have seen some; a share of the training pairs is rewritten this way.
The English clitics are split as the Penn Treebank does ("japan 's", "do n't").
"""

import re

_CLITIC = re.compile(r"(?<=\w)('s|'re|'ve|'ll|'d|'m|n't)\b", re.IGNORECASE)
_PUNCTUATION = re.compile(r"(?<!\d)([,:])|([,:])(?!\d)|([;?!()\[\]\"“”…]|--|—|–)")
_CLOSING_STOP = re.compile(r"\.(?=[\"'”’)\s]*$)")
_QUOTES = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"'})


def newswire_style(sentence: str) -> str:
    """`Japan's exports rose 3.5%.` -> `japan 's exports rose #.# % .`"""
    text = sentence.translate(_QUOTES)
    text = _CLITIC.sub(r" \1", text)
    text = _PUNCTUATION.sub(lambda match: f" {match.group()} ", text)
    text = _CLOSING_STOP.sub(" .", text)
    text = re.sub(r"([%$£€])", r" \1 ", text)
    text = re.sub(r"\d", "#", text)
    return " ".join(text.lower().split())
