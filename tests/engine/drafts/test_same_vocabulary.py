from pathlib import Path

import pytest
import tokenizers

from potstill.engine.drafts.same_vocabulary import check_same_vocabulary, first_difference
from potstill.errors import ModelMissing, UsageError
from potstill.hub.resolve import resolve
from potstill.progress import Silent
from potstill.tokenization.gguf_vocabulary import GgufVocabulary, build_backend
from potstill.tokenization.load import load_tokenizer
from potstill.tokenization.tokenizer import Tokenizer

PIECES = ["a", "b", "▁", "ab", "▁ab"]


def tokenizer_of(
    pieces: list[str], *, eos_ids: tuple[int, ...] = (1,), bos_id: int | None = 0, **added: list[str]
) -> Tokenizer:
    """As a tokenizer.json has it."""
    names = ["<bos>", "<eos>", "<unk>", *pieces]
    model = tokenizers.models.BPE({name: at for at, name in enumerate(names)}, [], unk_token="<unk>")
    backend = tokenizers.Tokenizer(model)
    backend.decoder = tokenizers.decoders.Metaspace()
    backend.add_special_tokens(["<bos>", "<eos>", "<unk>", *added.get("control", [])])
    backend.add_tokens(added.get("words", []))
    return Tokenizer(backend, bos_id=bos_id, eos_ids=eos_ids)


def from_gguf(pieces: list[str]) -> Tokenizer:
    names = ["<bos>", "<eos>", "<unk>", *pieces]
    vocabulary = GgufVocabulary(
        kind="llama",
        cuts="",
        tokens=names,
        scores=[0.0] * len(names),
        kinds=[3, 3, 2, *(5 if piece.startswith("[PAD") else 1 for piece in pieces)],
        merges=[],
        adds_space=False,
        bos_id=0,
        eos_ids=(1,),
        unknown_id=2,
        pad_id=None,
        adds_bos=True,
        chat_template=None,
    )
    return Tokenizer(build_backend(vocabulary), bos_id=0, eos_ids=(1,))


@pytest.mark.parametrize(
    "draft",
    [
        tokenizer_of(PIECES),
        from_gguf(PIECES),
        from_gguf([*PIECES, "[PAD8]", "[PAD9]"]),
        tokenizer_of(PIECES, control=["<image>"]),
        tokenizer_of(PIECES, eos_ids=(5, 1), bos_id=None),
    ],
    ids=["a copy", "a GGUF file", "a GGUF file with padding", "one more control token", "one more end"],
)
def test_equal_tokens_pass_whatever_files_they_came_from(draft):
    check_same_vocabulary(tokenizer_of(PIECES), draft)
    check_same_vocabulary(draft, tokenizer_of(PIECES))


@pytest.mark.parametrize(
    ("draft", "said"),
    [
        (tokenizer_of(["a", "b", "▁", "ba", "▁ab"]), "token 6 is b'ba' and the target's is b'ab'"),
        (tokenizer_of(["a", "b", "▁", "ab", "ab▁"]), r"token 7 is b'ab ' and the target's is b' ab'"),
        (tokenizer_of(["a", "b", "▁"]), "it has 6 tokens and the target has 8"),
        (tokenizer_of(PIECES, words=["<think>"]), "it has 9 tokens and the target has 8"),
        (tokenizer_of(PIECES, eos_ids=(2, 3)), "texts end with token 2 or 3 and the target's with token 1"),
        (tokenizer_of(PIECES, eos_ids=()), "texts end with no token and the target's with token 1"),
    ],
)
def test_another_tokenizer_is_refused_with_what_differs(draft, said):
    with pytest.raises(UsageError, match=said):
        check_same_vocabulary(tokenizer_of(PIECES), draft)


def test_one_token_for_bytes_and_one_for_text_stand_for_the_same():
    assert first_difference(tokenizer_of(["a"]), tokenizer_of(["a"], bos_id=None)) is None


@pytest.mark.weights
def test_gemma_is_the_same_from_its_gguf_file_and_from_a_saved_folder(tmp_path: Path) -> None:
    try:
        own = load_tokenizer(resolve("gemma-3-270m", progress=Silent()).path)
    except ModelMissing as error:
        pytest.skip(str(error))
    own.save(tmp_path)
    saved = load_tokenizer(tmp_path)
    check_same_vocabulary(own, Tokenizer(saved._backend, bos_id=None, eos_ids=saved.eos_ids))
