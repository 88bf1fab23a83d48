"""Answers that a model writes, held to the words of the context."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace

from potstill.pipelines.held import Held
from potstill.pipelines.question_answering import Answer, Question
from potstill.pipelines.writer import Writer
from potstill.progress import Task
from potstill.tokenization.tokenizer import Tokenizer
from potstill.types import Completion, Grammar, SamplingParams, TextRequest

# One demonstration makes a base model answer in a few words, and all questions share its cache.
_SHOWN = """Context: In spring Anna bought a red bicycle at a market in Lyon, for forty euros.
Question: Where did Anna buy her bicycle?
Answer: a market in Lyon

"""
_NUM_BEAMS = 4


class WrittenAnswers:
    """The likeliest that a search finds. A score is the chance that the model itself would write it."""

    def __init__(self, held: Held[Writer]) -> None:
        self._held = held

    @property
    def tokenizer(self) -> Tokenizer:
        return self._held.model.tokenizer

    def answers(
        self, asked: Sequence[Question], *, top_k: int, max_answer_len: int, task: Task
    ) -> list[list[Answer]]:
        writer = self._held.model
        num_beams = max(min(_NUM_BEAMS, writer.generator.engine.params.most_rows), top_k)
        sampling = SamplingParams(
            # One more token, for what ends the answer.
            max_tokens=max_answer_len + 1,
            temperature=0,
            num_beams=num_beams,
            n=num_beams,
            length_penalty=0,
        )
        requests = [_request(writer, one, sampling) for one in asked]
        found: list[list[Completion]] = [[] for _ in asked]
        for index, completion in writer.generator.complete(requests):
            found[index].append(completion)
            # A search hands over all that it found at once.
            if completion.sample == 0:
                task.advance()
        return [_best(one.context, written, top_k) for one, written in zip(asked, found, strict=True)]


def _request(writer: Writer, one: Question, sampling: SamplingParams) -> TextRequest:
    # Lines are what divides the parts of a prompt. No character moves, so places in the context stay.
    context, question = (text.replace("\n", " ").replace("\r", " ") for text in (one.context, one.question))
    # No words at all are words of any context, too.
    words = f"PART: %regex {json.dumps({'substring_words': context})}\nWORDS: PART & /.*\\S.*/"
    if writer.encodes_prompt:
        prompt = f"question: {question} context: {context}"
        return TextRequest(prompt, sampling, Grammar("lark", f"start: WORDS\n{words}"))
    prompt = f"{_SHOWN}Context: {context}\nQuestion: {question}\nAnswer:"
    # Without its line's end an answer could only go on in the context.
    grammar = Grammar("lark", f'start: " " WORDS "\\n"\n{words}')
    return TextRequest(prompt, replace(sampling, stop=("\n",)), grammar)


def _best(context: str, written: Sequence[Completion], top_k: int) -> list[Answer]:
    """Whole answers before those that length cut off, the likeliest first; equal words once."""
    plain = context.replace("\n", " ").replace("\r", " ")
    best: dict[tuple[int, int], Answer] = {}
    for completion in sorted(written, key=lambda one: (one.finish_reason == "length", -one.logprob)):
        words = completion.text.strip()
        start = plain.find(words)
        assert start >= 0, "the grammar lets nothing else be written"
        span = (start, start + len(words))
        best.setdefault(span, Answer(*span, min(1.0, math.exp(completion.logprob))))
    return list(best.values())[:top_k]
