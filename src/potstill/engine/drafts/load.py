"""From what a user calls a draft to a drafter."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from potstill.engine.drafts.draft import Drafter
from potstill.engine.params import EngineParams
from potstill.errors import UsageError
from potstill.progress import Progress, Silent
from potstill.tokenization.tokenizer import Tokenizer
from potstill.types import DtypeName

if TYPE_CHECKING:
    from potstill.index.reader import Index

KINDS = ("prompt-lookup", "infinigram", "lookahead", "model:MODEL", "staged:MODEL")
_OF_A_MODEL = ("model", "staged")
_WITH_INDEX = ("infinigram", "staged")


def load_drafter(
    kind: str,
    *,
    tokenizer: Tokenizer,
    vocab_size: int,
    encodes_prompt: bool = False,
    index: Path | None = None,
    params: EngineParams,
    dtype: DtypeName = "auto",
    device: str | None = None,
    compile_cache: Path | None = None,
    progress: Progress | None = None,
) -> Drafter:
    """One of `KINDS`, for a model with this tokenizer and a head of `vocab_size` tokens.

    encodes_prompt  whether an encoder reads the target's prompts; a draft model must read them likewise
    index           for an ∞-gram, or for the one that drafts for a staged MODEL, which is prompt lookup else
    params          of a draft model, whose cache takes `kv_bytes` of its own
    compile_cache   where its packed weights are kept, as for `load_lm`

    MODEL is named as everywhere. UsageError for an unknown kind, and for a draft model or an index of another
    vocabulary.
    """
    check_kind(kind, has_index=index is not None)
    name, _, model = kind.partition(":")
    if name not in _OF_A_MODEL:
        return _without_model(name, tokenizer, vocab_size, index)
    inner = None
    if name == "staged":
        inner_kind = "prompt-lookup" if index is None else "infinigram"
        inner = _without_model(inner_kind, tokenizer, vocab_size, index)
    target = _Target(tokenizer, vocab_size, encodes_prompt)
    return _model_draft(model, inner, target, params, dtype, device, compile_cache, progress or Silent())


def check_kind(kind: str, *, has_index: bool) -> None:
    """UsageError for what no drafter is called, and for an index that none would read."""
    name, colon, model = kind.partition(":")
    if (f"{name}:MODEL" if colon else name) not in KINDS or (colon and not model):
        raise UsageError(f"There is no draft {kind!r}. Drafts are {', '.join(KINDS)}.")
    if has_index and name not in _WITH_INDEX:
        raise UsageError(f"The draft {kind} reads no index. Leave it out, or draft with infinigram.")


class _Target(NamedTuple):
    tokenizer: Tokenizer
    vocab_size: int
    encodes_prompt: bool


def _without_model(name: str, tokenizer: Tokenizer, vocab_size: int, index: Path | None) -> Drafter:
    if name == "prompt-lookup":
        from potstill.engine.drafts.prompt_lookup import PromptLookup

        return PromptLookup(vocab_size)
    if name == "lookahead":
        from potstill.engine.drafts.lookahead import Lookahead

        return Lookahead(vocab_size)
    from potstill.engine.drafts.infinigram import InfinigramDraft

    return InfinigramDraft(vocab_size, None if index is None else _open_index(index, tokenizer))


def _open_index(path: Path, tokenizer: Tokenizer) -> "Index":
    from potstill.corpus.vocabulary import TokenizerVocabulary
    from potstill.engine.drafts.same_vocabulary import first_difference
    from potstill.index.reader import Index

    index = Index.open(path)
    vocabulary = index.vocabulary
    difference: str | None = "its tokens are bytes"
    if isinstance(vocabulary, TokenizerVocabulary):
        difference = first_difference(tokenizer, vocabulary.tokenizer)
    if difference is None:
        return index
    index.close()
    raise UsageError(
        f"{path} was built with another tokenizer than the model's: {difference}. "
        f"Build an index with the model's: potstill index build --tokenizer MODEL."
    )


def _model_draft(
    name: str,
    inner: Drafter | None,
    target: _Target,
    params: EngineParams,
    dtype: DtypeName,
    device: str | None,
    compile_cache: Path | None,
    progress: Progress,
) -> Drafter:
    from potstill.devices import default_device
    from potstill.engine.drafts.decoder_draft import DecoderDraft
    from potstill.engine.drafts.same_vocabulary import check_same_vocabulary
    from potstill.hub.resolve import resolve
    from potstill.lm.load import load_lm
    from potstill.models.registry import architecture_of
    from potstill.tokenization.load import load_tokenizer

    path = resolve(name, progress=progress).path
    # Before its weights, which may take minutes to read.
    check_same_vocabulary(target.tokenizer, load_tokenizer(path))
    if (has_encoder := architecture_of(path) == "encoder_decoder") != target.encodes_prompt:
        raise UsageError(
            f"{name} {_reads(has_encoder)}, and the model it is to draft for "
            f"{_reads(target.encodes_prompt)}. Take a draft model of the same kind."
        )
    place = default_device(device)
    decoder, _ = load_lm(path, dtype=dtype, device=place, params=params, compile_cache=compile_cache)
    eos_ids = target.tokenizer.eos_ids
    return DecoderDraft(decoder, params, inner, eos_ids=eos_ids, vocab_size=target.vocab_size)


def _reads(encodes_prompt: bool) -> str:
    return "reads prompts with an encoder" if encodes_prompt else "is a decoder alone"
