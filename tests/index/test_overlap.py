"""Overlap beside a look at the documents' bytes, for bytes and for several ways to cut text into tokens."""

import random
import re
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from index.stand_in import StandIn
from potstill.corpus.vocabulary import ByteVocabulary, TokenizerVocabulary, Vocabulary
from potstill.errors import ConfigError
from potstill.index.overlap import OverlapSettings, measure
from potstill.tokenization.tokenizer import Tokenizer

WORDS = re.split(
    " ",
    "the a of under never slow brown copper still river letter winter harbour, window. (perhaps) it's 1987 "
    "37.5% north-east Über naïve çava 'quoted' end; done! x y zz antidisestablishmentarianism",
)
GAPS = [" ", " ", " ", " ", "  ", "\n", "\n\n", "\t", "\r\n", " \n "]
EDGES = [" ", "\n", "(", "”", "x", ", ", "9", "-", "", "\n\n", "é"]


def text_of(generator: random.Random, num_words: int) -> str:
    return "".join(generator.choice(WORDS) + generator.choice(GAPS) for _ in range(num_words))


def trained(backend: Backend, **settings: object) -> Vocabulary:
    trainer = trainers.BpeTrainer(show_progress=False, **settings)
    backend.train_from_iterator([text_of(random.Random(5), 2000)], trainer)
    return TokenizerVocabulary(Tokenizer(backend, bos_id=None, eos_ids=()))


def byte_level() -> Vocabulary:
    """GPT-2's way: a space belongs to the word behind it."""
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return trained(backend, vocab_size=500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())


def three_digits() -> Vocabulary:
    """Llama 3's way: numbers in threes, line breaks with the punctuation before them."""
    pattern = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    return trained(backend, vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())


def metaspace() -> Vocabulary:
    """SentencePiece's way: a space is a letter of the word behind it, and a text begins with one."""
    backend = Backend(models.BPE(byte_fallback=True, unk_token="<unk>"))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"[^\S ]+"), "isolated"),
            pre_tokenizers.Metaspace(prepend_scheme="never"),
        ]
    )
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    return trained(backend, vocab_size=700, special_tokens=pieces)


@cache
def vocabulary_named(name: str) -> Vocabulary:
    if name == "bytes":
        return ByteVocabulary()
    return {"byte-level": byte_level, "three-digits": three_digits, "metaspace": metaspace}[name]()


EVERY = ["bytes", "byte-level", "three-digits", "metaspace"]


def windows_in(text: str, documents: list[bytes], n: int) -> list[int]:
    """The truth: words at which n-grams begin whose bytes stand in a document."""
    words = [found.span() for found in re.finditer(rb"\S+", text.encode())]
    content = text.encode()
    return [
        at
        for at in range(len(words) - n + 1)
        if any(content[words[at][0] : words[at + n - 1][1]] in document for document in documents)
    ]


def plant(generator: random.Random, n: int) -> tuple[str, str, str]:
    """A text, a document that holds exactly one n-gram of it, and that n-gram."""
    words = [generator.choice(WORDS) for _ in range(n)]
    gaps = [generator.choice(GAPS) for _ in range(n - 1)]
    planted = "".join(word + gap for word, gap in zip(words, [*gaps, ""], strict=True))
    text = text_of(generator, generator.randrange(20)) + planted
    text += generator.choice(GAPS) + text_of(generator, generator.randrange(20))
    document = text_of(generator, 20) + generator.choice(EDGES) + planted
    return text, document + generator.choice(EDGES) + text_of(generator, 20), planted


@pytest.mark.parametrize("name", EVERY)
def test_a_planted_13_gram_is_found_at_every_kind_of_border(name: str) -> None:
    generator, vocabulary = random.Random(11), vocabulary_named(name)
    missed = []
    for _ in range(200):
        text, document, planted = plant(generator, 13)
        (found,) = measure(StandIn.of([document], vocabulary), [text])
        assert found.windows.tolist() == windows_in(text, [document.encode()], 13)
        starts = found.aligned.words.starts[found.windows]
        held = [found.aligned.content[start:].startswith(planted.encode()) for start in starts]
        missed += [] if any(held) and found.num_shared else [planted]
    assert not missed


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(3, 6))
def test_the_ngrams_found_are_those_whose_bytes_stand_in_a_document(name: str, seed: int, n: int) -> None:
    generator, few = random.Random(seed), ["the", "a", "of,", "(x", "zz", "19875"]
    texts = ["".join(generator.choice(few) + generator.choice(GAPS) for _ in range(40)) for _ in range(3)]
    index = StandIn.of(texts[1:], vocabulary_named(name))
    (found,) = measure(index, [texts[0]], OverlapSettings(ngram=n))
    assert found.num_ngrams == 40 - n + 1
    assert found.windows.tolist() == windows_in(texts[0], [text.encode() for text in texts[1:]], n)


@settings(max_examples=100, deadline=None)
@given(st.text("ab \n", max_size=40), st.lists(st.text("ab \n", max_size=60), max_size=3))
def test_every_figure_with_bytes_is_what_a_scan_gives(text: str, documents: list[str]) -> None:
    (found,) = measure(StandIn.of(documents), [text], OverlapSettings(ngram=4, min_words=3))
    content = text.encode()
    pieces = [(a, b) for a in range(len(text)) for b in range(a + 1, len(text) + 1)]
    longest = max((b - a for a, b in pieces if any(text[a:b] in held for held in documents)), default=0)
    words = [each.span() for each in re.finditer(rb"\S+", content)]
    n = 4 if len(words) >= 4 else len(words)
    windows = windows_in(text, [held.encode() for held in documents], n) if n >= 3 else []
    covered = {byte for at in windows for byte in range(words[at][0], words[at + n - 1][1])}
    assert (found.longest.num_tokens, found.windows.tolist(), found.num_shared) == (
        longest,
        windows,
        len(covered),
    )
    assert all(first.stop < second.start for first, second in pairwise(found.shared))


def test_with_a_tokenizer_13_tokens_are_enough_even_where_no_word_ends() -> None:
    vocabulary = vocabulary_named("byte-level")
    text = "x".join(str(number) for number in range(40))
    (found,) = measure(StandIn.of([f"before {text} after"], vocabulary), [text])
    assert found.num_words == 1 and found.num_ngrams == 0
    assert found.share > 0.9


def test_characters_of_a_script_without_spaces_are_words() -> None:
    text = "銅製の蒸留器は弱い酒を強い酒に変える小さな装置である"
    for name in ("bytes", "byte-level"):
        (found,) = measure(StandIn.of([f"前置き。{text}。後書き"], vocabulary_named(name)), [text])
        assert found.num_words == len(text) and found.share > 0.5


def test_a_short_text_is_one_ngram_and_a_shorter_one_is_not_judged() -> None:
    index = StandIn.of(["one two three four five six seven eight nine ten"])
    texts = ["two three four five six seven eight nine", "two three four five six seven eight", "", " \n"]
    found = measure(index, texts)
    assert [each.num_ngrams for each in found] == [1, 0, 0, 0]
    assert [each.share for each in found] == [1, 0, 0, 0]


def test_texts_measured_together_are_measured_as_if_alone() -> None:
    generator = random.Random(3)
    texts = [text_of(generator, 30) for _ in range(6)]
    index = StandIn.of(texts[:2] + ["".join(texts[2:4])])
    together, alone = measure(index, texts), [measure(index, [text])[0] for text in texts]
    for one, other in zip(together, alone, strict=True):
        assert (one.longest, one.shared, one.windows.tolist()) == (
            other.longest,
            other.shared,
            other.windows.tolist(),
        )


@pytest.mark.parametrize("wrong", [{"ngram": 2}, {"min_words": 0}])
def test_a_setting_out_of_range_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="at least 3"):
        OverlapSettings(**wrong)


def test_words_that_many_texts_have_in_common_are_looked_for_once() -> None:
    """Else texts with the same instructions take the product of their number and that of the documents."""
    vocabulary = vocabulary_named("byte-level")
    common = " ".join(WORDS[:11])
    documents = [f"{'ab'[number % 2]}{number} {common} end{number}" for number in range(60)]
    texts = [f"other{number} {common} {'rest' * number}" for number in range(40)] + [f"2 {common} end"]
    asked = 0

    class Counting(StandIn):
        def tokens_beside(self, *arguments: int) -> tuple[np.ndarray, np.ndarray]:
            nonlocal asked
            asked += 1
            return super().tokens_beside(*arguments)

    found = measure(Counting.of(documents, vocabulary), texts)
    assert [len(each.windows) for each in found] == [0] * 40 + [1]
    # The first and the last words lie in other tokens here than there, so there are two ways to look.
    assert 0 < asked <= 2 * len(documents)
