from functools import partial
from pathlib import Path

import pytest

from engine.tiny_decoder import tiny_decoder
from models.t5_reference import saved_t5
from potstill.corpus.vocabulary import ByteVocabulary, TokenizerVocabulary
from potstill.engine.drafts.decoder_draft import DecoderDraft
from potstill.engine.drafts.load import KINDS, check_kind, load_drafter
from potstill.engine.engine import Engine
from potstill.engine.load import load_generator
from potstill.engine.params import EngineParams
from potstill.errors import ModelMissing, UsageError
from potstill.index.build import BuildSettings, build_index
from potstill.models.export import save_decoder
from potstill.tokenization.load import load_tokenizer
from potstill.types import SamplingParams, TextRequest
from tokenization.small_tokenizers import LINES, write_tokenizer

PARAMS = EngineParams(kv_bytes=1 << 20)
# The tokenizers learn fewer tokens: an embedding has rows to spare.
VOCAB_SIZE = 110


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A target, a draft model of half its size with more rows, and one of another vocabulary."""
    folder = tmp_path_factory.mktemp("models")
    for name, kind, changes in (
        ("target", "byte bpe", {}),
        ("draft", "byte bpe", {"vocab_size": VOCAB_SIZE + 8, "num_layers": 1, "windows": (None,)}),
        ("foreign", "unigram", {}),
    ):
        write_tokenizer(kind, folder / "tokenizers" / name)
        decoder = tiny_decoder(**{"vocab_size": VOCAB_SIZE, **changes})
        save_decoder(decoder, load_tokenizer(folder / "tokenizers" / name), folder / name)
    return folder


def drafter_for(models: Path, kind: str, **changes):
    tokenizer = load_tokenizer(models / "target")
    asked = {"tokenizer": tokenizer, "vocab_size": VOCAB_SIZE, "params": PARAMS, "device": "cpu"}
    return load_drafter(kind, **{**asked, **changes})


@pytest.fixture(scope="module")
def indexes(models: Path) -> Path:
    """`own` is of the target's tokens, `foreign` of another tokenizer's, `bytes` of bytes."""
    folder = models / "indexes"
    texts = models / "texts"
    texts.mkdir()
    (texts / "lines.txt").write_text("\n".join(LINES))
    vocabularies = {
        "own": TokenizerVocabulary(load_tokenizer(models / "target")),
        "foreign": TokenizerVocabulary(load_tokenizer(models / "foreign")),
        "bytes": ByteVocabulary(),
    }
    for name, vocabulary in vocabularies.items():
        build_index([texts], folder / name, vocabulary, BuildSettings(1 << 26))
    return folder


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_indexed", [False, True])
def test_every_kind_writes_the_texts_that_are_written_without(kind, is_indexed, models, indexes, monkeypatch):
    # While the clock stands still all guesses are run.
    monkeypatch.setattr("potstill.engine.load.Engine", partial(Engine, clock=lambda: 0.0))
    kind = kind.replace("MODEL", str(models / "draft"))
    if is_indexed and not kind.startswith(("infinigram", "staged")):
        with pytest.raises(UsageError, match="reads no index"):
            drafter_for(models, kind, index=indexes / "own")
        return
    index = indexes / "own" if is_indexed else None
    requests = [
        TextRequest(line, SamplingParams(temperature=at * 0.5, max_tokens=12))
        for at, line in enumerate(LINES)
    ]
    plain, drafted = (
        load_generator(models / "target", dtype="fp32", device="cpu", params=PARAMS, **asked)
        for asked in ({}, {"draft": kind, "index": index})
    )
    found = [sorted(generator.complete(requests)) for generator in (plain, drafted)]
    assert [done.token_ids for _, done in found[0]] == [done.token_ids for _, done in found[1]]
    assert drafted.engine.stats.num_tokens_drafted > 0


def test_a_draft_model_may_have_other_rows_to_spare_than_the_target(models):
    draft = drafter_for(models, f"model:{models / 'draft'}")
    assert isinstance(draft, DecoderDraft) and draft.vocab_size == VOCAB_SIZE


@pytest.mark.parametrize(
    "kind", ["", "magic", "model", "model:", "staged", "lookahead:x", "MODEL", "model:MODEL:"]
)
def test_an_unknown_kind_is_told_which_there_are(models, kind):
    with pytest.raises((UsageError, ModelMissing)) as refusal:
        drafter_for(models, kind)
    if not kind.startswith("model:M"):
        assert "prompt-lookup, infinigram, lookahead, model:MODEL, staged:MODEL" in str(refusal.value)
        with pytest.raises(UsageError, match="There is no draft"):
            check_kind(kind, has_index=False)


def test_a_draft_model_of_another_vocabulary_is_refused_before_its_weights_are_read(models):
    (models / "foreign" / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(UsageError, match="another tokenizer than the model it drafts for: token 0 is"):
        drafter_for(models, f"model:{models / 'foreign'}")


def test_a_draft_model_that_reads_prompts_otherwise_is_refused(models, tmp_path):
    pytest.importorskip("transformers", reason="transformers is in the group `oracles`")
    saved_t5("flan-t5", tmp_path)
    write_tokenizer("byte bpe", tmp_path)
    with pytest.raises(UsageError, match="reads prompts with an encoder, and .* is a decoder alone"):
        drafter_for(models, f"model:{tmp_path}")
    with pytest.raises(UsageError, match="is a decoder alone, and .* reads prompts with an encoder"):
        drafter_for(models, f"staged:{models / 'draft'}", encodes_prompt=True)


@pytest.mark.parametrize(("name", "said"), [("foreign", "token 0 is"), ("bytes", "its tokens are bytes")])
def test_an_index_of_another_vocabulary_is_refused_with_the_next_step(models, indexes, name, said):
    with pytest.raises(UsageError, match=f"{said}.*potstill index build --tokenizer MODEL"):
        drafter_for(models, "infinigram", index=indexes / name)


def test_an_index_that_no_draft_reads_is_refused(models, indexes):
    with pytest.raises(UsageError, match="is read by a draft"):
        load_generator(models / "target", index=indexes / "own")


def test_packed_weights_of_a_draft_model_are_kept_too(models, tmp_path):
    load_generator(
        models / "target",
        dtype="bf16",
        device="cpu",
        params=PARAMS,
        draft=f"model:{models / 'draft'}",
        compile_cache=tmp_path,
    )
    assert len(list(tmp_path.glob("*.packed"))) == 2
