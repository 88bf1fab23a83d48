from pathlib import Path

import numpy as np
import pytest

from models.encoder_reference import saved_encoder
from potstill.errors import UsageError
from potstill.lm.classification import load_text_classifier
from potstill.synthesis.entailment import entailment_label, load_entailment
from potstill.types import TextPair
from tokenization.small_tokenizers import LINES, write_tokenizer

PAIRS = [TextPair(LINES[0], LINES[1]), TextPair("cat", "dog"), TextPair("cat " * 90, "dog")]


@pytest.mark.parametrize(("family", "kind"), [("bert", "wordpiece"), ("roberta", "byte bpe")])
def test_a_pair_gets_the_probability_of_the_label_called_entailment(family, kind, tmp_path: Path) -> None:
    saved_encoder(family, "ForSequenceClassification", tmp_path)
    write_tokenizer(kind, tmp_path, vocab_size=90)
    critic = load_entailment(tmp_path)
    scores = critic.scores(PAIRS)
    assert critic.name == "entailment" and scores.dtype == np.float64
    alone = [critic.scores([pair])[0] for pair in PAIRS]
    np.testing.assert_allclose(scores, alone, atol=1e-6)
    whole = load_text_classifier(tmp_path, truncates=True)
    probs = whole.probabilities([(pair.source, pair.target_text) for pair in PAIRS])
    np.testing.assert_allclose(scores, probs[:, 1], atol=1e-6)


def test_the_label_is_found_by_its_name_alone() -> None:
    assert entailment_label(("contradiction", "neutral", "Entailment"), "m") == 2
    assert entailment_label(("entailment", "not_entailment"), "m") == 0
    for labels in (("LABEL_0", "LABEL_1"), ("entailment", "ENTAILMENT")):
        with pytest.raises(UsageError, match="m sorts texts into"):
            entailment_label(labels, "m")
