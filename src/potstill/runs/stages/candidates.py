"""Stage `candidates`: what the generator proposes for each source, a chunk of sources at a time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from potstill.records.read import read_records
from potstill.records.write import write_jsonl
from potstill.runs.stage import StageContext
from potstill.runs.stages.sources import read_sources
from potstill.synthesis.pair import Candidate, Source, to_record


class PairGenerator(Protocol):
    """Proposes pairs; what it proposes for a source does not depend on the others."""

    def propose(self, sources: Sequence[Source]) -> list[Candidate]: ...


def propose(context: StageContext, generator: PairGenerator, chunk_sources: int) -> None:
    sources = read_sources(context.inputs["sources"])
    chunks = [sources[start : start + chunk_sources] for start in range(0, len(sources), chunk_sources)]
    missing = context.chunks(len(chunks), ".jsonl")
    done = len(sources) - sum(len(chunks[index]) for index, _ in missing)
    with context.progress.task("candidates", len(sources), "sources", done=done) as task:
        for index, path in missing:
            write_jsonl(path, map(to_record, generator.propose(chunks[index])))
            task.advance(len(chunks[index]))
    context.record("num_candidates", sum(1 for _ in read_candidates(context.folder)))


def candidate_chunks(folder: Path) -> list[Path]:
    return sorted(folder.glob("chunk-*.jsonl"))


def read_candidates(folder: Path) -> list[Candidate]:
    return [
        Candidate.from_record(record) for path in candidate_chunks(folder) for record in read_records(path)
    ]
