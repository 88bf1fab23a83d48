"""A vocabulary of a few pieces of text, for tests that try every text."""


class Letters:
    """Token i stands for `pieces[i]`; texts are cut into the longest pieces. The piece "" ends a text."""

    def __init__(self, *pieces):
        self.pieces = pieces

    @property
    def vocab_size(self):
        return len(self.pieces)

    def token_bytes(self, token_id):
        piece = self.pieces[token_id]
        return piece if isinstance(piece, bytes) else piece.encode()

    def encode(self, text):
        ids, rest = [], text.encode()
        while rest:
            fitting = [index for index in range(self.vocab_size) if self._fits(index, rest)]
            if not fitting:
                return []
            ids.append(max(fitting, key=lambda index: len(self.token_bytes(index))))
            rest = rest[len(self.token_bytes(ids[-1])) :]
        return ids

    def text(self, token_ids):
        return b"".join(map(self.token_bytes, token_ids)).decode(errors="replace")

    def _fits(self, index, rest):
        return bool(self.token_bytes(index)) and rest.startswith(self.token_bytes(index))
