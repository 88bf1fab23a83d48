"""How byte-level vocabularies cut a text into words, by the name that GGUF files give each way."""

from typing import Any, NamedTuple

from tokenizers import Regex, normalizers, pre_tokenizers

from potstill.errors import DamagedError

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_MARKS_AND_SPACE = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

_LLAMA_3 = rf"{_CONTRACTIONS}|{_WORDS}|\p{{N}}{{1,3}}|{_MARKS_AND_SPACE}"
_QWEN_2 = rf"{_CONTRACTIONS}|{_WORDS}|\p{{N}}|{_MARKS_AND_SPACE}"


class ByteLevelCuts(NamedTuple):
    """`takes_whole_words`: a word that is a token as it stands is not built from merges."""

    normalizer: Any
    pre_tokenizer: Any
    takes_whole_words: bool


def byte_level_cuts(name: str) -> ByteLevelCuts:
    """The way called `name` in `tokenizer.ggml.pre`; DamagedError for one that is not known here."""
    if name in ("llama-bpe", "llama3", "llama-v3"):
        return ByteLevelCuts(None, _by_pattern(_LLAMA_3), True)
    if name in ("qwen2", "qwen3"):
        return ByteLevelCuts(normalizers.NFC(), _by_pattern(_QWEN_2), False)
    # The last two are what files with the vocabulary of GPT-NeoX say, Pythia's among them.
    if name in ("gpt-2", "default", "mpt", "olmo"):
        return ByteLevelCuts(None, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True), False)
    if name == "smollm":
        digits = pre_tokenizers.Digits(individual_digits=True)
        words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        return ByteLevelCuts(None, pre_tokenizers.Sequence([digits, words]), False)
    raise DamagedError(
        f"This GGUF file cuts words in the way {name!r}, which this potstill does not know. "
        f"Use the model's safetensors, whose tokenizer.json says how."
    )


def _by_pattern(pattern: str) -> Any:
    words = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    return pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
