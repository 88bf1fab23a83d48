"""Where a long document may be cut so that its parts get the tokens that the whole would get.

Bytes may be cut anywhere. For a tokenizer it has to be shown from its definition; where it cannot be, a
document is tokenized whole, and needs memory in proportion to its length.
"""

import json
import re
from functools import cached_property
from typing import Any

from potstill.corpus.reading import Cut
from potstill.corpus.vocabulary import TokenizerVocabulary, Vocabulary
from potstill.tokenization.pre_tokenizers import byte_level_cuts
from potstill.tokenization.tokenizer import Tokenizer

# A cut stands before a space between two letters of ASCII. The known ways to cut words put such a space at
# the beginning of a word and look no further back.
_BORDER = re.compile(rb"(?<=[A-Za-z]) (?=[A-Za-z])")
_ACROSS = re.compile("[A-Za-z][ \u2581\u0120][A-Za-z]|[A-Za-z][ \u2581\u0120]$")
_KNOWN_WORDS = ("gpt-2", "llama-bpe", "qwen2", "smollm")
_WINDOW_BYTES = 1 << 16


def cut_for(vocabulary: Vocabulary) -> Cut:
    """Where to cut bytes of a document, as the last place that will do; it gives None where none will."""
    if isinstance(vocabulary, TokenizerVocabulary):
        return _TokenizerCut(vocabulary.tokenizer)
    return len


class _TokenizerCut:
    """Looks at the tokenizer only when there is a long document."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def __call__(self, content: bytes) -> int | None:
        return last_border(content) if self._can_cut else None

    @cached_property
    def _can_cut(self) -> bool:
        return can_cut(self._tokenizer.definition())


def last_border(content: bytes) -> int | None:
    window = _WINDOW_BYTES
    while True:
        begin = max(len(content) - window, 0)
        places = [match.start() for match in _BORDER.finditer(content, begin)]
        if places:
            return places[-1]
        if begin == 0:
            return None
        window *= 8


def can_cut(definition: dict[str, Any]) -> bool:
    """Whether a tokenizer (as tokenizer.json defines it) gives parts cut at borders the tokens of the whole.

    It does where no token reaches over a border, no step before the merges looks over one, and merges are
    those of BPE, which then do not depend on what stands beyond.
    """
    model = definition["model"]
    if model["type"] != "BPE" or model.get("dropout") or (model.get("unk_token") and model.get("fuse_unk")):
        return False
    added = definition["added_tokens"]
    if any(token["lstrip"] or token["rstrip"] or token["single_word"] for token in added):
        return False
    pieces = [*model["vocab"], *(token["content"] for token in added)]
    words = _plain(definition["pre_tokenizer"])
    is_known = words is None or words["type"] == "Metaspace" or words in _known_words()
    return (
        is_known
        and all(_is_local(step) for step in _steps(definition["normalizer"]))
        and not any(_ACROSS.search(piece) for piece in pieces)
    )


def _known_words() -> list[dict[str, Any] | None]:
    states = (byte_level_cuts(name).pre_tokenizer.__getstate__() for name in _KNOWN_WORDS)
    return [_plain(json.loads(state)) for state in states]


def _plain(step: dict[str, Any] | None) -> dict[str, Any] | None:
    """A pre-tokenizer without the settings that do not decide where words end inside a document."""
    if step is None:
        return None
    parts = step.get("pretokenizers")
    kept = {key: value for key, value in step.items() if key not in ("trim_offsets", "add_prefix_space")}
    return kept if parts is None else {**kept, "pretokenizers": [_plain(part) for part in parts]}


def _steps(normalizer: dict[str, Any] | None) -> list[dict[str, Any]]:
    if normalizer is None:
        return []
    if normalizer["type"] == "Sequence":
        return [step for part in normalizer["normalizers"] for step in _steps(part)]
    return [normalizer]


def _is_local(step: dict[str, Any]) -> bool:
    """Whether a normalizer changes each side of a border as if the other were not there."""
    if step["type"] == "Replace":
        pattern = step["pattern"].get("String")
        return isinstance(pattern, str) and len(pattern) == 1
    return step["type"] in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Prepend")
