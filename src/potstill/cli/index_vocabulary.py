"""Whose tokens an index or a corpus is made of, as a user names it or leaves it open."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from potstill.cli.output import say

if TYPE_CHECKING:
    from potstill.corpus.vocabulary import Vocabulary
    from potstill.progress import Progress


def choose_vocabulary(sources: Sequence[Path], name: str | None, progress: "Progress") -> "Vocabulary":
    """A corpus's own; else that of `name`, a MODEL or `bytes`; else the embedded model's, or bytes.

    What is chosen for the user is told on stderr.
    """
    from potstill.corpus.vocabulary import ByteVocabulary
    from potstill.hub.embedded import EMBEDDED
    from potstill.index.build import corpus_vocabulary

    found = corpus_vocabulary(sources)
    if found is not None and name is None:
        return found
    if name is None:
        name = next((model.name for model in EMBEDDED.values() if _is_installed(model.pieces)), "bytes")
        say(f"Tokens are those of {name}." if name != "bytes" else "Every byte is a token.")
    return ByteVocabulary() if name == "bytes" else _of_model(name, progress)


def _of_model(name: str, progress: "Progress") -> "Vocabulary":
    from potstill.cli.configuration import apply_hub, load_configuration
    from potstill.corpus.vocabulary import TokenizerVocabulary
    from potstill.hub.resolve import resolve
    from potstill.tokenization.load import load_tokenizer

    folder = Path(name).expanduser()
    if (folder / "tokenizer.json").is_file():
        return TokenizerVocabulary(load_tokenizer(folder))
    apply_hub(load_configuration().settings.hub)
    return TokenizerVocabulary(load_tokenizer(resolve(name, progress=progress).path))


def _is_installed(pieces: "Sequence[tuple[str, str]]") -> bool:
    return all(find_spec(package) for package, _ in pieces)
