"""Which arguments a task takes: others are refused by name, with the nearest there is, never ignored."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from potstill.errors import UsageError

# What callers of transformers bring along, and what to do instead.
_INSTEAD = {
    "assistant_model": "pipeline(..., draft='model:MODEL') takes a draft model.",
    "clean_up_tokenization_spaces": "Texts come as their tokens spell them; leave it out.",
    "device_map": "Name the device: device='auto', 'cpu' or 'cuda:0'.",
    "framework": "There is one; leave it out.",
    "force_words_ids": "contains=['...'] takes the words themselves.",
    "function_to_apply": "It goes with the scores of an encoder's head.",
    "generation_config": "Give its fields as arguments, such as max_new_tokens=50.",
    "handle_long_generation": "max_input_tokens=N keeps the last N tokens of a text that is gone on from.",
    "doc_stride": "A context longer than the model reads is read in windows that overlap by half.",
    "handle_impossible_answer": "An answer is always given; look at its score.",
    "logits_processor": "Functions are not called while a text is written.",
    "max_time": "Texts end by their length: max_new_tokens.",
    "max_question_len": "Questions are never cut; leave it out.",
    "max_seq_len": "A context longer than the model reads is read in windows that overlap by half.",
    "min_length": "A text cannot be kept from ending; prompt for a longer one.",
    "min_new_tokens": "A text cannot be kept from ending; prompt for a longer one.",
    "model_kwargs": "Give what is in it as arguments.",
    "num_workers": "Texts are tokenized beside the model; leave it out.",
    "prompt_lookup_num_tokens": "pipeline(..., draft='prompt-lookup') guesses from the prompt.",
    "padding": "Nothing is padded here; leave it out.",
    "return_all_scores": "top_k=None gives the scores of all labels.",
    "return_tensors": "Texts are returned as texts.",
    "return_text": "Texts are returned as texts; leave it out.",
    "stop_sequence": "stop='...' ends a text, and cuts the stop text off, which transformers keeps.",
    "stop_strings": "stop='...' ends a text, and cuts the stop text off, which transformers keeps.",
    "streamer": "stream=True gives an iterator over pieces of the text.",
    "tokenizer": "A model's own tokenizer is taken; leave it out.",
    "torch_dtype": "It is called dtype: 'auto', 'bf16', 'fp32' or 'int8'.",
    "truncation": "max_input_tokens=N cuts inputs that are longer.",
    "trust_remote_code": "Code that comes with a model is never run; leave it out.",
    "use_cache": "The cache is always used; leave it out.",
    "use_fast": "There is one tokenizer; leave it out.",
}


def check_names(task: str, given: Mapping[str, Any], known: Collection[str]) -> None:
    """UsageError for the first argument that is not `known`."""
    for name in given:
        if name not in known:
            raise UsageError(f"{task} has no argument {name!r}. {_hint(name, known)}")


def whole_number(name: str, value: object, least: int = 1) -> int:
    """UsageError for what is no whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{name} is {value!r}; it must be a whole number of at least {least}.")
    return value


def flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{name} is {value!r}; it must be True or False.")
    return value


def _hint(name: str, known: Collection[str]) -> str:
    if name in _INSTEAD:
        return _INSTEAD[name]
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f"Did you mean {near[0]!r}?" if near else f"It has {', '.join(sorted(known))}."
