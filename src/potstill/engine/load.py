"""From a model's files to a generator."""

from pathlib import Path

from potstill.devices import default_device
from potstill.engine.drafts.load import load_drafter
from potstill.engine.engine import Engine
from potstill.engine.generator import EngineGenerator
from potstill.engine.params import EngineParams
from potstill.errors import UsageError
from potstill.lm.load import load_lm
from potstill.progress import Progress
from potstill.types import DtypeName


def load_generator(
    path: Path,
    *,
    dtype: DtypeName = "auto",
    device: str | None = None,
    params: EngineParams | None = None,
    draft: str | None = None,
    index: Path | None = None,
    compile_cache: Path | None = None,
    progress: Progress | None = None,
) -> EngineGenerator:
    """The model in a folder in Hugging Face layout or in a GGUF file; `device` None is the best one here.

    `draft` is one of `potstill.engine.drafts.load.KINDS`, `index` the folder that it may read; `progress` is
    of a draft model that is fetched; `compile_cache` is where packed weights are kept, as for `load_lm`.
    """
    if index is not None and draft is None:
        raise UsageError(
            f"The index {index} is read by a draft. Name one, such as infinigram, or leave it out."
        )
    params = params or EngineParams()
    place = default_device(device)
    model, tokenizer = load_lm(path, dtype=dtype, device=place, params=params, compile_cache=compile_cache)
    drafter = None
    if draft is not None:
        drafter = load_drafter(
            draft,
            tokenizer=tokenizer,
            vocab_size=model.vocab_size,
            encodes_prompt=model.encodes_prompt,
            index=index,
            params=params,
            dtype=dtype,
            device=device,
            compile_cache=compile_cache,
            progress=progress,
        )
    return EngineGenerator(Engine(model, params, tokenizer.eos_ids, drafter), tokenizer)
