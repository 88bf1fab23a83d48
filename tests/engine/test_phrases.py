"""Requests with clauses through a generator: in a batch with all others, with a grammar, to the end."""

from collections.abc import Sequence

import numpy as np
import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from constraints.letters import Letters
from constraints.plain_formula import holds
from engine.test_running import OutOfMemory
from potstill.constraints.lexical import LexicalRules
from potstill.engine.beam import BeamParams
from potstill.engine.drafts.prompt_lookup import PromptLookup
from potstill.engine.engine import Engine
from potstill.engine.generator import EngineGenerator
from potstill.engine.lexical_params import LexicalParams
from potstill.engine.lexical_search import LexicalSearch
from potstill.engine.load import load_generator
from potstill.engine.params import EngineParams
from potstill.engine.phrases import WordTokenizer
from potstill.engine.sequence import NeverStop
from potstill.errors import ConfigError, UsageError
from potstill.hub.resolve import resolve
from potstill.lm.context import Context
from potstill.lm.stateless import Stateless
from potstill.progress import Silent
from potstill.tokenization.tokenizer import Tokenizer
from potstill.types import Grammar, Phrase, SamplingParams, TextRequest

EOS = 256


class LetterModel:
    """Likes a few letters, each context others, and sometimes an end."""

    vocab_size = 257

    def __init__(self, tokenizer: Tokenizer, letters: str = "abc .") -> None:
        self._ids = [*tokenizer.encode(letters), EOS]

    def next_logprobs(self, contexts: Sequence[Context]) -> np.ndarray:
        scores = np.full((len(contexts), self.vocab_size), -9.0)
        for row, context in zip(scores, contexts, strict=True):
            chance = np.random.default_rng([len(context.token_ids), *context.token_ids[-2:]])
            row[self._ids] = 2 * chance.standard_normal(len(self._ids))
        return (scores - np.log(np.exp(scores).sum(-1, keepdims=True))).astype(np.float32)


def generator_of(tokenizer, *, drafter=None, lexical=None, **params):
    decoder = Stateless(LetterModel(tokenizer))
    # While the clock stands still all guesses are run.
    engine = Engine(decoder, EngineParams(**params), tokenizer.eos_ids, drafter, clock=lambda: 0.0)
    return EngineGenerator(engine, tokenizer, lexical)


CLAUSES = (
    ((Phrase("ab"), Phrase("cab")), (Phrase("c a"),)),
    ((Phrase("ba"),), (Phrase("a", False),)),
    ((Phrase("a", False), Phrase("b")), (Phrase("c"),)),
    ((Phrase("b", False),), (Phrase("a", False),), (Phrase("c", False),)),
)


def some_requests():
    for index, clauses in enumerate(CLAUSES):
        yield TextRequest(
            "abcab", SamplingParams(max_tokens=12 + index, num_beams=2 + index), clauses=clauses
        )
        yield TextRequest("abcabcabcabc", SamplingParams(temperature=0, max_tokens=20, seed=index))
        yield TextRequest("cab", SamplingParams(max_tokens=9), Grammar("regex", "[abc]{4}"))


def test_clauses_in_one_batch_with_speculating_and_grammar_bound_requests_give_what_they_give_alone(
    tokenizer,
):
    requests = list(some_requests())
    drafting, alone = generator_of(tokenizer, drafter=PromptLookup(257)), generator_of(tokenizer)
    together = dict(drafting.complete(requests))
    assert drafting.engine.stats.num_tokens_drafted > 0
    for index, request in enumerate(requests):
        ((_, one),) = alone.complete([request])
        assert together[index].token_ids == one.token_ids and together[index].unmet == one.unmet == ()
        assert holds(request.clauses, one.text)


def test_a_grammar_and_clauses_both_hold(tokenizer):
    clauses = ((Phrase("ab"),), (Phrase("c", False),))
    request = TextRequest(
        "a", SamplingParams(max_tokens=12), Grammar("regex", "([abc]{2} ){2}[abc]{2}"), clauses
    )
    ((_, text),) = generator_of(tokenizer).complete([request])
    assert len(text.text) == 8 and "ab" in text.text.split() and "c" not in text.text.split()
    assert text.unmet == () and text.finish_reason == "stop"


def test_what_a_grammar_does_not_let_the_text_hold_is_told(tokenizer):
    request = TextRequest("a", SamplingParams(max_tokens=12), Grammar("regex", "[ab]{3}"), ((Phrase("c"),),))
    ((_, text),) = generator_of(tokenizer).complete([request])
    assert len(text.text) == 3 and text.unmet == ('The text holds no "c".',)


def test_what_a_stop_text_cuts_off_does_not_count(tokenizer):
    clauses = ((Phrase("b"),), (Phrase("a", False),))
    for stop in (".", "c", " "):
        request = TextRequest(
            "a", SamplingParams(max_tokens=20, num_beams=4, n=3, stop=(stop,)), clauses=clauses
        )
        for _, text in generator_of(tokenizer).complete([request]):
            assert stop not in text.text and text.unmet == () and holds(clauses, text.text)


def test_a_request_with_clauses_searches_by_itself_and_finds_as_many_texts_as_asked_for(tokenizer):
    request = TextRequest("a", SamplingParams(max_tokens=12, n=10), clauses=CLAUSES[0])
    texts = [text for _, text in generator_of(tokenizer).complete([request])]
    assert len(texts) == 10 and all(holds(CLAUSES[0], text.text) for text in texts)
    streamed = [piece.completion for piece in generator_of(tokenizer).stream(request)]
    assert streamed == texts


def test_what_cannot_be_met_is_refused_before_any_work(tokenizer):
    generator = generator_of(tokenizer)
    sampling = SamplingParams(max_tokens=5)
    with pytest.raises(UsageError, match=r"Request 1: The phrases .* take 6 tokens; max_tokens is 5"):
        generator.complete(
            [TextRequest("a", sampling), TextRequest("a", sampling, clauses=((Phrase("abcabc"),),))]
        )
    with pytest.raises(UsageError, match='want "a" and avoid "a"'):
        generator.complete([TextRequest("a", sampling, clauses=((Phrase("a"),), (Phrase("a", False),)))])
    with pytest.raises(ConfigError, match="num_logprobs"):
        generator.complete([TextRequest("a", SamplingParams(num_logprobs=2), clauses=CLAUSES[0])])
    with pytest.raises(UsageError, match="num_beams is 8; the engine runs 4 texts at once"):
        generator_of(tokenizer, max_batch=4).complete([TextRequest("a", sampling, clauses=CLAUSES[1])])
    assert not generator.engine.has_work


def found(decoder, lookahead_steps=0, **params):
    """What lexical searches over 50 tokens find, and how often one was put out."""
    vocabulary = Letters(*(f" {chr(97 + index % 26)}" * (1 + index // 26) for index in range(50)))
    rules = [LexicalRules(clauses, vocabulary) for clauses in WORDS]
    engine = Engine(decoder, EngineParams(**params), [49])
    sampling = SamplingParams(max_tokens=16, num_beams=4, n=2)
    lexical = LexicalParams(prune_factor=20, lookahead_steps=lookahead_steps)
    sequences = []
    for index, one in enumerate(rules):
        beams = BeamParams.of(sampling, engine.eos_ids)
        strategy = LexicalSearch(beams, one, lexical, NeverStop())
        sequences.append(engine.add([index] * 5, sampling, strategy=strategy))
    while engine.has_work:
        engine.step()
    texts = [[tuple(text.output_ids) for text in (one, *one.others)] for one in sequences]
    for clauses, some in zip(WORDS, texts, strict=True):
        assert all(holds(clauses, vocabulary.text(ids)) for ids in some)
    return texts, engine.stats.num_preemptions


WORDS = (
    ((Phrase("x y"),), (Phrase("m"), Phrase("n n"))),
    ((Phrase("b"),), (Phrase("c"),), (Phrase("d d"),), (Phrase("e", False),)),
    ((Phrase("q r s"),), (Phrase("a", False), Phrase("z"))),
)


@pytest.mark.parametrize("steps", [0, 3, 16])
def test_searches_that_are_put_out_or_run_in_turns_find_the_same(steps, recalling_decoder):
    texts, num_preemptions = found(recalling_decoder(400), steps, max_batch=12)
    assert num_preemptions == 0
    assert found(recalling_decoder(400), steps, max_batch=4) == (texts, 0)
    short_of_blocks, num_preemptions = found(recalling_decoder(25), steps, max_batch=12)
    assert short_of_blocks == texts and num_preemptions > 0
    decoder, least = recalling_decoder(400), 12 + 4 * max(steps - 1, 0)
    assert found(decoder, steps, max_batch=12, max_step_tokens=least)[0] == texts
    assert all(sum(row.num_new for row in rows) <= least for rows in decoder.steps)


def test_a_search_that_finds_memory_for_little_at_a_time_looks_as_far_ahead(recalling_decoder):
    texts, _ = found(recalling_decoder(400), 5, max_batch=12)
    short = OutOfMemory(recalling_decoder(400), lambda rows: sum(row.num_new for row in rows) > 7)
    assert found(short, 5, max_batch=12)[0] == texts and short.num_failures > 0


def test_a_search_that_looks_further_ahead_than_a_step_has_room_is_refused(tokenizer):
    lexical, sampling = LexicalParams(lookahead_steps=16), SamplingParams(max_tokens=20, num_beams=8)
    request = TextRequest("a", sampling, clauses=CLAUSES[0])
    asked = {"lexical": lexical, "max_batch": 8}
    with pytest.raises(UsageError, match="Request 0: 8 beams that look 16 tokens ahead take 128 positions"):
        generator_of(tokenizer, max_step_tokens=127, **asked).complete([request])
    ((_, text),) = generator_of(tokenizer, max_step_tokens=128, **asked).complete([request])
    assert text.unmet == ()


def looking_ahead(decoder, rushed=(), **params):
    """What a search finds that looks three tokens ahead, and the engine; now and then a text is rushed in."""
    vocabulary = Letters(*(f" {chr(97 + index % 26)}" * (1 + index // 26) for index in range(50)))
    sampling = SamplingParams(max_tokens=16, num_beams=4)
    engine = Engine(decoder, EngineParams(**params), [49])
    beams, lexical = BeamParams.of(sampling, engine.eos_ids), LexicalParams(lookahead_steps=3)
    strategy = LexicalSearch(beams, LexicalRules(WORDS[0], vocabulary), lexical, NeverStop())
    asked = engine.add([3] * 60, sampling, strategy=strategy)
    num_steps = 0
    while engine.has_work:
        if num_steps in rushed:
            engine.add([num_steps % 50] * 330, SamplingParams(max_tokens=2), priority=1)
        engine.step()
        num_steps += 1
    assert asked.error is None and holds(WORDS[0], vocabulary.text(asked.output_ids))
    return asked.output_ids, engine


def test_a_search_with_lookahead_that_is_put_out_and_read_anew_in_pieces_finds_the_same(recalling_decoder):
    expected, _ = looking_ahead(recalling_decoder(num_blocks=90), max_step_tokens=40)
    found, engine = looking_ahead(recalling_decoder(num_blocks=90), range(6, 400, 17), max_step_tokens=40)
    assert engine.stats.num_preemptions > 3 and found == expected


def test_a_search_looks_ahead_no_further_than_its_text_may_reach(recalling_decoder):
    looking_ahead(recalling_decoder(num_blocks=90, max_positions=1 + 60 + 15))


@pytest.mark.parametrize("grammar", [None, Grammar("regex", "[abc .]+")])
def test_lookahead_in_a_batch_finds_what_it_finds_alone(tokenizer, grammar):
    lexical = LexicalParams(lookahead_steps=3, prune_factor=None)
    sampling = SamplingParams(max_tokens=14, num_beams=6)
    requests = [
        TextRequest("ab" * index + "c", sampling, grammar, clauses) for index, clauses in enumerate(CLAUSES)
    ]
    together = dict(generator_of(tokenizer, lexical=lexical).complete(requests))
    for index, request in enumerate(requests):
        ((_, one),) = generator_of(tokenizer, lexical=lexical).complete([request])
        assert together[index].token_ids == one.token_ids and holds(request.clauses, one.text)


@pytest.mark.weights
def test_the_embedded_model_writes_a_sentence_with_the_words_it_is_given():
    path = resolve("gemma-3-270m", progress=Silent()).path
    params = EngineParams(kv_bytes=64 << 20)
    generator = load_generator(path, dtype="int8", device="cpu", params=params)
    clauses = (
        (Phrase("umbrella"), Phrase("umbrellas")),
        (Phrase("bought"), Phrase("buys")),
        (Phrase("weather", False),),
    )
    sampling = SamplingParams(max_tokens=24, num_beams=6, stop=("\n",))
    ((_, text),) = generator.complete([TextRequest("The weather was bad, so", sampling, clauses=clauses)])
    assert text.unmet == () and holds(clauses, text.text)
    assert text.logprob / len(text.token_ids) > -4


def test_a_phrase_is_steered_to_in_a_vocabulary_that_puts_a_space_before_every_word():
    """As T5's, which drops the spaces of a text."""
    pieces = ["<unk>", "\u2581big", "\u2581", "do", "g", "\u2581dog", "s", "big"]
    backend = tokenizers.Tokenizer(models.Unigram([(piece, -1.0) for piece in pieces], unk_id=0))
    spaces = pre_tokenizers.Metaspace(prepend_scheme="always")
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), spaces])
    backend.decoder = decoders.Metaspace()
    words = WordTokenizer(Tokenizer(backend, bos_id=None, eos_ids=()))
    rules = LexicalRules(((Phrase("big dogs"),),), words)
    state = rules.start.after(pieces.index("\u2581dog"))
    assert state.num_needed == 3
    while not state.can_end:
        assert state.num_needed == min(state.after(one).num_needed for one in state.advancing()) + 1
        state = state.after(state.advancing()[0])
