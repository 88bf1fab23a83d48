"""How a text is written: the arguments of transformers' `generate` as sampling parameters."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from potstill.errors import ConfigError, UsageError
from potstill.types import SamplingParams

# What these names are called in SamplingParams; the others are called alike.
_RENAMED = {"max_new_tokens": "max_tokens", "num_return_sequences": "n"}
_DRAWING = ("temperature", "top_p", "top_k", "min_p", "seed")
_SEARCHING = ("length_penalty", "early_stopping")
SAMPLING_ARGUMENTS = (
    *_RENAMED,
    *_DRAWING,
    *_SEARCHING,
    "do_sample",
    "num_beams",
    "repetition_penalty",
    "no_repeat_ngram_size",
    "stop",
)


def sampling_of(arguments: Mapping[str, Any], base: SamplingParams) -> SamplingParams:
    """`base` with the arguments that are given, None for one that is not.

    Greedy unless `do_sample` or an argument about drawing says otherwise, or `base` draws. UsageError for
    arguments that cannot take effect together.
    """
    given = {name: arguments[name] for name in SAMPLING_ARGUMENTS if arguments.get(name) is not None}
    changes = {_RENAMED.get(name, name): value for name, value in given.items() if name != "do_sample"}
    if "stop" in changes:
        changes["stop"] = (given["stop"],) if isinstance(given["stop"], str) else tuple(given["stop"])
    _check_beams(given)
    changes["temperature"] = _temperature(given, base)
    try:
        sampling = replace(base, **changes)
    except ConfigError as error:
        raise ConfigError(_in_names_of_arguments(str(error))) from None
    if sampling.n > 1 and sampling.num_beams == 1 and sampling.temperature == 0:
        raise UsageError(
            f"num_return_sequences is {sampling.n}, and without drawing all would be the same text. "
            f"Add do_sample=True, or search with num_beams."
        )
    return sampling


def _temperature(given: Mapping[str, Any], base: SamplingParams) -> Any:
    asked = [name for name in _DRAWING if name in given and name != "seed"]
    draws = given.get("do_sample", base.temperature > 0 or bool(asked) and given.get("temperature") != 0)
    if not isinstance(draws, bool):
        raise UsageError(f"do_sample is {draws!r}; it must be True or False.")
    temperature = given.get("temperature", base.temperature or 1.0)
    if draws and temperature == 0:
        raise UsageError("do_sample=True draws, and temperature 0 leaves nothing to draw. Drop one of them.")
    if draws:
        return temperature
    wrong = [name for name in _DRAWING if name in given and (name, given[name]) != ("temperature", 0)]
    if wrong:
        raise UsageError(
            f"{wrong[0]} is about drawing, and the likeliest token is taken here. Add do_sample=True, or "
            f"drop {wrong[0]}."
        )
    return 0.0


def _check_beams(given: Mapping[str, Any]) -> None:
    if given.get("num_beams", 1) == 1:
        for name in _SEARCHING:
            if name in given:
                raise UsageError(f"{name} is about a search. Add num_beams of at least 2, or drop {name}.")
        return
    for name in ("do_sample", *_DRAWING):
        if given.get(name):
            raise UsageError(f"{name} is about drawing and num_beams searches. Drop one of them.")


def _in_names_of_arguments(message: str) -> str:
    for argument, name in _RENAMED.items():
        if message.startswith(f"{name} is"):
            return argument + message.removeprefix(name)
    return message
