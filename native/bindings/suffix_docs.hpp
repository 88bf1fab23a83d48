// Signatures and documentation of the classes in suffix_search.cpp.
#pragma once

// A string literal, so that it can stand inside of others.
#define POTSTILL_IDS "collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer]"

namespace potstill {

inline constexpr const char* kSegmentSignature =
    "def __init__(self, folder: str | os.PathLike[str], *, symbol_bytes: int, num_symbols: int, num_tokens: "
    "int, "
    "num_documents: int, vocab_size: int, position_bits: int, num_bigrams: int | None, files: "
    "collections.abc.Mapping[str, int], "
    "checksums: collections.abc.Mapping[str, numpy.typing.NDArray[numpy.uint32]]) -> None";

inline constexpr const char* kSegmentDoc = R"(One segment of an index, its files mapped for reading.

`files` names every file with its size in bytes, `checksums` the CRC-32C of its 64 KiB blocks. Sizes are checked
at once, a block when it is first touched, and every number that is read before it is used: DamagedFileError
names the file and the byte. OSError for a file that is not there, ValueError for numbers that do not fit
together.)";

inline constexpr const char* kVerifyDoc =
    R"(Check every block of every file, the order of the suffixes and the tables.

Raises DamagedFileError, or CancelledError once `work` is cancelled. `work.done` counts bytes of the files and
then symbols, positions and entries of the tables.)";

inline constexpr const char* kReaderDoc = R"(The questions that an index answers, over all of its segments.

`signs` has 1 for each segment, or -1 for one that holds copies of deleted documents: counts are sums with these
signs. Ids are sequences of int or 1-D integer arrays; an id outside of the vocabulary is a ValueError. Any number
of threads may ask at once, the GIL is free meanwhile.)";

inline constexpr const char* kCountSignature = "def count(self, ids: " POTSTILL_IDS ") -> int";
inline constexpr const char* kCountDoc =
    "How often the tokens stand in a row, never across documents; the number of tokens for none.";

inline constexpr const char* kCountBatchSignature =
    "def count_batch(self, ids: numpy.typing.NDArray[numpy.uint32], starts: "
    "numpy.typing.NDArray[numpy.int64], threads: int = 1) -> "
    "numpy.typing.NDArray[numpy.int64]";
inline constexpr const char* kCountBatchDoc =
    "count of B queries: query i is ids[starts[i] : starts[i + 1]], starts int64 [B + 1].";

inline constexpr const char* kRangesSignature =
    "def ranges(self, ids: " POTSTILL_IDS ") -> list[tuple[int, int, int]]";
inline constexpr const char* kRangesDoc =
    "Segment, first and one past the last rank of the suffixes that begin with the tokens, where there are "
    "any.";

inline constexpr const char* kNextSignature =
    "def next(self, ids: " POTSTILL_IDS
    ", budget: int = 0) -> tuple[numpy.typing.NDArray[numpy.int64], numpy.typing.NDArray[numpy.int64], int]";
inline constexpr const char* kNextDoc =
    R"(What follows the tokens: ids ascending, their counts, and what is unresolved.

vocab_size stands last for the end of a document; after no tokens there is none. With `budget` > 0 at most so many
suffixes are looked at, and `unresolved` occurrences are in no count; it is 0 when the answer is exact.)";

inline constexpr const char* kNextBatchSignature =
    "def next_batch(self, ids: numpy.typing.NDArray[numpy.uint32], starts: "
    "numpy.typing.NDArray[numpy.int64], threads: int = 1) -> "
    "tuple[numpy.typing.NDArray[numpy.int64], numpy.typing.NDArray[numpy.int64], "
    "numpy.typing.NDArray[numpy.int64]]";
inline constexpr const char* kNextBatchDoc =
    "next of B queries, exact: ids and counts of all rows in a row, and where each row starts [B + 1].";

inline constexpr const char* kScoreSignature =
    "def score(self, ids: " POTSTILL_IDS
    ", max_suffix: int | None = None, threads: int = 1) -> tuple[numpy.typing.NDArray[numpy.int32], "
    "numpy.typing.NDArray[numpy.int64], numpy.typing.NDArray[numpy.int64], "
    "numpy.typing.NDArray[numpy.bool_]]";
inline constexpr const char* kScoreDoc = R"(The infinity-gram of each of T tokens after all before it.

suffix_len [T]     tokens of the longest suffix of what stands before that occurs, at most `max_suffix`
context_count [T]  how often that suffix occurs
count [T]          how often the token follows it: the probability is count / context_count
is_sparse [T]      whether one thing alone follows it, a document's end being one)";

inline constexpr const char* kInfgramSignature =
    "def infgram_batch(self, ids: numpy.typing.NDArray[numpy.uint32], starts: "
    "numpy.typing.NDArray[numpy.int64], threads: int = 1) -> "
    "tuple[numpy.typing.NDArray[numpy.int32], numpy.typing.NDArray[numpy.int64], "
    "numpy.typing.NDArray[numpy.int64], numpy.typing.NDArray[numpy.bool_]]";
inline constexpr const char* kInfgramDoc =
    "What score gives for the last token of each of B queries, none of them empty.";

inline constexpr const char* kLongestSignature =
    "def longest_matches(self, ids: " POTSTILL_IDS ", threads: int = 1) -> numpy.typing.NDArray[numpy.int32]";
inline constexpr const char* kLongestDoc =
    "For each token how long the longest n-gram is that begins there and occurs; 0 where the token does not.";

inline constexpr const char* kSpansSignature =
    "def spans(self, ids: " POTSTILL_IDS
    ", min_length: int = 1, threads: int = 1) -> tuple[numpy.typing.NDArray[numpy.int32], "
    "numpy.typing.NDArray[numpy.int32], numpy.typing.NDArray[numpy.int64]]";
inline constexpr const char* kSpansDoc =
    "Matches of at least `min_length` tokens that no other contains: starts, lengths, counts, in order.";

inline constexpr const char* kPositionsDoc =
    "Where the suffixes of ranks lo .. hi begin, in their order: positions in the stream of symbols.";

inline constexpr const char* kDocumentsSignature =
    "def documents(self, segment: int, positions: numpy.typing.NDArray[numpy.uint64]) -> "
    "tuple[numpy.typing.NDArray[numpy.uint64], "
    "numpy.typing.NDArray[numpy.uint64]]";
inline constexpr const char* kDocumentsDoc =
    "The document that holds each position, and how many tokens of it stand before.";

inline constexpr const char* kPassageSignature =
    "def passage(self, segment: int, rank: int, max_tokens: int) -> "
    "tuple[int, int, int, int, numpy.typing.NDArray[numpy.uint32]]";
inline constexpr const char* kPassageDoc = R"(The tokens around the suffix of a rank.

The document, tokens of it before the suffix, its tokens, the first of them that is returned, and at most
`max_tokens` ids from there on.)";

inline constexpr const char* kSymbolsDoc =
    "Symbols first .. stop of the stream: token id + 1, and 0 where a document ends.";

inline constexpr const char* kBoundsDoc =
    "First and one past the last position of a document's tokens; the symbol that ends it stands there.";

inline constexpr const char* kRowDoc =
    "A document's first position, bytes of its source before it, number of its source, number of its record.";

inline constexpr const char* kStateDoc = R"(The longest suffix of a stream of tokens that occurs in the index.

Extended token by token with a bounded number of searches each, on average. Threads that share one take turns.)";

inline constexpr const char* kExtendDoc = "Take in a token: ValueError, and nothing changed, if it is no id.";

inline constexpr const char* kStateNextSignature =
    "def next(self, budget: int = 0) -> tuple[numpy.typing.NDArray[numpy.int64], "
    "numpy.typing.NDArray[numpy.int64], int]";
inline constexpr const char* kStateNextDoc = "What follows the suffix, as Reader.next.";

}  // namespace potstill
