"""Answers by an encoder's head for spans, beside every span looked at over transformers' logits."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import potstill
from models.encoder_reference import FAMILIES, saved_encoder
from potstill.errors import UsageError
from potstill.pipelines.held import Held
from potstill.pipelines.question_answering import Question
from potstill.pipelines.read_answers import ReadAnswers
from potstill.progress import Silent
from potstill.tokenization.tokenizer import TokenSpans, WholeText
from tokenization.small_tokenizers import LINES, write_tokenizer

QUESTION = "Who sat?"


@pytest.fixture(autouse=True)
def _two_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head for an answer's ends has two rows, as of two labels."""
    for name in ("bert", "roberta"):
        class_name, changes = FAMILIES[name]
        two = {"id2label": {0: "a", 1: "b"}, "label2id": {"a": 0, "b": 1}}
        monkeypatch.setitem(FAMILIES, f"{name} spans", (class_name, {**changes, **two}))


@pytest.mark.parametrize(("family", "kind"), [("bert", "wordpiece"), ("roberta", "byte bpe")])
def test_the_likeliest_span_is_the_best_of_all(family: str, kind: str, tmp_path: Path) -> None:
    model = saved_encoder(f"{family} spans", "ForQuestionAnswering", tmp_path)
    write_tokenizer(kind, tmp_path, vocab_size=90)
    context = LINES[0][:30]
    with potstill.pipeline("question-answering", model=tmp_path, device="cpu") as made:
        got = made(question=QUESTION, context=context, top_k=3, max_answer_len=4)
        tokenizer = made._held.model.reader.tokenizer
        (whole,), (spans,) = tokenizer.encode_whole([(QUESTION, context)]), tokenizer.encode_spans([context])
    types = whole.type_ids if family == "bert" else [0] * len(whole.ids)
    with torch.inference_mode():
        out = model(torch.tensor([whole.ids]), token_type_ids=torch.tensor([types]))
    places = [0, *range(len(whole.ids) - 1 - len(spans.ids), len(whole.ids) - 1)]
    starts, ends = (logits[0, places].double().softmax(-1) for logits in (out.start_logits, out.end_logits))
    chances = {
        (first, last): float(starts[first] * ends[last])
        for first in range(1, len(places))
        for last in range(first, min(first + 4, len(places)))
    }
    best = sorted(chances.values(), reverse=True)
    assert got[0]["score"] == pytest.approx(best[0], abs=1e-5)
    (first, last) = max(chances, key=lambda span: chances[span])
    assert context[spans.spans[first - 1][0] : spans.spans[last - 1][1]].strip() in got[0]["answer"]
    for one in got:
        assert context[one["start"] : one["end"]] == one["answer"]
        assert np.min(np.abs(np.array(best) - one["score"])) < 1e-5


def test_a_context_longer_than_the_model_reads_is_read_in_windows(tmp_path: Path) -> None:
    saved_encoder("bert spans", "ForQuestionAnswering", tmp_path)
    write_tokenizer("wordpiece", tmp_path, vocab_size=90)
    context = " ".join(LINES * 3)
    with potstill.pipeline("question-answering", model=tmp_path, device="cpu") as made:
        answer = made(question=QUESTION, context=context)
        assert context[answer["start"] : answer["end"]] == answer["answer"] and 0 < answer["score"] <= 1
        with pytest.raises(UsageError, match="no room for its context"):
            made(question="who " * 80, context=context)


def test_an_encoder_without_such_a_head_is_refused(classifier: Path) -> None:
    with pytest.raises(UsageError, match="no head that finds answers"):
        potstill.pipeline("question-answering", model=classifier, device="cpu")


@pytest.mark.parametrize("context", ["\x01", "\u200b\x02"])
def test_a_context_without_tokens_is_refused(context: str, tmp_path: Path) -> None:
    saved_encoder("bert spans", "ForQuestionAnswering", tmp_path)
    write_tokenizer("wordpiece", tmp_path, vocab_size=90)
    with (
        potstill.pipeline("question-answering", model=tmp_path, device="cpu") as made,
        pytest.raises(UsageError, match="no tokens"),
    ):
        made(question=QUESTION, context=context)


class Restless:
    """A token is four characters of a text that begins with an `a`, and one of any other."""

    def encode_whole(self, texts: list[tuple[str, str]]) -> list[WholeText]:
        return [WholeText([0] * 8, [0] * 8, 0) for _ in texts]

    def encode_spans(self, texts: list[str]) -> list[TokenSpans]:
        found = []
        for text in texts:
            size = 4 if text.startswith("a") else 1
            spans = [(start, min(start + size, len(text))) for start in range(0, len(text), size)]
            found.append(TokenSpans([0] * len(spans), spans))
        return found


def test_windows_fit_and_leave_nothing_out_where_a_piece_has_more_tokens_than_it_had_in_the_whole() -> None:
    context, read = "a" + "bcdefgh" * 30, set[int]()

    def logits(pairs: list[tuple[str, str]]) -> list[np.ndarray]:
        for _, text in pairs:
            (piece,) = Restless().encode_spans([text])
            assert len(piece.ids) <= 12 and text in context
        # No answer is by far the likeliest, so that the others' chances are too small for a number.
        whole = [9 + len(Restless().encode_spans([text])[0].ids) for _, text in pairs]
        return [np.array([[0.0, 0.0]] + [[-2000.0, -2000.0]] * (size - 1)) for size in whole]

    reader = SimpleNamespace(tokenizer=Restless(), max_tokens=20)
    found = ReadAnswers(Held(SimpleNamespace(reader=reader, logits=logits)))  # type: ignore[arg-type]
    for window in found._windows(Question("Who?", context)):
        assert context[window.start : window.start + len(window.text)] == window.text
        read |= set(range(window.start, window.start + len(window.text)))
    assert read == set(range(len(context)))
    with Silent().task("questions", 1, "questions") as task:
        (answers,) = found.answers([Question("Who?", context)], top_k=1, max_answer_len=10**30, task=task)
    assert [answer.score for answer in answers] == [0]
