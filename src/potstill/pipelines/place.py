"""Where and how a pipeline's model runs."""

from dataclasses import dataclass
from pathlib import Path

from potstill.types import DtypeName


@dataclass(frozen=True, kw_only=True)
class Place:
    """dtype          of the weights; `auto` is fp32 for an encoder
    device         None for the best one here
    max_batch      texts that are written together at most
    draft          what guesses the next tokens of a text, by its name in `engine.drafts.load`; None: nothing
    index          a folder that a draft reads
    compile_cache  where packed weights are kept; None where POTSTILL_COMPILE_CACHE says, or nowhere
    """

    dtype: DtypeName = "auto"
    device: str | None = None
    max_batch: int = 32
    draft: str | None = None
    index: Path | None = None
    compile_cache: Path | None = None
