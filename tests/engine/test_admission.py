import math

import pytest

from potstill.engine.admission import why_refused
from potstill.engine.engine import Engine
from potstill.engine.params import EngineParams
from potstill.errors import ConfigError, UsageError
from potstill.types import SamplingParams


def refused(decoder, num_prompt_tokens, params=None, **asked):
    return why_refused(decoder, params or EngineParams(), num_prompt_tokens, SamplingParams(**asked))


def test_a_prompt_that_fits_to_the_last_position_is_taken(recalling_decoder):
    decoder = recalling_decoder(num_blocks=4, block_size=4, max_positions=16)
    assert refused(decoder, 10, max_tokens=6) is None
    assert "need 17 positions" in refused(decoder, 10, max_tokens=7)
    # One position is the model's own, and the last token drawn is not fed back.
    assert refused(decoder, 15, max_tokens=1) is None


def test_a_prompt_longer_than_the_context_is_refused_before_any_work(recalling_decoder):
    decoder = recalling_decoder(max_positions=20)
    engine = Engine(decoder, EngineParams())
    with pytest.raises(UsageError, match="prompt of 20 tokens .* need 21 positions; .* context has 20"):
        engine.add(range(20), SamplingParams(max_tokens=1))
    assert not engine.has_work and not decoder.steps


def test_more_beams_than_rows_are_refused(recalling_decoder):
    narrow = EngineParams(max_batch=3)
    assert refused(recalling_decoder(), 5, narrow, num_beams=3, max_tokens=4) is None
    assert "num_beams is 4; the engine runs 3" in refused(recalling_decoder(), 5, narrow, num_beams=4)


def test_every_beam_counts_in_the_cache(recalling_decoder):
    decoder = recalling_decoder(num_blocks=10, block_size=4)
    assert refused(decoder, 4, num_beams=3, max_tokens=8) is None
    assert "in each of 4 beams; the KV cache holds 40" in refused(decoder, 4, num_beams=4, max_tokens=8)


@pytest.mark.parametrize("name", ["max_batch", "block_size", "kv_bytes", "max_step_tokens"])
@pytest.mark.parametrize("value", [0, -1, math.nan, 2**63, True, 1.0, "1"])
def test_absurd_engine_settings_are_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=f"^{name} is "):
        EngineParams(**{name: value})


@pytest.mark.parametrize("priority", [1.5, math.nan, True, "high", None])
def test_a_priority_is_a_whole_number(priority, recalling_decoder):
    engine = Engine(recalling_decoder(), EngineParams())
    with pytest.raises(UsageError, match="^priority is "):
        engine.add([1], SamplingParams(), priority=priority)
    assert not engine.has_work


def test_several_texts_are_added_one_by_one_unless_a_search_finds_them(recalling_decoder):
    engine = Engine(recalling_decoder(), EngineParams())
    with pytest.raises(UsageError, match="^n is 3; add so many texts"):
        engine.add([1], SamplingParams(n=3))
    engine.add([1], SamplingParams(n=3, num_beams=3, max_tokens=2))


@pytest.mark.parametrize("token_id", [-1, 50, 2**63])
def test_a_token_that_the_model_does_not_have_is_refused(token_id, recalling_decoder):
    engine = Engine(recalling_decoder(), EngineParams())
    with pytest.raises(UsageError, match=f"token {token_id}; the model has the tokens 0 to 49"):
        engine.add([1, token_id, 2], SamplingParams(max_tokens=2))
    assert not engine.has_work


@pytest.mark.parametrize("token_id", [1.0, math.nan, "1", True, None])
def test_what_is_no_token_id_is_refused(token_id, recalling_decoder):
    engine = Engine(recalling_decoder(), EngineParams())
    with pytest.raises(UsageError, match=f"holds a {type(token_id).__name__}; token ids are whole numbers"):
        engine.add([1, token_id, 2], SamplingParams(max_tokens=2))
    assert not engine.has_work
