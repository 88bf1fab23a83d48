"""Documents and pieces of them as a person wants them: text, what stands around it, where it came from."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from potstill.corpus.manifest import TOKENS
from potstill.corpus.store import Provenance, Store
from potstill.corpus.vocabulary import Ids, Vocabulary
from potstill.errors import DamagedError, UsageError
from potstill.index.native_errors import damage_told
from potstill.index.numbering import DocumentPlace, Numbering
from potstill.index.results import Document, Occurrence, Passage
from potstill.index.snippets import decode, snippet

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
        if occurrence.token_offset < 0 or num_tokens < 0 or start + num_tokens > stop:
            raise UsageError(
                f"Document {occurrence.document} has {stop - first:,} tokens: it has no {num_tokens:,} from "
                f"{occurrence.token_offset:,} on."
            )
        begin, end = max(first, start - context_tokens), min(stop, start + num_tokens + context_tokens)
        ids = self._ids(place.segment, begin, end)
        match_at = start - begin
        pieces = np.split(ids, [match_at, match_at + num_tokens])
        text = snippet(
            *map(self._vocabulary.bytes_of, pieces), is_cut_before=begin > first, is_cut_after=end < stop
        )
        return Passage(
            document=occurrence.document,
            token_offset=occurrence.token_offset,
            num_tokens=num_tokens,
            before=text.before,
            match=text.match,
            after=text.after,
            tokens=tuple(ids.tolist()),
            match_at=match_at,
            source=self._locate(place, occurrence.token_offset, num_tokens),
            is_deleted=self._numbering.is_deleted(place),
        )

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
