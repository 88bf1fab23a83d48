"""Which requests could never run to their end, and why: told before any work. No torch here."""

from potstill.engine.params import EngineParams
from potstill.lm.protocol import BatchedDecoder
from potstill.types import SamplingParams


def why_refused(
    decoder: BatchedDecoder, params: EngineParams, num_prompt_tokens: int, asked: SamplingParams
) -> str | None:
    """What stands against a prompt of this length, with its numbers; None where nothing does."""
    return (
        _why_no_prompt(decoder, num_prompt_tokens)
        or _why_too_wide(params, asked)
        or _why_too_long(decoder, num_prompt_tokens, asked)
    )


def why_no_step(params: EngineParams, num_beams: int, num_guessed: int) -> str | None:
    """What stands against a search that runs so many guessed positions behind each text's own.

    They have to fit into a step beside as many other texts as there may be.
    """
    needed = num_beams * num_guessed + params.most_rows
    if num_guessed and needed > params.max_step_tokens:
        return (
            f"{num_beams} beams that look {num_guessed + 1} tokens ahead take {needed:,} positions a step; "
            f"max_step_tokens is {params.max_step_tokens:,}. Raise it, or look less far ahead."
        )
    return None


def _why_no_prompt(decoder: BatchedDecoder, num_prompt_tokens: int) -> str | None:
    if num_prompt_tokens == 0 and (decoder.encodes_prompt or decoder.num_prepended == 0):
        return "The prompt is empty and this model has no BOS to begin with: give it a first word."
    most = decoder.max_prompt_tokens
    if most is not None and num_prompt_tokens > most:
        return (
            f"A prompt of {num_prompt_tokens:,} tokens is longer than the {most:,} that the model's encoder "
            f"reads. Shorten it."
        )
    return None


def _why_too_wide(params: EngineParams, asked: SamplingParams) -> str | None:
    if asked.num_beams > params.most_rows:
        return (
            f"num_beams is {asked.num_beams}; the engine runs {params.most_rows:,} texts at once. "
            f"Lower it, or raise max_batch and max_step_tokens."
        )
    return None


def _why_too_long(decoder: BatchedDecoder, num_prompt_tokens: int, asked: SamplingParams) -> str | None:
    num_encoded = num_prompt_tokens if decoder.encodes_prompt else 0
    # The last token drawn is not fed back.
    needed = decoder.num_prepended + num_prompt_tokens - num_encoded + asked.max_tokens - 1
    numbers = (
        f"A prompt of {num_prompt_tokens:,} tokens and max_tokens {asked.max_tokens:,} "
        f"need {needed:,} positions"
    )
    if needed > decoder.max_positions:
        return f"{numbers}; the model's context has {decoder.max_positions:,}. Shorten one of them."
    size = decoder.block_size
    num_blocks = decoder.num_blocks - -(-num_encoded // size)
    # Beams share what they have in common, but may have to be taken up again all at once.
    if asked.num_beams * -(-needed // size) > num_blocks:
        beams = f" in each of {asked.num_beams} beams" if asked.num_beams > 1 else ""
        return (
            f"{numbers}{beams}; the KV cache holds {max(num_blocks, 0) * size:,}. "
            f"Shorten one of them, or raise kv_bytes."
        )
    return None
