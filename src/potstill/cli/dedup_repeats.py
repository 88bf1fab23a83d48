"""`potstill corpus dedup --repeats N`: documents that mostly stand, word for word, in earlier ones."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from potstill.progress import Progress


def drop_repeated(
    corpus: Path, out: Path, *, min_tokens: int, share: float, progress: "Progress"
) -> dict[str, Any]:
    """Write the corpus without documents of which at least `share` repeats runs of `min_tokens` tokens."""
    from potstill.devices import memory_budget
    from potstill.index.decontamination import indexed, write_without
    from potstill.index.repeats import find_repeats
    from potstill.index.shards import open_any

    with indexed(corpus, memory_bytes=memory_budget(), progress=progress) as index:
        opened = open_any(index)
        found = find_repeats(opened, min_tokens)
        shares = found.later_shares().tolist()
        dropped = {
            number: {"reason": "repeats", "share": round(held, 4)}
            for number, held in enumerate(shares)
            if held > 0 and held >= share
        }
        write_without(opened, dropped, out, progress)
    return {
        "num_repeated_tokens": found.repeated.num_tokens,
        "num_later_tokens": found.later.num_tokens,
        "num_dropped": len(dropped),
    }
