"""Planted n-grams and real text through indexes on the disk: built, opened, asked."""

import gzip
import json
import random
from pathlib import Path

import pytest

from index.stand_in import StandIn
from index.test_overlap import plant, text_of, vocabulary_named
from potstill.corpus.vocabulary import TokenizerVocabulary, Vocabulary
from potstill.errors import ModelMissing
from potstill.files import write_text
from potstill.hub.resolve import resolve
from potstill.index.build import BuildSettings, build_index
from potstill.index.overlap import measure
from potstill.index.reader import Index
from potstill.index.tracing import TraceSettings, trace
from potstill.progress import Silent
from potstill.tokenization.load import load_tokenizer

CORPUS = Path(__file__).parents[3] / "shared" / "data" / "corpus"


def built(folder: Path, texts: list[str], vocabulary: Vocabulary) -> Index:
    write_text(folder / "texts.jsonl", "".join(json.dumps({"text": text}) + "\n" for text in texts))
    build_index([folder / "texts.jsonl"], folder / "index", vocabulary, BuildSettings(1 << 27))
    return Index.open(folder / "index")


def missed_of(index: Index, texts: list[str], planted: list[str]) -> list[str]:
    return [
        ngram
        for found, ngram in zip(measure(index, texts), planted, strict=True)
        if not any(
            found.aligned.content[start:].startswith(ngram.encode())
            for start in found.aligned.words.starts[found.windows].tolist()
        )
    ]


@pytest.mark.parametrize("name", ["bytes", "byte-level", "three-digits", "metaspace"])
def test_a_thousand_planted_13_grams_are_found_in_one_index(tmp_path: Path, name: str) -> None:
    generator = random.Random(13)
    texts, documents, planted = zip(*(plant(generator, 13) for _ in range(1000)), strict=True)
    with built(tmp_path, list(documents), vocabulary_named(name)) as index:
        assert not missed_of(index, list(texts), list(planted))
        clean = [text_of(generator, 40) for _ in range(50)]
        assert not any(len(found.windows) for found in measure(index, clean))


@pytest.mark.weights
@pytest.mark.slow
def test_a_thousand_planted_13_grams_are_found_with_the_tokens_of_gemma(tmp_path: Path) -> None:
    try:
        tokenizer = load_tokenizer(resolve("gemma-3-270m", progress=Silent()).path)
    except ModelMissing as error:
        pytest.skip(str(error))
    generator = random.Random(17)
    texts, documents, planted = zip(*(plant(generator, 13) for _ in range(1000)), strict=True)
    with built(tmp_path, list(documents), TokenizerVocabulary(tokenizer)) as index:
        assert not missed_of(index, list(texts), list(planted))


def test_an_index_on_the_disk_traces_as_a_look_at_every_token_does(tmp_path: Path) -> None:
    generator, vocabulary = random.Random(3), vocabulary_named("byte-level")
    documents = [text_of(generator, 60) for _ in range(12)]
    text = " ".join(document[40:160] for document in documents[:3]) + text_of(generator, 30)
    settings = TraceSettings(density=1.0, limit_documents=20)
    wanted = trace(StandIn.of(documents, vocabulary), text, settings)
    with built(tmp_path, documents, vocabulary) as index:
        found = trace(index, text, settings)
    assert wanted.spans and found.num_found == wanted.num_found and found.regions == wanted.regions
    for one, other in zip(found.spans, wanted.spans, strict=True):
        assert (one.start, one.stop, one.count, one.logprob) == (
            other.start,
            other.stop,
            other.count,
            other.logprob,
        )
    assert [(each.number, each.score) for each in found.documents] == [
        (each.number, each.score) for each in wanted.documents
    ]


def test_pieces_of_real_text_are_traced_to_the_bytes_they_were_taken_from(tmp_path: Path) -> None:
    path = CORPUS / "wikipedia_articles.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"{path} is not there: real text is not part of the project")
    with gzip.open(path, "rt") as file:
        articles = [json.loads(line)["text"] for line, _ in zip(file, range(40), strict=False)]
    generator = random.Random(8)
    taken = [
        (number, article[start : start + 150])
        for number, article in enumerate(articles)
        for start in [generator.randrange(max(len(article) - 150, 1))]
    ]
    with built(tmp_path, articles, vocabulary_named("byte-level")) as index:
        for number, piece in taken:
            found = trace(index, f"Somebody wrote: {piece} and stopped.", TraceSettings(density=1.0))
            longest = max(found.spans, key=lambda span: span.stop - span.start)
            assert longest.byte_stop - longest.byte_start > len(piece.encode()) / 2
            hits = [hit for each in found.documents if each.number == number for hit in each.hits]
            source = next(hit.passage.source for hit in hits if found.spans[hit.span] == longest)
            held = articles[source.record].encode()[source.byte_start : source.byte_stop]
            assert held.decode().strip() == longest.text
