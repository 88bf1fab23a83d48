"""A model that writes, as pipelines hold it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from potstill.engine.generator import EngineGenerator
from potstill.engine.load import load_generator
from potstill.engine.params import EngineParams
from potstill.models.registry import read_table
from potstill.pipelines.place import Place
from potstill.progress import Progress
from potstill.tasks.student import StudentCard, read_card
from potstill.tokenization.tokenizer import Tokenizer


@dataclass(frozen=True)
class Writer:
    """card      what a student of potstill was trained for; None for another model
    prefixes  what its config.json puts before a text, by the name of a task
    """

    generator: EngineGenerator
    card: StudentCard | None
    prefixes: Mapping[str, str]

    @property
    def tokenizer(self) -> Tokenizer:
        return self.generator.tokenizer

    @property
    def encodes_prompt(self) -> bool:
        """Whether an encoder reads the prompt and the text is an answer; else the text goes on from it."""
        return self.generator.engine.decoder.encodes_prompt

    def num_prompt_tokens(self, prompt: str) -> int:
        """With the EOS that ends what an encoder reads."""
        return len(self.tokenizer.encode(prompt)) + self.encodes_prompt


def open_writer(path: Path, place: Place, progress: Progress) -> Writer:
    """The model in a folder in Hugging Face layout or in a GGUF file."""
    generator = load_generator(
        path,
        dtype=place.dtype,
        device=place.device,
        params=EngineParams(max_batch=place.max_batch),
        draft=place.draft,
        index=place.index,
        compile_cache=place.compile_cache,
        progress=progress,
    )
    return Writer(generator, read_card(path) if path.is_dir() else None, _prefixes(path))


def _prefixes(path: Path) -> dict[str, str]:
    """Of `task_specific_params` in config.json, as T5s have them."""
    told = read_table(path).get("task_specific_params") if path.is_dir() else None
    tables = told.items() if isinstance(told, dict) else ()
    return {
        name: table["prefix"]
        for name, table in tables
        if isinstance(table, dict) and isinstance(table.get("prefix"), str)
    }
