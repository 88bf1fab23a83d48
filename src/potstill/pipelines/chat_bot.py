"""A chat with a model: questions in, answers out, and what was said before goes into every prompt."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from potstill.engine.generator import EngineGenerator, Piece
from potstill.engine.request_feed import encode_prompts
from potstill.engine.stripped import stripped_pieces
from potstill.errors import MissingError, UsageError
from potstill.pipelines.chat_style import ChatStyle, PersonaStyle, TemplateStyle, Turn
from potstill.pipelines.persona import DEFAULT_PERSONA, Persona
from potstill.pipelines.transcript import Transcript
from potstill.sandbox.process import RequestTooLarge
from potstill.seeds import derive_seed
from potstill.tasks.chat import ChatTemplate
from potstill.types import Generator, SamplingParams, TextRequest

# Livelier than the likeliest words, which small models soon repeat, and seldom far from them.
CHAT_SAMPLING = SamplingParams(temperature=0.7, top_p=0.9, max_tokens=256)
# Whether a request leaves room for its answer.
Fits = Callable[[TextRequest], bool]


@runtime_checkable
class StreamingGenerator(Protocol):
    def stream(self, requests: TextRequest | Sequence[TextRequest]) -> Iterator[Piece]: ...


class ChatBot:
    """Keeps the turns of one chat and asks `generator` for the next answer.

    `fits` says whether a prompt leaves room for its answer: where it does not, the oldest turns are left out,
    whole ones, and what the style puts before the first turn always stays. Each answer is drawn with a seed
    of its own, so the same questions get the same answers. With a `transcript` the chat goes on where that
    ends, and every turn is kept in it.
    """

    def __init__(
        self,
        generator: Generator,
        style: ChatStyle,
        sampling: SamplingParams = CHAT_SAMPLING,
        *,
        fits: Fits = lambda request: True,
        transcript: Path | None = None,
    ) -> None:
        self.style, self.sampling = style, sampling
        self.turns: list[Turn] = []
        self.generator, self._fits = generator, fits
        self._transcript = Transcript(transcript, style.opening) if transcript else None
        if self._transcript:
            self.turns = self._transcript.turns()

    def ask(self, text: str) -> str:
        """The whole answer. UsageError for an empty question and for one too long to be answered."""
        return "".join(self.stream(text))

    def stream(self, text: str) -> Iterator[str]:
        """The answer as it is written, without white space at its ends.

        The turn counts once the answer is whole: one that is given up half-way was never asked.
        """
        question = self.style.question(text.strip())
        if not text.strip():
            raise UsageError("The question is empty.")
        return self._written(question, self._request(question))

    def reset(self) -> None:
        """Forget all turns, as if the chat began now."""
        self.turns = []
        if self._transcript:
            self._transcript.reset()

    def save(self, path: Path) -> None:
        """Write the turns, and what stands before them, to a file that `load` reads."""
        Transcript(path, self.style.opening).write(self.turns)

    def load(self, path: Path) -> None:
        """Go on from the turns of a saved chat. UsageError if it began otherwise than this one."""
        if not path.exists():
            raise MissingError(f"{path} does not exist. Check the spelling.")
        self.turns = Transcript(path, self.style.opening).turns()
        if self._transcript:
            self._transcript.reset()
            for turn in self.turns:
                self._transcript.add(turn)

    def _written(self, question: str, request: TextRequest) -> Iterator[str]:
        answer = ""
        for piece in stripped_pieces(self._pieces(request)):
            answer += piece
            yield piece
        turn = Turn(question, answer)
        if self._transcript:
            self._transcript.add(turn)
        self.turns.append(turn)

    def _pieces(self, request: TextRequest) -> Iterator[str]:
        if isinstance(self.generator, StreamingGenerator):
            yield from (piece.text for piece in self.generator.stream(request))
        else:
            yield from (completion.text for _, completion in self.generator.complete([request]))

    def _request(self, question: str) -> TextRequest:
        """With as many of the latest turns as there is room for."""
        seed = derive_seed(self.sampling.seed, "turn", len(self.turns))
        sampling = self.sampling.with_seed(seed)

        def without(num_turns: int) -> TextRequest | None:
            """None where there is no room for an answer."""
            try:
                request = self.style.request(self.turns[num_turns:], question, sampling)
            except RequestTooLarge:
                return None
            return request if self._fits(request) else None

        if (request := without(0)) is not None:
            return request
        choices = range(len(self.turns) + 1)
        num_left_out = bisect_left(choices, True, lo=1, key=lambda count: without(count) is not None)
        if num_left_out > len(self.turns) or (request := without(num_left_out)) is None:
            raise UsageError(
                "The question is too long: with what stands before the chat it leaves no room in the model's "
                f"context for an answer of {sampling.max_tokens:,} tokens. Shorten it, or lower max_tokens."
            )
        return request


def chat_with(
    generator: EngineGenerator,
    persona: Persona | None = None,
    sampling: SamplingParams = CHAT_SAMPLING,
    *,
    transcript: Path | None = None,
) -> ChatBot:
    """A chat by the model's own chat template; as a persona where one is given or there is no template."""
    engine, tokenizer = generator.engine, generator.tokenizer

    def fits(request: TextRequest) -> bool:
        (prompt_ids,) = encode_prompts(engine, tokenizer, [request])
        return engine.fits(len(prompt_ids), request.sampling)

    template = ChatTemplate.of(tokenizer)
    style: ChatStyle
    if persona is None and not template.is_plain:
        style = TemplateStyle(template, tokenizer)
    else:
        style = PersonaStyle(persona or DEFAULT_PERSONA, ends_with_space=engine.decoder.encodes_prompt)
    return ChatBot(generator, style, sampling, fits=fits, transcript=transcript)
