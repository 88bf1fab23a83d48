"""How a conversation becomes a prompt: by the rules of the published persona chat, or by a chat template."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from potstill.pipelines.persona import Persona
from potstill.tasks.chat import ChatTemplate, Message
from potstill.tokenization.tokenizer import Tokenizer
from potstill.types import SamplingParams, TextRequest


class Turn(NamedTuple):
    question: str
    answer: str


class ChatStyle(Protocol):
    @property
    def opening(self) -> str:
        """What stands before the first turn."""
        ...

    @property
    def names(self) -> tuple[str, str]:
        """The user's and the model's."""
        ...

    def question(self, text: str) -> str:
        """What a user's words become in the conversation."""
        ...

    def request(self, turns: Sequence[Turn], question: str, sampling: SamplingParams) -> TextRequest: ...


class PersonaStyle:
    """Lines of `name: text`, for models that go on from texts.

    A question that ends with none of . ? ! gets a full stop. The prompt is what was said so far, the
    question behind the user's name, and the persona's name with a colon. Questions and answers are one line
    each.

    `ends_with_space` puts a space behind that colon. An encoder-decoder's answer is a text of its own, and so
    it was published; a decoder's vocabulary holds words with the space before them, and behind a space that
    stands alone it has hardly ever seen a word.
    """

    def __init__(self, persona: Persona, *, ends_with_space: bool = True) -> None:
        self.persona = persona
        self._space = " " if ends_with_space else ""

    @property
    def opening(self) -> str:
        return self.persona.context

    @property
    def names(self) -> tuple[str, str]:
        return self.persona.user, self.persona.name

    def question(self, text: str) -> str:
        # A line of its own could begin with the persona's name.
        line = " ".join(text.splitlines())
        return line if line.endswith((".", "?", "!")) else f"{line}."

    def request(self, turns: Sequence[Turn], question: str, sampling: SamplingParams) -> TextRequest:
        said = [self.persona.context, *(f"{self._asked(turn.question)} {turn.answer}" for turn in turns)]
        prompt = "\n".join([*said, self._asked(question)]) + self._space
        return TextRequest(prompt, _ending_at(sampling, "\n"))

    def _asked(self, question: str) -> str:
        return f"{self.persona.user}: {question}\n{self.persona.name}:"


class TemplateStyle:
    """Messages in a chat template, for models that were taught to chat. `system` is said before all."""

    def __init__(self, template: ChatTemplate, tokenizer: Tokenizer, system: str | None = None) -> None:
        self._template, self._tokenizer = template, tokenizer
        self._first = [] if system is None else [Message("system", system)]

    @property
    def opening(self) -> str:
        return "".join(message.content for message in self._first)

    @property
    def names(self) -> tuple[str, str]:
        return "user", "assistant"

    def question(self, text: str) -> str:
        return text

    def request(self, turns: Sequence[Turn], question: str, sampling: SamplingParams) -> TextRequest:
        messages = [*self._first]
        for turn in turns:
            messages += [Message("user", turn.question), Message("assistant", turn.answer)]
        messages.append(Message("user", question))
        ids = self._template.encode(messages, self._tokenizer)
        return TextRequest("", _ending_at(sampling, *self._template.stop), prompt_ids=tuple(ids))


def _ending_at(sampling: SamplingParams, *stops: str) -> SamplingParams:
    return replace(sampling, stop=(*stops, *sampling.stop)) if stops else sampling
