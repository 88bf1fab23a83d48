"""Merges from scores, against the plain search that SentencePiece and llama.cpp describe."""

from collections.abc import Mapping, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE

from potstill.tokenization.merges import merges_by_score


def joined_one_by_one(text: str, score_of: Mapping[str, float]) -> list[str]:
    """Join the neighbours whose joint text scores best, the leftmost on a tie, until none is a token."""
    parts = list(text)
    while True:
        pairs = [
            (score_of[left + right], -place)
            for place, (left, right) in enumerate(zip(parts, parts[1:], strict=False))
            if left + right in score_of
        ]
        if not pairs:
            return parts
        place = -max(pairs)[1]
        parts[place : place + 2] = [parts[place] + parts[place + 1]]


def cut_by_bpe(text: str, texts: Sequence[str], scores: Sequence[float]) -> list[str]:
    id_of = {piece: token_id for token_id, piece in enumerate(texts)}
    merges = merges_by_score(id_of, scores, [True] * len(texts))
    return Tokenizer(BPE(id_of, merges)).encode(text).tokens


@settings(max_examples=400, deadline=None)
@given(
    text=st.text("abcd", max_size=30),
    words=st.lists(st.text("abcd", min_size=2, max_size=5), unique=True, max_size=25),
    shuffle=st.randoms(use_true_random=False),
)
def test_bpe_from_scores_cuts_as_the_plain_search_does(text, words, shuffle):
    scores = [-float(rank) for rank in range(len(words))]
    shuffle.shuffle(scores)
    texts, all_scores = [*"abcd", *words], [0.0] * 4 + scores
    assert cut_by_bpe(text, texts, all_scores) == joined_one_by_one(
        text, dict(zip(texts, all_scores, strict=True))
    )


def test_control_tokens_are_neither_parts_nor_products():
    id_of = {"<": 0, "s": 1, ">": 2, "<s": 3, "<s>": 4, "<s><": 5}
    mergeable = [True, True, True, True, False, True]
    assert merges_by_score(id_of, [0.0] * 6, mergeable) == [("<", "s")]
