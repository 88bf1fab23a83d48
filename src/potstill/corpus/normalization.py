"""Text as old newswire corpora hold it: lower case, split at punctuation, digits masked with `#`.

A model that is to read such text must have seen some; a share of the training pairs is rewritten this way.
The splits, brackets and quotes are the Penn Treebank's (`japan 's`, `do n't`, `-lrb-`, double backquotes),
and percent is spelled out, as news agencies do. The style is for one English sentence.
"""

import re

_PLAIN_QUOTES = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"'})
_CLITIC = re.compile(r"(?<=\w)(n't|'s|'re|'ve|'ll|'d|'m)\b", re.IGNORECASE)
_OPENING_QUOTE = re.compile(r"(?:^|(?<=[\s(\[—–-]))\"")
_PUNCTUATION = re.compile(r"(?<!\d)[,:]|[,:](?!\d)|[;?!]|\.\.\.|--+")
_INITIALISM = re.compile(r"(?:^|[\s(])(?:[^\W\d_]\.)+$")
_FINAL_STOP = re.compile(r"(?<!\.)\.(?P<closing>(?:\s|''|-r[rs]b-|')*)$")
_SPELLED = {
    "(": " -lrb- ",
    ")": " -rrb- ",
    "[": " -lsb- ",
    "]": " -rsb- ",
    "—": " -- ",
    "…": " ... ",
    "%": " percent ",
    "$": " $ ",
    "£": " £ ",
    "€": " € ",
    '"': " '' ",
}


def newswire_style(sentence: str) -> str:
    """`Japan's exports rose 3.5%.` becomes `japan 's exports rose #.# percent .`"""
    text = sentence.translate(_PLAIN_QUOTES)
    text = _CLITIC.sub(r" \1", text)
    text = _OPENING_QUOTE.sub(" `` ", text)
    text = re.sub(r"(?<=\d)–(?=\d)", "-", text).replace("–", " -- ")
    text = "".join(_SPELLED.get(character, character) for character in text)
    text = _PUNCTUATION.sub(lambda match: f" {match.group()} ", text)
    text = _FINAL_STOP.sub(_split_stop, text)
    text = re.sub(r"\d", "#", text)
    return " ".join(text.lower().split())


def _split_stop(match: re.Match[str]) -> str:
    """The stop apart from its word; an initialism keeps its own (`u.s. .`)."""
    own = "." if _INITIALISM.search(match.string, 0, match.start() + 1) else ""
    return f"{own} . {match['closing']}"
