import pytest

from potstill.engine.engine import Engine
from potstill.engine.params import EngineParams
from potstill.engine.stats import EngineStats
from potstill.lm.context import Context
from potstill.lm.cost import ModelCost
from potstill.lm.protocol import StepRow
from potstill.types import SamplingParams


def row(num_cached, num_new, **more):
    return StepRow(Context((1,) * 10), num_cached, num_new, [], **more)


def written_with_a_cache(num_prompt, num_tokens):
    stats = EngineStats()
    stats.count_step([row(0, num_prompt)])
    for index in range(num_tokens - 1):
        stats.count_step([row(num_prompt + index, 1)])
    return stats


def test_a_hundred_tokens_after_ten_run_109_positions_with_a_cache_and_5950_without():
    stats = written_with_a_cache(10, 100)
    assert (stats.num_positions_run, stats.num_positions_uncached) == (109, 5950)
    assert stats.num_tokens_generated == 100 and stats.num_steps == 100
    assert stats.num_positions_read == 5950
    # Every position looks at itself and at all before it, once.
    assert stats.num_pairs == sum(range(1, 110))


def test_pieces_of_a_prompt_count_like_the_whole_and_give_one_token():
    whole, pieces = EngineStats(), EngineStats()
    whole.count_step([row(0, 10)])
    pieces.count_step([row(0, 4, num_logits=0)])
    pieces.count_step([row(4, 6)])
    for name in ("num_positions_run", "num_positions_uncached", "num_pairs", "num_tokens_generated"):
        assert getattr(pieces, name) == getattr(whole, name)


def test_the_prompts_an_encoder_reads_are_counted_apart():
    stats = EngineStats()
    stats.count_step([row(0, 1, encodes=True, encoder_table=(3,)), row(0, 1, encoder_table=(3,))])
    assert (stats.num_positions_encoded, stats.num_pairs_encoded, stats.num_positions_run) == (10, 100, 2)
    # Both rows look at themselves and at the whole prompt.
    assert (stats.num_positions_read, stats.num_pairs) == (22, 22)


def test_shares_of_rows_blocks_and_prompts():
    stats = EngineStats(max_batch=4, num_blocks=8, kv_bytes=8 * 100)
    stats.count_step([row(0, 3), row(0, 3)], num_blocks_used=5)
    stats.count_step([row(3, 1)], num_blocks_used=2)
    assert stats.mean_rows == 1.5 and stats.batch_fill == 0.375
    assert (stats.kv_bytes_used, stats.kv_bytes_peak) == (200, 500)
    stats.num_prompt_tokens_run, stats.num_prompt_tokens_shared = 30, 10
    assert stats.prefix_hit_rate == 0.25
    told = stats.as_dict()
    assert told["kv_bytes_peak"] == 500 and told["num_positions_run"] == 7


def test_nothing_done_divides_by_nothing():
    stats = EngineStats()
    assert stats.mean_rows == stats.batch_fill == stats.prefix_hit_rate == stats.kv_bytes_peak == 0
    assert stats.tokens_per_second == 0


def test_speed_is_work_over_the_engines_time():
    stats = written_with_a_cache(10, 2)
    stats.total_s = 2.0
    cost = ModelCost(weight_bytes=1000, position_flops=10, pair_flops=1, head_flops=100, kv_bytes=4)
    speed = stats.speed(cost, peak_bytes_per_s=10_000)
    # Two steps; keys and values of 10, then 11 positions read, and of 11 written.
    assert speed.bytes_per_s == (2 * 1000 + (10 + 11 + 11) * 4) / 2
    assert speed.flops_per_s == (11 * 10 + (55 + 11) * 1 + 2 * 100) / 2
    assert speed.bandwidth_share == pytest.approx(speed.bytes_per_s / 10_000)
    assert speed.flops_share is None


def test_counts_are_added_and_taken_away_and_sizes_stay():
    total, part = EngineStats(max_batch=3), written_with_a_cache(10, 3)
    part.total_s, part.num_blocks_used = 2.5, 4
    total.add(part)
    total.add(part)
    total.add(part, -1)
    assert (total.num_positions_run, total.num_steps, total.total_s) == (12, 3, 2.5)
    assert total.max_batch == 3 and total.num_blocks_used == 0


def test_an_engine_counts_what_it_runs(recalling_decoder):
    engine = Engine(recalling_decoder(), EngineParams())
    engine.add([3] * 9, SamplingParams(max_tokens=100, temperature=0))
    while engine.has_work:
        engine.step()
    assert engine.stats.num_positions_run == 109 and engine.stats.num_positions_uncached == 5950
    assert (engine.stats.num_blocks_used, engine.stats.num_blocks_peak) == (0, 28)
