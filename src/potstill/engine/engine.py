"""Continuous batching: each step draws one token for every text being written and runs pieces of prompts."""

from collections import deque
from collections.abc import Callable
from collections.abc import Sequence as Many
from itertools import count, zip_longest
from time import perf_counter

import numpy as np
import torch

from potstill.constraints.protocol import Constraint
from potstill.engine.admission import why_no_step, why_refused
from potstill.engine.beam import BeamParams, BeamSearch
from potstill.engine.block_manager import BlockManager
from potstill.engine.call_size import CallSize
from potstill.engine.drafts.draft import Drafter
from potstill.engine.group import Group
from potstill.engine.out_of_memory import is_out_of_memory
from potstill.engine.params import EngineParams
from potstill.engine.runner import CallRunner, DrawnToken
from potstill.engine.scheduler import Scheduler, Share
from potstill.engine.search import Search, Strategy
from potstill.engine.sequence import NeverStop, Sequence, StopRule
from potstill.engine.speculation import Speculation
from potstill.engine.stats import EngineStats
from potstill.errors import MemoryFull, UsageError
from potstill.lm.protocol import BatchedDecoder
from potstill.types import SamplingParams


class Engine:
    """Writes texts with any `BatchedDecoder`, which it has to itself. Tokens in, tokens out.

    `eos_ids` end a text wherever they are drawn. A `drafter`, which the engine has to itself too, makes it
    faster and changes no text; UsageError where its vocabulary is another.
    """

    def __init__(
        self,
        decoder: BatchedDecoder,
        params: EngineParams,
        eos_ids: Many[int] = (),
        drafter: Drafter | None = None,
        *,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self.decoder, self.params = decoder, params
        self.stats = EngineStats(
            max_batch=params.max_batch, num_blocks=decoder.num_blocks, kv_bytes=decoder.cache_bytes
        )
        self.eos_ids = frozenset(eos_ids)
        self._blocks = BlockManager(decoder.num_blocks, decoder.block_size)
        self._scheduler = Scheduler(params, self._blocks)
        self._runner = CallRunner(decoder, self._blocks, self.stats)
        self._speculation = Speculation(drafter, decoder.vocab_size, self.eos_ids, clock)
        self._clock = clock
        self._call_size = CallSize()
        self._new_id = count()

    @property
    def has_work(self) -> bool:
        return self._scheduler.num_waiting + self._scheduler.num_running > 0

    @property
    def num_waiting(self) -> int:
        return self._scheduler.num_waiting

    @property
    def num_running(self) -> int:
        return self._scheduler.num_running

    def add(
        self,
        prompt_ids: Many[int],
        params: SamplingParams,
        stop: StopRule | None = None,
        *,
        priority: int = 0,
        constraint: Constraint | None = None,
        strategy: Strategy | None = None,
    ) -> Sequence:
        """Queue a prompt; the higher priority goes first. UsageError where it could never run to its end.

        `params.n` texts are what a beam search hands over, the best as the sequence itself, the next as its
        `others`. Texts that are drawn are added one by one, each with a seed of its own and `n` 1.
        A `constraint` stands at no token and is the text's own. A `strategy` at its start, with its own stop
        rule, searches instead of the beam search that `params` ask for, with at most `num_beams` live texts.
        """
        self.check_fits(len(prompt_ids), params)
        _check_added(params, priority)
        _check_constraint(constraint, self.decoder.vocab_size)
        _check_ids(prompt_ids, self.decoder.vocab_size)
        if strategy and (reason := why_no_step(self.params, params.num_beams, strategy.most_guessed)):
            raise UsageError(reason)
        if params.num_beams > 1 and strategy is None:
            strategy = BeamSearch(BeamParams.of(params, self.eos_ids), stop or NeverStop())
        sequence = Sequence(
            sequence_id=next(self._new_id),
            prompt_ids=tuple(prompt_ids),
            sampling=params,
            num_prepended=self.decoder.num_prepended,
            encodes_prompt=self.decoder.encodes_prompt,
            stop=NeverStop() if strategy or stop is None else stop,
            constraint=constraint,
        )
        self._scheduler.add(_group_of(sequence, strategy, priority))
        return sequence

    def cancel(self, sequence: Sequence) -> None:
        """Give up a text, waiting or running: its blocks are free at once, and no step hands it over.

        Nothing happens where it has ended already.
        """
        if (group := self._scheduler.group_of(sequence)) is not None:
            self._drop(group)
            self.stats.num_cancellations += 1

    def step(self) -> list[Sequence]:
        """Run the next step; texts that ended in it are handed over and gone from the engine.

        One that found no memory even alone has an `error`; the others go on without it.
        """
        started = perf_counter()
        try:
            self._draft()
            begun = self._clock()
            shares = self._scheduler.schedule()
            groups = self._groups_of(shares)
            with torch.inference_mode():
                self._run(shares)
                self._advance_searches(groups)
            self._note_cost(shares, self._clock() - begun)
            ended = [group for group in groups if group.rows[0].is_finished]
            finished = [group.rows[0] for group in ended]
            for group in ended:
                self._drop(group)
        except BaseException:
            # Blocks that this step promised to fill may be half full.
            self.abort_all()
            raise
        self._note(started)
        return finished

    def abort_all(self) -> None:
        """Give up every sequence, waiting or running."""
        self._scheduler.drop_all()
        self._speculation.forget_all()

    def forget_cache(self) -> None:
        """Share nothing with earlier prompts, as after a change of the model's weights."""
        self._blocks.forget()

    def fits(self, num_prompt_tokens: int, params: SamplingParams) -> bool:
        return why_refused(self.decoder, self.params, num_prompt_tokens, params) is None

    def check_fits(self, num_prompt_tokens: int, params: SamplingParams) -> None:
        """UsageError with the numbers if a prompt of this length could never run to its end."""
        if reason := why_refused(self.decoder, self.params, num_prompt_tokens, params):
            raise UsageError(reason)

    def _drop(self, group: Group) -> None:
        for sequence in group.rows:
            self._speculation.forget(sequence)
        self._scheduler.cancel(group)

    def _draft(self) -> None:
        # While memory is short nothing is run that need not be.
        if not self._call_size.is_limited:
            started = perf_counter()
            self._speculation.draft(self._scheduler.drafting_rows(), self._scheduler.num_decoding)
            self.stats.draft_s += perf_counter() - started

    def _note_cost(self, shares: Many[Share], seconds: float) -> None:
        """Let speculation know what a step costs that reads no prompt and was run at once."""
        if shares and not self._call_size.is_limited and all(share.is_writing for share in shares):
            num_positions = sum(share.num_new for share in shares)
            self._speculation.note_step(len(shares), num_positions, seconds)

    def _run(self, shares: Many[Share]) -> None:
        """Run a step in one call of the model, or in smaller ones where it finds no memory."""
        calls = deque(self._call_size.split(shares))
        while calls:
            call = calls.popleft()
            why_not = self._try(call)
            if why_not is None:
                continue
            rest = [*call, *(share for later in calls for share in later)]
            if any(share.has_draft for share in rest):
                rest = self._without_drafts(rest)
                self._speculation.note_no_memory()
                calls = deque(self._call_size.split(rest))
            elif self._call_size.halve(call):
                calls = deque(self._call_size.split(rest))
            else:
                self._give_up(shares, rest, why_not)
                return
        self._call_size.note_success()

    def _try(self, call: Many[Share]) -> str | None:
        """Run positions and draw from those that are their texts' last; what is said where memory ran out."""
        try:
            drawn, looks = self._runner.run(call)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            # The error itself would hold on to what its frames have allocated.
            return str(error) or type(error).__name__
        for share in call:
            share.sequence.num_cached += share.num_new - share.num_drafted
        for sequence, tokens in drawn.items():
            self._take(sequence, tokens)
        for sequence, look in looks.items():
            self._search_of(sequence).looks[sequence] = look
            self._scheduler.end_draft(sequence)
        return None

    def _take(self, sequence: Sequence, tokens: Many[DrawnToken]) -> None:
        """Take what was drawn, as long as it was drawn after what is in the text."""
        num_forced, num_before = self._speculation.num_forced(sequence), sequence.num_cached
        for token, guessed_id in zip_longest(tokens, sequence.draft.token_ids):
            sequence.take(token.token_id, token.logprob, is_eos=token.token_id in self.eos_ids)
            if token.told:
                sequence.told.append(token.told)
            if sequence.is_finished or token.token_id != guessed_id:
                break
            sequence.num_cached += 1
        self.stats.count_draft(len(tokens) - 1, num_forced, num_before, sequence.num_cached)
        self._speculation.learn(sequence, [token.token_id for token in tokens])
        self._scheduler.end_draft(sequence)

    def _without_drafts(self, shares: Many[Share]) -> list[Share]:
        for share in shares:
            if share.has_draft:
                self._scheduler.end_draft(share.sequence)
        return [share.with_draft() if share.has_draft else share for share in shares]

    def _give_up(self, shares: Many[Share], rest: Many[Share], why_not: str) -> None:
        """The first of what is left of a step cannot run; what has not run is put out and run again later.

        It may count on blocks that the first was to fill, even where it takes no part in the step.
        """
        groups = self._groups_of(rest)
        self._scheduler.put_out_all_but({*self._groups_of(shares)} - {*groups})
        for group in groups:
            if group.search is not None:
                group.search.looks.clear()
        self._blocks.forget()
        failed = groups[0].rows[0]
        failed.error = MemoryFull(
            f"A text of {failed.num_positions:,} positions found no memory even alone ({why_not}). "
            f"Shorten the prompt, lower kv_bytes or max_step_tokens, or free memory."
        )
        self._call_size.reset()

    def _advance_searches(self, groups: Many[Group]) -> None:
        """Where all rows of a search have looked, choose what goes on; rows that part copy a block each."""
        pairs: list[tuple[int, int]] = []
        for group in groups:
            if group.search is not None and group.search.has_looked:
                pairs += group.search.advance(self._scheduler)
                _ask_constraints(group)
        if pairs:
            self.decoder.copy_blocks(pairs)

    def _groups_of(self, shares: Many[Share]) -> list[Group]:
        groups = dict.fromkeys(self._scheduler.group_of(share.sequence) for share in shares)
        return [group for group in groups if group is not None]

    def _search_of(self, sequence: Sequence) -> Search:
        group = self._scheduler.group_of(sequence)
        assert group is not None and group.search is not None
        return group.search

    def _note(self, started: float) -> None:
        self.stats.num_prompt_tokens_shared = self._scheduler.num_positions_shared
        self.stats.num_preemptions = self._scheduler.num_preemptions
        self.stats.num_blocks_used = self._blocks.num_blocks - self._blocks.num_free
        self.stats.total_s += perf_counter() - started


def _group_of(sequence: Sequence, strategy: Strategy | None, priority: int) -> Group:
    return Group(
        rows=[sequence],
        arrival=sequence.sequence_id,
        priority=priority,
        most_rows=sequence.sampling.num_beams,
        search=Search.of(sequence, strategy) if strategy else None,
    )


def _check_added(params: SamplingParams, priority: object) -> None:
    if isinstance(priority, bool) or not isinstance(priority, int):
        raise UsageError(f"priority is {priority!r}; it must be a whole number, the higher the sooner.")
    if params.n > params.num_beams:
        raise UsageError(f"n is {params.n}; add so many texts, each with a seed of its own and n 1.")


def _ask_constraints(group: Group) -> None:
    """A search of which one text's constraint fails is given up: without that text it might find others."""
    if group.rows[0].is_finished:
        return
    for row in group.rows:
        row.ask_constraint()
    group.rows[0].error = next((row.error for row in group.rows if row.error is not None), None)


def _check_constraint(constraint: Constraint | None, vocab_size: int) -> None:
    if constraint is not None and constraint.vocab_size != vocab_size:
        raise UsageError(
            f"The constraint is about {constraint.vocab_size:,} tokens; the model has {vocab_size:,}. "
            f"Compile it for the model."
        )


def _check_ids(prompt_ids: Many[int], vocab_size: int) -> None:
    """An id that the model has no row for would be read from somewhere else; one that is none ends a step."""
    for kind in {*map(type, prompt_ids)}:
        if kind is bool or not issubclass(kind, int | np.integer):
            raise UsageError(f"The prompt holds a {kind.__name__}; token ids are whole numbers.")
    for wrong in (min(prompt_ids, default=0), max(prompt_ids, default=0)):
        if not 0 <= wrong < vocab_size:
            raise UsageError(
                f"The prompt holds token {wrong}; the model has the tokens 0 to {vocab_size - 1:,}. "
                f"Use the model's own tokenizer."
            )
