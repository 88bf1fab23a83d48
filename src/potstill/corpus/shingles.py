"""A document's runs of a few tokens as a set of 64-bit hashes, and how alike two such sets are."""

import numpy as np
import numpy.typing as npt

from potstill.corpus.vocabulary import Ids

# Runs of five tokens; a byte is about a quarter of one, and runs of five bytes are alike in any two texts.
SHINGLE_TOKENS = {"tokenizer": 5, "bytes": 20}
Hashes = npt.NDArray[np.uint64]
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def shingles(ids: Ids, width: int) -> Hashes:
    """Sorted distinct hashes of the runs of `width` tokens; a shorter document is one, an empty one none."""
    width = min(width, len(ids))
    if not width:
        return np.zeros(0, np.uint64)
    tokens = ids.astype(np.uint64) + np.uint64(1)
    hashes = np.full(len(ids) - width + 1, width, np.uint64)
    for place in range(width):
        hashes = _mixed(hashes * _MULTIPLIER + tokens[place : place + len(hashes)])
    return np.unique(hashes)


def jaccard(first: Hashes, second: Hashes) -> float:
    """|intersection| / |union|, 1.0 for two empty sets."""
    num_common = len(np.intersect1d(first, second, assume_unique=True))
    num_all = len(first) + len(second) - num_common
    return num_common / num_all if num_all else 1.0


def _mixed(hashes: Hashes) -> Hashes:
    """SplitMix64's finalizer (Steele et al. 2014), which spreads each bit over all."""
    hashes = (hashes ^ (hashes >> np.uint64(30))) * _MIX_1
    hashes = (hashes ^ (hashes >> np.uint64(27))) * _MIX_2
    return hashes ^ (hashes >> np.uint64(31))
