"""A smaller model of the same vocabulary guesses: it keeps a cache of its own and drafts all texts together.

Leviathan et al. 2023, arXiv:2211.17192. Its tokens are drawn with the numbers that the target draws with, by
the request's own settings, so that the two agree wherever their distributions do. Of the target's constraints
it knows nothing.

A drafter may draft for the draft model in turn (staged speculation: Spector and Re 2023, arXiv:2308.04623):
the draft model checks its guesses as a target does, so what it drafts is the same and takes fewer steps. How
far those guesses go is learnt for each text, as for the target's drafts.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch

from potstill.engine.draft_length import DraftLength
from potstill.engine.drafts.draft import Draft, Drafter, DraftRequest
from potstill.engine.drafts.drafting import Drafting
from potstill.engine.drafts.text_places import TextPlaces
from potstill.engine.out_of_memory import is_out_of_memory
from potstill.engine.params import EngineParams
from potstill.engine.sampling import draw_rows
from potstill.errors import DamagedError, UsageError
from potstill.lm.context import Context
from potstill.lm.protocol import BatchedDecoder, StepRow


class DecoderDraft:
    """Drafts with `decoder`, which it has to itself. `probs` are its own at temperature 1, before any filter.

    params      its `max_step_tokens` bounds the positions of a step
    inner       drafts for the decoder
    eos_ids     a draft ends with any of them
    vocab_size  the target's, where that differs: an embedding may have rows to spare

    It proposes nothing for a text that it cannot read, or finds no room for in its cache, or in memory.
    """

    def __init__(
        self,
        decoder: BatchedDecoder,
        params: EngineParams,
        inner: Drafter | None = None,
        *,
        eos_ids: Sequence[int] = (),
        vocab_size: int | None = None,
    ) -> None:
        self.vocab_size = decoder.vocab_size if vocab_size is None else vocab_size
        if inner is not None and inner.vocab_size != self.vocab_size:
            raise UsageError(
                f"The drafter of the draft model has {inner.vocab_size:,} tokens and the model it drafts for "
                f"{self.vocab_size:,}. Take one of the same vocabulary."
            )
        self._decoder, self._params, self._inner = decoder, params, inner
        self._eos_ids = frozenset(eos_ids)
        self._lengths: dict[int, DraftLength] = {}  # of the guesses of `inner`, by text
        self.places = TextPlaces(decoder)

    def propose(self, requests: Sequence[DraftRequest]) -> list[Draft]:
        self.places.begin_call()
        try:
            draftings = [self._begin(request) for request in requests]
            self._write([drafting for drafting in draftings if drafting is not None])
        except BaseException as error:
            # Blocks that others may find are perhaps not filled.
            self.places.clear()
            if is_out_of_memory(error):
                return [Draft()] * len(requests)
            if isinstance(error, DamagedError):
                raise DamagedError(f"The draft model: {error}") from None
            raise
        return [Draft() if drafting is None else drafting.draft for drafting in draftings]

    def observe(self, text_id: int, draft: Draft, drawn_ids: Sequence[int]) -> None:
        """Nothing is learnt; `inner` is told of its own drafts, by what the draft model draws."""

    def forget(self, text_id: int) -> None:
        self.places.forget(text_id)
        self._lengths.pop(text_id, None)
        if self._inner is not None:
            self._inner.forget(text_id)

    def _begin(self, request: DraftRequest) -> Drafting | None:
        if not self._can_read(request.context):
            return None
        sequence = self.places.place(request)
        return None if sequence is None else Drafting(request, sequence, self._eos_ids)

    def _can_read(self, context: Context) -> bool:
        decoder, num_prompt = self._decoder, len(context.prompt_ids)
        num_positions = decoder.num_prepended + context.num_tokens
        if decoder.encodes_prompt:
            most = num_prompt if decoder.max_prompt_tokens is None else decoder.max_prompt_tokens
            if not 1 <= num_prompt <= most:
                return False
            num_positions -= num_prompt
        # Of a target with more rows than this model some tokens are unknown here.
        is_known = (
            decoder.vocab_size >= self.vocab_size or max(context.token_ids, default=0) < self._num_known
        )
        return 1 <= num_positions <= decoder.max_positions and is_known

    @property
    def _num_known(self) -> int:
        """Tokens that both this model and the target have."""
        return min(self.vocab_size, self._decoder.vocab_size)

    def _write(self, live: list[Drafting]) -> None:
        while live:
            if self._inner is not None:
                self._guess(live, self._inner)
            for step in self._steps(live):
                self._run(step)
            live = [drafting for drafting in live if drafting.is_open and self._has_room(drafting)]

    def _has_room(self, drafting: Drafting) -> bool:
        sequence = drafting.sequence
        return sequence.num_positions <= self._decoder.max_positions and self.places.cover(sequence)

    def _guess(self, live: Sequence[Drafting], inner: Drafter) -> None:
        """Let `inner` draft what the decoder draws next."""
        asking = [drafting for drafting in live if self._most_guesses(drafting) > 0]
        requests = [
            drafting.request._replace(
                context=Context(drafting.sequence.prompt_ids, tuple(drafting.sequence.output_ids)),
                most_tokens=self._most_guesses(drafting),
                least_prob=self._length_of(drafting).threshold,
            )
            for drafting in asking
        ]
        for drafting, draft in zip(asking, inner.propose(requests) if requests else [], strict=True):
            drafting.sequence.draft = self._known_part(draft)
            if not self.places.cover(drafting.sequence):
                drafting.sequence.draft = Draft()

    def _most_guesses(self, drafting: Drafting) -> int:
        room = self._decoder.max_positions - drafting.sequence.num_positions
        return min(drafting.most_guesses, room)

    def _length_of(self, drafting: Drafting) -> DraftLength:
        return self._lengths.setdefault(drafting.request.text_id, DraftLength())

    def _known_part(self, draft: Draft) -> Draft:
        unknown = (place for place, one in enumerate(draft.token_ids) if one >= self._num_known)
        return draft.cut(next(unknown, len(draft.token_ids)))

    def _steps(self, live: Sequence[Drafting]) -> Iterator[list["Part"]]:
        """Of `max_step_tokens` positions each; who writes a shared block comes first."""
        most = self._params.max_step_tokens
        step: list[Part] = []
        room = most
        for drafting in live:
            if step and drafting.cost > room:
                yield step
                step, room = [], most
            while (num_behind := drafting.num_new - drafting.num_drawn) > 0 and drafting.num_new > most:
                yield [Part(drafting, min(most, num_behind), 0)]
            step.append(Part(drafting, drafting.num_new, drafting.num_drawn))
            room -= drafting.cost
        yield step

    def _run(self, step: Sequence["Part"]) -> None:
        drawing = [part.drafting for part in step if part.num_logits]
        with torch.inference_mode():
            logits = self._decoder.step([part.row() for part in step])[:, : self._num_known]
            rows = [row for drafting in drawing for row in drafting.rows()]
            drawn = draw_rows(rows, logits) if rows else None
        for part in step:
            part.drafting.sequence.num_cached += part.num_new
            part.drafting.sequence.has_to_encode = False
        if drawn is not None:
            self._take(drawing, drawn.token_ids.tolist(), drawn.logprobs.exp().tolist())

    def _take(self, drawing: Sequence[Drafting], drawn_ids: list[int], probs: list[float]) -> None:
        start = 0
        for drafting in drawing:
            guesses, end = drafting.sequence.draft, start + drafting.num_drawn
            drafting.take(drawn_ids[start:end], probs[start:end])
            if self._inner is not None and guesses.token_ids:
                num_right = guesses.num_kept(drawn_ids[start:end])
                self._length_of(drafting).learn(guesses.probs, num_right)
                self._inner.observe(drafting.request.text_id, guesses, drawn_ids[start:end])
            start = end


class Part(NamedTuple):
    """A text's part of a step."""

    drafting: Drafting
    num_new: int
    num_logits: int

    def row(self) -> StepRow:
        sequence = self.drafting.sequence
        return StepRow(
            sequence.drafted_context,
            sequence.num_cached,
            self.num_new,
            sequence.block_table,
            self.num_logits,
            sequence.encoder_table,
            sequence.has_to_encode,
        )
