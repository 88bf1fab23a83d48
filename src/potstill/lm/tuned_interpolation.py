"""The λ that are kept beside an index, with what they were tuned on."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from potstill.errors import ConfigError, DamagedError
from potstill.index.manifest import NAME, read_manifest, set_interpolation
from potstill.index.shards import is_sharded
from potstill.lm.interpolation import Interpolation
from potstill.settings import from_table, to_table


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedInterpolation:
    """weights      the two λ
    text         what the user calls the validation text
    text_sha256  of its documents' token ids, `sha256_of_documents`
    num_tokens   of the text
    model        the neural model's name
    perplexity   of the mixture on the text
    """

    weights: Interpolation
    text: str
    text_sha256: str
    num_tokens: int
    model: str
    perplexity: float


def keep_interpolation(index: Path, tuned: TunedInterpolation | None) -> None:
    """Store the λ in the index's manifest, a new generation; None takes them away.

    LockedError while another process changes the index.
    """
    set_interpolation(index, None if tuned is None else to_table(tuned))


def kept_interpolation(index: Path) -> TunedInterpolation | None:
    """The λ kept beside the index at `index`; None where none were tuned, and for shards, which keep none."""
    if is_sharded(index):
        return None
    table = read_manifest(index).interpolation
    if table is None:
        return None
    try:
        return from_table(TunedInterpolation, table)
    except ConfigError as error:
        raise DamagedError(f"{index / NAME}: the λ are not as this version writes them ({error}).") from None


def sha256_of_documents(documents: Iterable[Sequence[int]]) -> str:
    """Of the documents' ids as little-endian u32, each document after its number of tokens as u64."""
    digest = hashlib.sha256()
    for ids in documents:
        digest.update(len(ids).to_bytes(8, "little"))
        digest.update(np.asarray(ids, dtype="<u4").tobytes())
    return digest.hexdigest()
