"""Stage `sources`: the sentences the pairs start from, out of the user's corpus or written by the teacher."""

from collections.abc import Iterator
from pathlib import Path

from potstill.corpus.documents import read_documents
from potstill.corpus.files import find_files
from potstill.corpus.sampling import sample_sentences
from potstill.errors import MissingError
from potstill.records.read import read_records
from potstill.records.write import write_jsonl
from potstill.runs.recipe import CorpusSettings
from potstill.runs.stage import StageContext
from potstill.runs.stages.workshop import Workshop
from potstill.synthesis.contexts import StoryWriter
from potstill.synthesis.pair import CorpusSpan, Source, pair_id, to_record
from potstill.synthesis.settings import SynthesisSettings

FILE = "sources.jsonl"
STORIES_AT_ONCE = 64
# A teacher whose stories hold this few usable sentences cannot be led by news prefixes.
_MIN_SOURCES_A_STORY = 0.05


def from_corpus(context: StageContext, corpus: CorpusSettings, settings: SynthesisSettings) -> None:
    left_out = find_files(corpus.paths).left_out
    context.record("files_left_out", [path.name for path in left_out])
    count = min(settings.num_sources, corpus.max_sentences or settings.num_sources)
    sentences = sample_sentences(
        read_documents(corpus.paths, corpus.field),
        count,
        context.seed,
        min_words=settings.min_words,
        max_words=settings.max_words,
    )
    if not sentences:
        places = ", ".join(map(str, corpus.paths))
        raise MissingError(
            f"{places} holds no sentence of {settings.min_words} to {settings.max_words} words. Give more "
            f"text, or lower [synthesis] min_words."
        )
    sources = [
        Source(
            id=pair_id("corpus", sentence.text),
            text=sentence.text,
            context=" ".join(sentence.previous),
            span=CorpusSpan(sentence.path.name, sentence.record, sentence.start, sentence.end),
        )
        for sentence in sentences
    ]
    write_jsonl(context.folder / FILE, map(to_record, sources))
    context.record("num_sources", len(sources))


def from_teacher(context: StageContext, workshop: Workshop, settings: SynthesisSettings) -> None:
    """Stories are written a chunk at a time until they hold enough sentences, each sentence once."""
    writer = StoryWriter(workshop.generator, settings, context.seed)
    sources: dict[str, Source] = {}
    with context.progress.task("sources", settings.num_sources, "sentences") as task:
        for chunk, path in _chunks(context):
            if not path.exists():
                stories = range(chunk * STORIES_AT_ONCE, (chunk + 1) * STORIES_AT_ONCE)
                write_jsonl(path, map(to_record, writer.write(stories)))
            before = len(sources)
            for source in map(Source.from_record, read_records(path)):
                sources.setdefault(source.text, source)
            task.advance(min(len(sources), settings.num_sources) - min(before, settings.num_sources))
            if len(sources) >= settings.num_sources:
                break
            if len(sources) < _MIN_SOURCES_A_STORY * (chunk + 1) * STORIES_AT_ONCE:
                raise MissingError(
                    f"The teacher wrote {(chunk + 1) * STORIES_AT_ONCE} stories with only {len(sources)} "
                    f"usable sentences. Give it text of your own with --corpus PATH."
                )
    write_jsonl(context.folder / FILE, map(to_record, list(sources.values())[: settings.num_sources]))
    context.record("num_sources", min(len(sources), settings.num_sources))


def read_sources(folder: Path) -> list[Source]:
    return [Source.from_record(record) for record in read_records(folder / FILE)]


def _chunks(context: StageContext) -> Iterator[tuple[int, Path]]:
    index = 0
    while True:
        yield index, context.chunk_path(index, ".jsonl")
        index += 1
