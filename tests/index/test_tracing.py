"""Tracing beside a naive scan: spans are substrings, cut to whole words, the least likely ones kept."""

import math
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.stand_in import StandIn
from potstill.errors import ConfigError
from potstill.index.tracing import Trace, TraceSettings, trace

ALL = TraceSettings(min_tokens=1, density=100.0)
DOCUMENTS = [
    "The still of copper stands in the yard, and the old man says nothing about it to anyone.",
    "A quick brown fox. The still of copper stands alone; nothing else was said that winter.",
    "unrelated words entirely",
]
TEXT = "He said: the still of copper stands in the yard, as nothing else was said that winter, alas."


def naive_spans(text: str, documents: list[str]) -> list[str]:
    """Maximal substrings that occur, cut to whole words; those inside others left out."""
    held = [(a, b) for a in range(len(text)) for b in range(a + 1, len(text) + 1)]
    held = [(a, b) for a, b in held if any(text[a:b] in document for document in documents)]
    maximal = [(a, b) for a, b in held if not any(c <= a and b <= d and (a, b) != (c, d) for c, d in held)]
    words = [found.span() for found in re.finditer(r"\w+|\S", text)]
    cut = set()
    for start, stop in maximal:
        inside = [(a, b) for a, b in words if start <= a and b <= stop]
        if inside:
            cut.add((inside[0][0], inside[-1][1]))
    outer = [(a, b) for a, b in cut if not any(c <= a and b <= d and (a, b) != (c, d) for c, d in cut)]
    return [text[a:b] for a, b in sorted(outer)]


@settings(max_examples=150, deadline=None)
@given(st.text("ab, ", max_size=24), st.lists(st.text("ab, ", max_size=40), max_size=3))
def test_spans_are_the_maximal_pieces_cut_to_whole_words(text: str, documents: list[str]) -> None:
    traced = trace(StandIn.of(documents), text, ALL)
    assert [span.text for span in traced.spans] == naive_spans(text, documents)
    for span in traced.spans:
        assert span.count == sum(len(re.findall(f"(?={re.escape(span.text)})", held)) for held in documents)
        assert text.encode()[span.byte_start : span.byte_stop].decode() == span.text


def test_every_span_has_its_documents_with_the_bytes_they_stand_at() -> None:
    traced = trace(StandIn.of(DOCUMENTS), TEXT, TraceSettings(density=0.2, context_tokens=12))
    assert [span.text for span in traced.spans] == [
        "still of copper stands in the yard,",
        "nothing else was said that winter",
    ]
    for document in traced.documents:
        for hit in document.hits:
            place = hit.passage.source
            held = DOCUMENTS[document.number].encode()[place.byte_start : place.byte_stop]
            assert held.decode() == hit.passage.match == traced.spans[hit.span].text
    assert [[traced.documents[at].number for at in span.documents] for span in traced.spans] == [[0], [1]]
    assert traced.num_covered_bytes == sum(len(span.text) for span in traced.spans)


def test_density_keeps_the_least_likely_spans_in_the_order_of_the_text() -> None:
    generator = random.Random(2)
    words = [f"w{number}" for number in range(30)]
    documents = [" ".join(generator.choices(words, k=60)) for _ in range(4)]
    text = " ".join(generator.choices(words, k=60))
    index = StandIn.of(documents)
    every = trace(index, text, TraceSettings(min_tokens=3, density=100.0)).spans
    few = trace(index, text, TraceSettings(min_tokens=3, density=0.1)).spans
    assert len(few) == math.ceil(0.1 * 60) < len(every)
    rarest = sorted(every, key=lambda span: (span.logprob, span.start))[: len(few)]
    assert [span.start for span in few] == sorted(span.start for span in rarest)
    total = sum(map(len, documents))
    for span in few:
        likelihood = sum(
            math.log(sum(document.count(letter) for document in documents) / total) for letter in span.text
        )
        assert span.logprob == pytest.approx(likelihood)


def test_spans_that_are_short_or_frequent_are_left_out() -> None:
    index = StandIn.of(["one two three"] * 5 + ["four five six seven"])
    text = "one two three, four five six seven"
    assert [span.text for span in trace(index, text, TraceSettings(10, max_count=4, density=1)).spans] == [
        "four five six seven"
    ]
    assert not trace(index, text, TraceSettings(min_tokens=30)).spans


def test_a_span_fetches_each_document_once_and_no_more_than_asked_for() -> None:
    index = StandIn.of([f"number {number}: the very same words, the very same words" for number in range(30)])
    traced = trace(index, "the very same words", TraceSettings(limit_documents=10))
    assert [document.number for document in traced.documents] == list(range(10))
    assert all(len(document.hits) == 1 for document in traced.documents)
    assert traced.spans[0].count == 60
    assert not trace(index, "the very same words", TraceSettings(limit_documents=0)).documents


def test_the_document_with_more_of_the_text_around_the_span_comes_first() -> None:
    shared = "the copper still stands here"
    documents = [f"zzz {shared} yyy xxx", f"old distiller {shared} with wine", f"qqq {shared} ppp"]
    traced = trace(StandIn.of(documents), f"An old distiller said {shared} beside wine.", TraceSettings(5))
    assert traced.documents[0].number == 1
    scores = [document.score for document in traced.documents]
    assert scores == sorted(scores, reverse=True) and scores[0] > scores[1]


def test_spans_that_overlap_are_one_region() -> None:
    index = StandIn.of(["alpha beta gamma delta", "gamma delta epsilon zeta"])
    traced = trace(index, "alpha beta gamma delta epsilon zeta, other", TraceSettings(10, density=1))
    assert [span.text for span in traced.spans] == ["alpha beta gamma delta", "gamma delta epsilon zeta"]
    (region,) = traced.regions
    assert (region.byte_start, region.byte_stop, region.spans) == (0, 35, (0, 1))


@pytest.mark.parametrize("text", ["", " ", "\n", "αβγ"])
def test_a_text_of_which_nothing_occurs_has_no_spans(text: str) -> None:
    traced = trace(StandIn.of(["something"]), text)
    assert isinstance(traced, Trace) and not traced.spans and not traced.documents and not traced.regions


def test_an_empty_corpus_answers_too() -> None:
    assert not trace(StandIn.of([]), "any text at all, of some length").spans


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_tokens": 0},
        {"max_count": 0},
        {"density": 0.0},
        {"density": math.nan},
        {"limit_documents": -1},
        {"context_tokens": -1},
    ],
)
def test_a_setting_out_of_range_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        TraceSettings(**wrong)
