"""From a vocabulary with scores, as SentencePiece has it, to the ordered merges that BPE wants."""

from collections.abc import Mapping, Sequence

Merge = tuple[str, str]


def merges_by_score(
    id_of: Mapping[str, int], scores: Sequence[float], mergeable: Sequence[bool]
) -> list[Merge]:
    """Every split of a token into two tokens, the best-scored token's splits first.

    SentencePiece and llama.cpp join, again and again, the neighbours whose joint text is the best-scored
    token, the leftmost on a tie. A BPE that joins the pair of lowest rank does so too if ranks follow scores.
    Tokens that are not `mergeable` (control and byte tokens) are neither parts nor products, so that no plain
    text can be joined into a control token.
    """
    usable = {text for text, token_id in id_of.items() if mergeable[token_id]}
    merges: list[Merge] = []
    for text in sorted(usable, key=lambda text: (-scores[id_of[text]], id_of[text])):
        splits = ((text[:middle], text[middle:]) for middle in range(1, len(text)))
        merges.extend(split for split in splits if split[0] in usable and split[1] in usable)
    return merges
