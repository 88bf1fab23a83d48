from pathlib import Path

import pytest

import potstill
from potstill.pipelines.input_limit import InputLimit, InputsCut
from potstill.tokenization.load import load_tokenizer
from potstill.tokenization.tokenizer import Tokenizer
from tokenization.small_tokenizers import LINES, write_tokenizer


@pytest.fixture(scope="module", params=["unigram", "wordpiece", "byte bpe"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(request.param, folder)
    return load_tokenizer(folder)


@pytest.mark.parametrize("most", [1, 3, 8])
@pytest.mark.parametrize("keeps", ["first", "last"])
def test_an_end_of_a_long_text_is_kept_and_that_is_told(most: int, keeps: str, tokenizer: Tokenizer) -> None:
    texts = ["cat", *LINES, "déjà vu 🙂 水" * 4]
    with pytest.warns(
        InputsCut, match=f"5 of 6 inputs had more than max_input_tokens={most} .*the {keeps} of"
    ):
        cut = InputLimit(most, keeps).cut(["", *texts[1:]], tokenizer)  # type: ignore[arg-type]
    for text, short in zip(texts[1:], cut[1:], strict=True):
        assert len(tokenizer.encode(short)) <= most and len(short) < len(text)
        assert text.startswith(short) if keeps == "first" else text.endswith(short)


def test_texts_that_fit_stay_and_nothing_is_said(tokenizer: Tokenizer) -> None:
    assert InputLimit(500).cut(LINES, tokenizer) == LINES == InputLimit(None).cut(LINES, tokenizer)


def test_both_texts_of_a_pair_are_cut(classifier: Path) -> None:
    with potstill.pipeline("text-classification", model=classifier, device="cpu") as made:
        short = made({"text": " ".join(["cat"] * 5), "text_pair": " ".join(["dog"] * 5)}, max_input_tokens=99)
        long = {"text": "cat " * 200, "text_pair": "dog " * 200}
        with pytest.warns(InputsCut, match="2 of 2"):
            cut = made(
                long,
                max_input_tokens=made._held.model.reader.tokenizer.encode("cat cat cat cat cat").__len__(),
            )
        assert cut["label"] == short["label"]
        with pytest.raises(potstill.PotstillError, match="max_input_tokens of a pipeline"):
            made(long)
