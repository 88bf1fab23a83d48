from pathlib import Path

import numpy as np
import pytest
import torch

from models.encoder_reference import saved_encoder
from models.t5_reference import change_config
from potstill.lm.classification import load_text_classifier
from tokenization.small_tokenizers import LINES, write_tokenizer

PAIRS = [(LINES[0], LINES[1]), ("cat", "dog"), (LINES[2], "a"), ("cat", "dog")]


@pytest.mark.parametrize(("family", "kind"), [("bert", "wordpiece"), ("roberta", "byte bpe")])
@pytest.mark.parametrize("asked", [LINES, PAIRS])
def test_probabilities_equal_those_of_transformers(family, kind, asked, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is in the group `oracles`")
    model = saved_encoder(family, "ForSequenceClassification", tmp_path)
    write_tokenizer(kind, tmp_path, vocab_size=90)
    classifier = load_text_classifier(tmp_path, truncates=True)
    got = classifier.probabilities(asked)
    assert classifier.labels == ("contradiction", "ENTAILMENT", "neutral")
    np.testing.assert_allclose(got.sum(1), 1, atol=1e-12)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for texts, row in zip(asked, got, strict=True):
        first, second = (texts, None) if isinstance(texts, str) else texts
        inputs = tokenizer(
            first,
            second,
            return_tensors="pt",
            truncation=True,
            max_length=classifier.reader.max_tokens,
            return_token_type_ids=family == "bert",
        )
        with torch.inference_mode():
            expected = model(**inputs).logits[0].double().softmax(-1)
        np.testing.assert_allclose(row, expected.numpy(), atol=1e-5)


def test_labels_that_do_not_exclude_each_other_stand_alone(tmp_path: Path) -> None:
    saved_encoder("bert", "ForSequenceClassification", tmp_path)
    write_tokenizer("wordpiece", tmp_path)
    one = load_text_classifier(tmp_path).probabilities(LINES)
    change_config(tmp_path, problem_type="multi_label_classification")
    many = load_text_classifier(tmp_path).probabilities(LINES)
    odds = many / (1 - many)
    np.testing.assert_allclose(odds / odds.sum(1, keepdims=True), one, atol=1e-6)
