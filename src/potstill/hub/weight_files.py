"""Which files make up a model, and which are never fetched or read."""

from collections.abc import Iterable, Sequence

ADAPTER_FILE = "adapter_config.json"

# Weights, their description, the vocabulary and its template, the terms: nothing that can be run.
ALLOWED_SUFFIXES = (".safetensors", ".json", ".jinja", ".model", ".gguf", ".txt", ".md")
# How sentence-transformers says that a text's vector is pooled; its other subfolders hold other formats.
ALLOWED_SUBFILES = ("1_Pooling/config.json",)
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def holds_weights(names: Iterable[str]) -> bool:
    return any(name.endswith((".safetensors", ".gguf")) for name in names)


def only_pickles(names: Sequence[str]) -> bool:
    return any(name.endswith(PICKLE_SUFFIXES) for name in names) and not holds_weights(names)


def pickle_refusal(where: str, names: Iterable[str]) -> str:
    pickles = sorted(name for name in names if name.endswith(PICKLE_SUFFIXES))
    return (
        f"{where} holds its weights only as {pickles[0]}, a pickle, which can run any code when it is read "
        f"and is never opened here. Use a safetensors or GGUF version of the model."
    )


def files_to_fetch(names: Sequence[str]) -> list[str]:
    """The allowed files at the top of a repository and the pooling of an encoder's vectors, without GGUF
    files where there are safetensors."""
    allowed = [
        name
        for name in names
        if name in ALLOWED_SUBFILES or ("/" not in name and name.endswith(ALLOWED_SUFFIXES))
    ]
    if any(name.endswith(".safetensors") for name in allowed):
        # `consolidated` holds the same weights again, in another layout.
        return [
            name for name in allowed if not name.endswith(".gguf") and not name.startswith("consolidated")
        ]
    return allowed
