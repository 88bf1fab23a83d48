"""What a store says of itself, and the corpus.json that says it.

A store is a folder of tokenized documents; docs/formats/corpus.md tells its bytes.
"""

from dataclasses import dataclass
from pathlib import Path

from potstill.corpus.checksums import Checked
from potstill.corpus.sealed import read_sealed, write_sealed
from potstill.corpus.vocabulary import VocabularyFacts
from potstill.errors import ConfigError, DamagedError, MissingError
from potstill.settings import from_table, to_table

CORPUS_SCHEMA = "potstill.corpus/1"
CORPUS_FILE = "corpus.json"
TOKENS, DOCUMENTS, OFFSETS, SOURCES = "tokens.bin", "documents.bin", "offsets.bin", "sources.jsonl"
VOCABULARY_FOLDER = "vocabulary"
PADDING_BYTES = 8
MAX_SYMBOLS = 1 << 48
# A row of documents.bin; the last row says where the last document ends.
DOCUMENT_ROW = [("first_symbol", "<u8"), ("byte_start", "<u8"), ("source", "<u4"), ("record", "<u4")]
DOCUMENT_BYTES = 24


@dataclass(frozen=True)
class StoreFacts:
    """What is needed to read a store.

    num_documents    also the empty ones
    num_tokens       of all documents
    num_symbols      the tokens, and an end for each document
    symbol_bytes     1 to 4: width of a symbol in tokens.bin
    vocabulary       which vocabulary the tokens are of
    files            bytes of each file, by name
    checksums_crc32c CRC-32C of each 64 KiB block of checksums.bin
    num_bytes        of the documents' text, as far as tokens stand for it; None where it was not counted
    """

    num_documents: int
    num_tokens: int
    num_symbols: int
    symbol_bytes: int
    vocabulary: VocabularyFacts
    files: dict[str, int]
    checksums_crc32c: tuple[int, ...]
    num_bytes: int | None = None

    def __post_init__(self) -> None:
        if min(self.num_documents, self.num_tokens) < 0 or not 1 <= self.symbol_bytes <= 4:
            raise ConfigError("a count is negative, or symbols have a wrong width.")
        if self.num_symbols != self.num_tokens + self.num_documents or self.num_symbols >= MAX_SYMBOLS:
            raise ConfigError(f"{self.num_symbols} symbols are not the tokens and a document end each.")
        expected = {
            TOKENS: self.num_symbols * self.symbol_bytes + PADDING_BYTES,
            DOCUMENTS: (self.num_documents + 1) * DOCUMENT_BYTES,
        }
        for name, size in expected.items():
            if self.files.get(name) != size:
                raise ConfigError(f"{name} must have {size} bytes, not {self.files.get(name)}.")
        if SOURCES not in self.files or (OFFSETS in self.files) != (self.vocabulary.kind == "tokenizer"):
            raise ConfigError("a file is missing in the list of files.")
        if any(Path(name).name != name or size < 0 for name, size in self.files.items()):
            raise ConfigError("a file has no proper name or size.")

    @property
    def checked(self) -> Checked:
        return Checked(self.files, self.checksums_crc32c)


def write_corpus_facts(folder: Path, facts: StoreFacts) -> None:
    """The last step of writing a store: from here on it is whole."""
    write_sealed(folder / CORPUS_FILE, CORPUS_SCHEMA, to_table(facts))


def read_corpus_facts(folder: Path) -> StoreFacts:
    """MissingError if `folder` holds no corpus, DamagedError if corpus.json is altered or newer."""
    path = folder / CORPUS_FILE
    if not path.is_file():
        raise MissingError(
            f"{folder} is no corpus, or its build was never finished (it has no {CORPUS_FILE}). "
            f"Make one: potstill corpus build SOURCE --out {folder}"
        )
    try:
        return from_table(StoreFacts, read_sealed(path, CORPUS_SCHEMA))
    except ConfigError as error:
        raise DamagedError(f"{path}: {error} It was not written by this version; build it again.") from None
