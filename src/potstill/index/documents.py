"""Documents and pieces of them as a person wants them: text, what stands around it, where it came from."""

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from potstill.corpus.manifest import TOKENS
from potstill.corpus.store import Provenance, Store
from potstill.corpus.vocabulary import Ids, Vocabulary
from potstill.errors import DamagedError, UsageError
from potstill.index.native_errors import damage_told
from potstill.index.numbering import DocumentPlace, Numbering
from potstill.index.results import Document, Occurrence, Passage
from potstill.index.snippets import LONGEST_CHARACTER_BYTES, Borders, Snippet, decode, snippet

if TYPE_CHECKING:
    from potstill._native import Reader


class Documents:
    """The documents of an index by number.

    stores  of every segment, in the manifest's order
    """

    def __init__(
        self,
        reader: "Reader",
        numbering: Numbering,
        stores: Sequence[Store],
        vocabulary: Vocabulary,
    ) -> None:
        self._reader, self._numbering = reader, numbering
        self._stores, self._vocabulary = stores, vocabulary

    def tokens(self, number: int) -> Ids:
        """The ids of a document, [N] uint32."""
        place = self._numbering.place_of(number)
        return self._ids(place.segment, *self._bounds(place))

    def document(self, number: int) -> Document:
        place = self._numbering.place_of(number)
        ids = self.tokens(number)
        return Document(
            number=number,
            tokens=tuple(ids.tolist()),
            text=decode(self._vocabulary.bytes_of(ids)),
            source=self._locate(place, 0, len(ids)),
            is_deleted=self._numbering.is_deleted(place),
        )

    def passage(self, occurrence: Occurrence, num_tokens: int, context_tokens: int) -> Passage:
        """`num_tokens` tokens at an occurrence, with up to so many tokens of context on either side."""
        place = self._numbering.place_of(occurrence.document)
        first, stop = self._bounds(place)
        start = first + occurrence.token_offset
        if context_tokens < 0:
            raise UsageError(f"context_tokens is {context_tokens}; it must be at least 0.")
        if occurrence.token_offset < 0 or num_tokens < 0 or start + num_tokens > stop:
            raise UsageError(
                f"Document {occurrence.document} has {stop - first:,} tokens: it has no {num_tokens:,} from "
                f"{occurrence.token_offset:,} on."
            )
        stop_match = start + num_tokens
        begin, end = max(first, start - context_tokens), min(stop, stop_match + context_tokens)
        # A few tokens more, to know the characters that the borders go through.
        outer = max(first, begin - LONGEST_CHARACTER_BYTES), min(stop, end + LONGEST_CHARACTER_BYTES)
        ids = self._ids(place.segment, *outer)
        text = self._snippet(ids, [border - outer[0] for border in (begin, start, stop_match, end)])
        ids = ids[begin - outer[0] : end - outer[0]]
        return Passage(
            document=occurrence.document,
            token_offset=occurrence.token_offset,
            num_tokens=num_tokens,
            before=text.before,
            match=text.match,
            after=text.after,
            tokens=tuple(ids.tolist()),
            match_at=start - begin,
            source=self._locate(place, occurrence.token_offset, num_tokens),
            is_deleted=self._numbering.is_deleted(place),
        )

    def beside(self, occurrence: Occurrence, num_tokens: int, max_tokens: int) -> tuple[Ids, Ids]:
        """Up to `max_tokens` ids right before and right after a piece of a document."""
        place = self._numbering.place_of(occurrence.document)
        first, stop = self._bounds(place)
        start = first + occurrence.token_offset
        ids = self._ids(
            place.segment, max(first, start - max_tokens), min(stop, start + num_tokens + max_tokens)
        )
        num_before = min(occurrence.token_offset, max_tokens)
        return ids[:num_before], ids[num_before + num_tokens :]

    def _snippet(self, ids: Ids, borders: Sequence[int]) -> Snippet:
        pieces = [self._vocabulary.bytes_of(piece) for piece in np.split(ids, borders)]
        return snippet(b"".join(pieces), Borders(*accumulate(map(len, pieces[:-1]))))

    def _bounds(self, place: DocumentPlace) -> tuple[int, int]:
        with damage_told():
            first, stop = self._reader.document_bounds(place.segment, place.document)
        return first, stop

    def _ids(self, segment: int, first: int, stop: int) -> Ids:
        with damage_told():
            symbols: Ids = self._reader.symbols(segment, first, stop)
        if not symbols.all():
            store = self._stores[segment]
            at = (first + int(np.flatnonzero(symbols == 0)[0])) * store.facts.symbol_bytes
            raise DamagedError(
                f"{store.folder / TOKENS}, byte {at:,}: a document ends where its row says that it goes on. "
                f"Restore the index from a copy or build it again."
            )
        return symbols - np.uint32(1)

    def _locate(self, place: DocumentPlace, first_token: int, num_tokens: int) -> Provenance:
        return self._stores[place.segment].locate(place.document, first_token, num_tokens)
