"""Labels by how likely a model that writes finds them."""

from pathlib import Path

import numpy as np
import pytest

import potstill
from potstill.errors import UsageError
from potstill.lm.context import Context
from potstill.lm.protocol import NextTokenModel
from tokenization.small_tokenizers import LINES

LABELS = ["cat", "the dog", "words"]


def slow_scores(model: NextTokenModel, prompt_ids: list[int], outputs: list[list[int]]) -> np.ndarray:
    """By the definition, token by token, shared out among the labels."""
    sums = []
    for output in outputs:
        contexts = [Context(tuple(prompt_ids), tuple(output[:end])) for end in range(len(output))]
        logprobs = model.next_logprobs(contexts)
        sums.append(sum(float(logprobs[place, token]) for place, token in enumerate(output)))
    odds = np.exp(np.array(sums) - max(sums))
    return odds / odds.sum()


def test_a_decoder_goes_on_with_the_hypothesis(decoder: Path) -> None:
    with potstill.pipeline("zero-shot-classification", model=decoder, device="cpu", dtype="fp32") as made:
        got = made(LINES[0], LABELS)
        writer = made._held.model
        prompt = writer.tokenizer.encode(f"{LINES[0]}\nThis example is")
        outputs = [writer.tokenizer.encode(f" {label}.") for label in LABELS]
        expected = slow_scores(writer.generator.engine.decoder, prompt, outputs)
    assert list(got) == ["sequence", "labels", "scores"] and got["sequence"] == LINES[0]
    assert dict(zip(got["labels"], got["scores"], strict=True)) == pytest.approx(
        dict(zip(LABELS, expected, strict=True)), abs=1e-4
    )
    assert got["scores"] == sorted(got["scores"], reverse=True)


def test_a_t5_answers_with_one_of_the_labels_it_reads(t5: Path) -> None:
    with potstill.pipeline("zero-shot-classification", model=t5, device="cpu", dtype="fp32") as made:
        got = made(["A cat", "A dog"], LABELS)
        writer = made._held.model
        tokenizer = writer.tokenizer
        prompt = "A dog\n\nThis example is ....\nOPTIONS:\n- cat\n- the dog\n- words"
        outputs = [[*tokenizer.encode(label), 1] for label in LABELS]
        expected = slow_scores(writer.generator.engine.decoder, [*tokenizer.encode(prompt), 1], outputs)
        # The engine writes as before, though its cache was written over.
        assert made(["A cat", "A dog"], LABELS) == got
    assert dict(zip(got[1]["labels"], got[1]["scores"], strict=True)) == pytest.approx(
        dict(zip(LABELS, expected, strict=True)), abs=1e-4
    )


def test_text_classification_takes_the_callers_labels_where_the_model_has_none(decoder: Path) -> None:
    with potstill.pipeline("sentiment-analysis", model=decoder, device="cpu") as made:
        (best,) = made("A cat", candidate_labels=LABELS)
        ranked = made(["A cat", "A dog"], candidate_labels=LABELS, top_k=None)
        assert ranked[0][0] == best and [len(row) for row in ranked] == [3, 3]
        with pytest.raises(UsageError, match="candidate_labels"):
            made("A cat")
        with pytest.raises(UsageError, match="pair of texts"):
            made({"text": "A", "text_pair": "B"}, candidate_labels=LABELS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "needs candidate_labels"),
        ({"candidate_labels": []}, "list of texts"),
        ({"candidate_labels": [3]}, "list of texts"),
        ({"candidate_labels": ["a", "a"]}, "a label twice"),
        ({"candidate_labels": ["a"], "hypothesis_template": "none"}, "holds {} once"),
        ({"candidate_labels": ["a"], "multi_label": True}, "trained on entailment"),
        ({"candidate_labels": ["a"], "stream": True}, "writes no text"),
    ],
)
def test_wrong_labels_are_refused(arguments, said, decoder: Path) -> None:
    with (
        potstill.pipeline("zero-shot-classification", model=decoder, device="cpu") as made,
        pytest.raises(UsageError, match=said),
    ):
        list(made("A cat", **arguments))
