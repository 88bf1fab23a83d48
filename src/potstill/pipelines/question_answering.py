"""question-answering: the words of a context that answer a question."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from potstill.errors import UsageError
from potstill.pipelines.arguments import check_names, whole_number
from potstill.pipelines.input_limit import InputLimit, input_limit
from potstill.pipelines.job import no_stream, one_input
from potstill.progress import Task
from potstill.tokenization.tokenizer import Tokenizer

TASK = "question-answering"
_KNOWN = ("top_k", "max_answer_len", "max_input_tokens")


class Question(NamedTuple):
    question: str
    context: str


class Answer(NamedTuple):
    """The characters context[start:end], and how likely the model finds them, in [0, 1]."""

    start: int
    end: int
    score: float


class AnswerFinder(Protocol):
    @property
    def tokenizer(self) -> Tokenizer: ...

    def answers(
        self, asked: Sequence[Question], *, top_k: int, max_answer_len: int, task: Task
    ) -> list[list[Answer]]:
        """At most `top_k` for each question, the likeliest first; `max_answer_len` counts tokens."""
        ...


class QuestionJob:
    def __init__(self, finder: AnswerFinder) -> None:
        self._finder = finder

    def inputs(self, positional: Sequence[Any], named: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Also a question and its context by name, or a list of either."""
        if "question" not in named or "context" not in named:
            return one_input(TASK, ("inputs", "data"), positional, named)
        rest = dict(named)
        questions, contexts = rest.pop("question"), rest.pop("context")
        if positional:
            raise UsageError(f"{TASK} takes question= and context=, or one input that holds both.")
        if isinstance(questions, str) and isinstance(contexts, str):
            return {"question": questions, "context": contexts}, rest
        return _paired(questions, contexts), rest

    def call(self, arguments: Mapping[str, Any], named: Collection[str] = ()) -> "QuestionCall":
        check_names(TASK, arguments, _KNOWN)
        return QuestionCall(
            self._finder,
            None if "top_k" not in arguments else whole_number("top_k", arguments["top_k"]),
            whole_number("max_answer_len", arguments.get("max_answer_len", 15)),
            input_limit(arguments),
        )


@dataclass(frozen=True)
class QuestionCall:
    """`top_k` is None where the caller did not ask; of one answer it comes alone, of more in a list."""

    finder: AnswerFinder
    top_k: int | None
    max_answer_len: int
    limit: InputLimit

    def check(self, inputs: object) -> Question:
        texts = [inputs.get("question"), inputs.get("context")] if isinstance(inputs, dict) else []
        if not texts or len(inputs) != 2 or not all(isinstance(text, str) for text in texts):  # type: ignore[arg-type]
            raise UsageError(f'{TASK} takes {{"question": ..., "context": ...}}; {inputs!r:.80} was given.')
        question = Question(str(texts[0]), str(texts[1]))
        if not question.question.strip() or not question.context.strip():
            raise UsageError(f"{TASK} needs a question and a context; one of them is empty.")
        return question

    def answers(self, inputs: Sequence[Question], task: Task) -> list[Any]:
        contexts = self.limit.cut([one.context for one in inputs], self.finder.tokenizer)
        cut = [one._replace(context=context) for one, context in zip(inputs, contexts, strict=True)]
        found = self.finder.answers(cut, top_k=self.top_k or 1, max_answer_len=self.max_answer_len, task=task)
        return [self._told(one.context, answers) for one, answers in zip(cut, found, strict=True)]

    def alone(self, inputs: object, answer: Any) -> Any:
        return answer

    def together(self, answers: list[Any]) -> list[Any]:
        return answers

    def stream(self, inputs: Question) -> Iterator[str]:
        return no_stream(TASK)

    def _told(self, context: str, answers: Sequence[Answer]) -> Any:
        told = [
            {"score": one.score, "start": one.start, "end": one.end, "answer": context[one.start : one.end]}
            for one in answers
        ]
        return told[0] if self.top_k in (None, 1) else told


def _paired(questions: object, contexts: object) -> list[dict[str, Any]]:
    asked = [questions] * len(contexts) if _is_one(questions, contexts) else questions  # type: ignore[arg-type]
    read = [contexts] * len(questions) if _is_one(contexts, questions) else contexts  # type: ignore[arg-type]
    if not isinstance(asked, list | tuple) or not isinstance(read, list | tuple) or len(asked) != len(read):
        raise UsageError("question and context must be two texts, or lists of as many, or a text and a list.")
    return [{"question": one, "context": text} for one, text in zip(asked, read, strict=True)]


def _is_one(one: object, others: object) -> bool:
    return isinstance(one, str) and isinstance(others, list | tuple)
