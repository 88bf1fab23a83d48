"""The teacher as the stages use it: loaded when first asked, shared by all, given back before training."""

from functools import cached_property
from pathlib import Path

import torch

from potstill.devices import default_device, release_memory, use_threads
from potstill.engine.generator import EngineGenerator
from potstill.engine.load import load_generator
from potstill.engine.params import EngineParams
from potstill.errors import UsageError
from potstill.lm.decoder import NeuralDecoder
from potstill.lm.load import torch_dtype
from potstill.lm.scoring import score_targets
from potstill.models.decoder import Decoder
from potstill.models.load import load_decoder
from potstill.synthesis.information import Information
from potstill.tokenization.tokenizer import Tokenizer
from potstill.types import DtypeName

# A word the vocabulary spells in several tokens, or with a token this far down its list, is rare enough to be
# a name. Vocabularies list tokens by how early they were merged, which is how frequent they are.
_COMMON_TOKENS = 0.12


class Workshop:
    """A model at `path` with an engine over it."""

    def __init__(
        self,
        path: Path,
        device: str | None = None,
        threads: int | None = None,
        dtype: DtypeName = "auto",
    ) -> None:
        self._path, self._device, self._threads, self._dtype = path, device, threads, dtype

    @cached_property
    def generator(self) -> EngineGenerator:
        use_threads(self._threads)
        return load_generator(self._path, dtype=self._dtype, device=self._device, params=self.params)

    @property
    def params(self) -> EngineParams:
        return EngineParams()

    @property
    def tokenizer(self) -> Tokenizer:
        return self.generator.tokenizer

    @property
    def lm(self) -> NeuralDecoder:
        decoder = self.generator.engine.decoder
        if not isinstance(decoder, NeuralDecoder):
            raise UsageError(f"{self._path} is no decoder; a teacher and a student have to be one.")
        return decoder

    def load_modules(self) -> Decoder:
        """The model anew, as modules that can be trained: the one that writes is packed."""
        device = default_device(self._device)
        return load_decoder(self._path, dtype=torch_dtype("auto", device), device=device)

    def new_information(self) -> Information:
        """Ask for one in each unit of work that a kill may cut off: an answer hangs, in its last bits, on
        what was asked beside it, so nothing may be remembered that another process would have to ask again.
        """
        return Information(self.tokenizer.encode, lambda requests: score_targets(self.lm, requests))

    def is_rare(self, word: str) -> bool:
        token_ids = self.tokenizer.encode(f" {word}")
        return len(token_ids) > 1 or token_ids[0] > _COMMON_TOKENS * self.tokenizer.vocab_size

    def close(self) -> None:
        """Give the memory back; the next use loads again."""
        self.__dict__.pop("generator", None)
        release_memory()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
