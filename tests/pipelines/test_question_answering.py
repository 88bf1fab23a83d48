from pathlib import Path

import pytest

import potstill
from potstill.errors import UsageError
from potstill.pipelines.input_limit import InputsCut
from potstill.pipelines.question_answering import Question
from potstill.pipelines.written_answers import _request
from potstill.types import SamplingParams

CONTEXT = "The cat sat on the mat, and the dog did not.\nWords are words: 1, 2 and 40 of them."
QUESTION = "Who sat on the mat?"


@pytest.fixture(scope="module", params=["decoder", "t5"])
def answering(request):
    model: Path = request.getfixturevalue(request.param)
    # Room for the demonstration that a decoder is shown, in tokens of a small vocabulary.
    with potstill.pipeline("question-answering", model=model, device="cpu", dtype="fp32") as made:
        yield made


def test_an_answer_is_a_span_of_the_context_with_its_place(answering) -> None:
    answer = answering(question=QUESTION, context=CONTEXT)
    assert list(answer) == ["score", "start", "end", "answer"]
    assert CONTEXT[answer["start"] : answer["end"]] == answer["answer"]
    assert 0 <= answer["score"] <= 1


def test_all_forms_of_a_question_give_the_same(answering) -> None:
    asked = {"question": QUESTION, "context": CONTEXT}
    answer = answering(**asked)
    assert answering(asked) == answer
    assert answering([asked, asked]) == [answer, answer]
    assert answering(question=[QUESTION, QUESTION], context=CONTEXT) == [answer, answer]
    assert answering(question=QUESTION, context=[CONTEXT]) == [answer]
    assert list(answering(one for one in [asked])) == [answer]


def test_several_answers_come_in_a_list_the_likeliest_first(answering) -> None:
    answers = answering(question=QUESTION, context=CONTEXT, top_k=3)
    assert isinstance(answers, list) and 1 <= len(answers) <= 3
    assert answers[0] == answering(question=QUESTION, context=CONTEXT)
    assert len({(one["start"], one["end"]) for one in answers}) == len(answers)


def test_an_answer_has_a_word_in_it(answering) -> None:
    writer = answering._held.model
    request = _request(writer, Question(QUESTION, CONTEXT), SamplingParams())
    constraint = writer.generator._grammars.constraint(request.grammar)
    for words, holds in ((" ", False), (" The cat", True)):
        ids = [*writer.tokenizer.encode(words if writer.encodes_prompt else f"{words}\n")]
        ids += writer.tokenizer.eos_ids[:1]
        assert (constraint.num_valid(ids) == len(ids)) is holds


def test_a_longer_context_is_cut_if_asked(answering) -> None:
    with pytest.warns(InputsCut):
        answer = answering(question=QUESTION, context=CONTEXT, max_input_tokens=5)
    assert CONTEXT[answer["start"] : answer["end"]] == answer["answer"] and 0 < answer["end"] < 30


@pytest.mark.parametrize(
    "asked",
    ["a text", {"question": "A?"}, {"question": "A?", "context": " "}, {"question": 1, "context": "b"}],
)
def test_what_is_no_question_with_a_context_is_refused(answering, asked) -> None:
    with pytest.raises(UsageError, match="question"):
        answering(asked)
