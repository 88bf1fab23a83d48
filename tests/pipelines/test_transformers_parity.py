"""The same calls to the pipelines of transformers, for the tasks that its version 5 still has."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import potstill
from models.encoder_reference import saved_encoder
from tokenization.small_tokenizers import LINES, write_tokenizer

Both = tuple[Any, Any]


@pytest.fixture
def both() -> Callable[..., Both]:
    transformers = pytest.importorskip("transformers", reason="transformers is in the group `oracles`")

    def make(task: str, model: Path, **arguments: Any) -> Both:
        theirs = transformers.pipeline(task, model=str(model), device="cpu", **arguments)
        return theirs, potstill.pipeline(task, model=model, device="cpu", dtype="fp32", **arguments)

    transformers.logging.set_verbosity_error()
    return make


def assert_like(got: Any, expected: Any) -> None:
    """Equal in shape, keys and texts, and numbers to 1e-4."""
    if isinstance(expected, list | tuple):
        assert isinstance(got, list | tuple) and len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            assert_like(one, other)
    elif isinstance(expected, dict):
        assert got.keys() == expected.keys()
        for key in expected:
            assert_like(got[key], expected[key])
    else:
        assert got == pytest.approx(expected, abs=1e-4) if isinstance(expected, float) else got == expected


@pytest.mark.parametrize("arguments", [{}, {"return_full_text": False}, {"num_beams": 3}, {"max_length": 40}])
def test_greedy_texts_are_equal(arguments: dict[str, Any], both: Callable[..., Both], decoder: Path) -> None:
    theirs, ours = both("text-generation", decoder)
    length = {} if "max_length" in arguments else {"max_new_tokens": 12}
    for asked in ("The cat", ["The cat", "A city"]):
        got = ours(asked, **arguments, **length)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = theirs(asked, do_sample=False, **arguments, **length)
        assert_like(got, expected)


@pytest.mark.parametrize("asked", [LINES[0], LINES, [LINES[0]], {"text": "cat", "text_pair": "dog"}])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"top_k": None},
        {"top_k": 1},
        {"top_k": 2},
        {"function_to_apply": "sigmoid"},
        {"function_to_apply": "none"},
        {"function_to_apply": "softmax", "top_k": None},
    ],
)
def test_labels_are_equal(
    asked: Any, arguments: dict[str, Any], both: Callable[..., Both], classifier: Path
) -> None:
    theirs, ours = both("text-classification", classifier)
    assert_like(ours(asked, **arguments), theirs(asked, **arguments))


def test_top_k_given_before_the_call_wraps_as_theirs(both: Callable[..., Both], classifier: Path) -> None:
    theirs, ours = both("sentiment-analysis", classifier, top_k=None)
    for asked in (LINES[0], LINES):
        assert_like(ours(asked), theirs(asked))


def test_generators_give_what_lists_give(both: Callable[..., Both], classifier: Path) -> None:
    theirs, ours = both("text-classification", classifier)
    assert_like(list(ours(line for line in LINES)), list(theirs(line for line in LINES)))


@pytest.mark.parametrize("labels", [["sport", "words", "city"], "sport, words", ["cats"]])
@pytest.mark.parametrize(
    "arguments", [{}, {"multi_label": True}, {"hypothesis_template": "It is about {} here."}]
)
def test_zero_shot_scores_are_equal(
    labels: Any, arguments: dict[str, Any], both: Callable[..., Both], classifier: Path
) -> None:
    theirs, ours = both("zero-shot-classification", classifier)
    for asked in ("The cat sat.", ["The cat sat.", "A city council voted."]):
        assert_like(ours(asked, labels, **arguments), theirs(asked, labels, **arguments))


def test_token_vectors_are_equal(both: Callable[..., Both], encoder: Path, decoder: Path) -> None:
    theirs, ours = both("feature-extraction", encoder)
    for asked in ("A cat", ["A cat", "Two dogs and a cat"]):
        assert_like(ours(asked), theirs(asked))
    tensor = ours("A cat", return_tensors=True)
    assert tuple(tensor.shape) == tuple(theirs("A cat", return_tensors=True).shape)
    theirs, ours = both("feature-extraction", decoder)
    assert_like(ours(["A cat", "Two dogs"]), theirs(["A cat", "Two dogs"]))


def test_one_vector_is_the_mean_of_a_texts_tokens(encoder: Path) -> None:
    with potstill.pipeline("feature-extraction", model=encoder, device="cpu") as made:
        (tokens,), vector = made("A cat"), made("A cat", pooled=True)
    mean = [sum(column) / len(tokens) for column in zip(*tokens, strict=True)]
    assert vector == pytest.approx(mean, abs=1e-5)


def test_a_model_without_entailment_is_refused_for_zero_shot(tmp_path: Path) -> None:
    from models.t5_reference import change_config

    saved_encoder("bert", "ForSequenceClassification", tmp_path)
    write_tokenizer("wordpiece", tmp_path, vocab_size=90)
    change_config(tmp_path, id2label={"0": "bad", "1": "so-so", "2": "good"})
    with pytest.raises(potstill.PotstillError, match="trained on entailment.*labels are bad, so-so, good"):
        potstill.pipeline("zero-shot-classification", model=tmp_path, device="cpu")
