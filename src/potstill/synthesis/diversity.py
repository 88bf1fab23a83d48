"""One pair for each thing said: connected components of "says the same", the best pair of each kept.

Impossible Distillation (arXiv:2305.16635v4), Algorithm 1: over the pairs of one context, an edge joins two
pairs whose sources say the same or whose targets do. What says the same is for the run's equivalence critic
to judge. Pairs that share one given source are joined by their targets only.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from potstill.types import Critic, TextPair


def best_of_each(pairs: Sequence[TextPair], quality: np.ndarray, critic: Critic, minimum: float) -> list[int]:
    """Indices, ascending, of the pair with the highest `quality` in each component; the first one on ties.

    pairs are those of one context; `quality` is [num_pairs], higher is better.
    """
    groups = _components(len(pairs), _edges(pairs, critic, minimum))
    return sorted(max(group, key=lambda index: (quality[index], -index)) for group in groups)


def _edges(pairs: Sequence[TextPair], critic: Critic, minimum: float) -> Iterator[tuple[int, int]]:
    """Both texts of two pairs are asked about at once, so that the critic sees one large batch."""
    joined = list(combinations(range(len(pairs)), 2))
    sides = [TextPair(pairs[i].target_text, pairs[j].target_text) for i, j in joined]
    sides += [
        TextPair(pairs[i].source, pairs[j].source) for i, j in joined if pairs[i].source != pairs[j].source
    ]
    unique = list(dict.fromkeys(side for side in sides if side.source != side.target_text))
    says_same = dict(zip(unique, critic.scores(unique) >= minimum, strict=True)) if unique else {}
    for i, j in joined:
        targets = TextPair(pairs[i].target_text, pairs[j].target_text)
        sources = TextPair(pairs[i].source, pairs[j].source)
        have_own_sources = sources.source != sources.target_text
        if (
            targets.source == targets.target_text
            or says_same[targets]
            or (have_own_sources and says_same[sources])
        ):
            yield i, j


def _components(count: int, edges: Iterator[tuple[int, int]]) -> list[list[int]]:
    parent = list(range(count))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for first, second in edges:
        parent[root(first)] = root(second)
    groups: dict[int, list[int]] = {}
    for index in range(count):
        groups.setdefault(root(index), []).append(index)
    return list(groups.values())
