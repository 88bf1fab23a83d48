"""`potstill index build --shards N --executor local|ray`: an index in shards."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from potstill.corpus.vocabulary import Vocabulary
    from potstill.index.build import BuildSettings
    from potstill.index.shards import Shards
    from potstill.progress import Progress


@dataclass(frozen=True)
class ShardPlan:
    """As the command line has it: how many shards (None: one a worker), who builds them, how many workers."""

    num_shards: int | None
    executor: str | None
    num_workers: int | None

    @property
    def is_asked_for(self) -> bool:
        return self.num_shards is not None or self.executor is not None


def build_in_shards(
    sources: Sequence[Path],
    out: Path,
    vocabulary: "Vocabulary",
    settings: "BuildSettings",
    plan: ShardPlan,
    progress: "Progress",
) -> "Shards":
    from potstill.executors.executor import open_executor
    from potstill.index.shard_build import build_shards

    with open_executor(plan.executor or "local", plan.num_workers) as executor:
        return build_shards(
            sources, out, vocabulary, settings, executor, num_shards=plan.num_shards, progress=progress
        )


def show_shards(index: Path, built: "Shards", *, as_json: bool) -> None:
    from potstill.cli.output import print_json, printable

    if as_json:
        told = {
            "index": str(index),
            "generation": built.generation,
            "num_documents": built.num_documents,
            "num_tokens": built.num_tokens,
            "num_shards": len(built.shards),
        }
        print_json("potstill.index-shards/1", told)
        return
    print(
        f"{printable(index)}: {built.num_documents:,} documents, {built.num_tokens:,} tokens, "
        f"{len(built.shards)} shards, generation {built.generation}"
    )
