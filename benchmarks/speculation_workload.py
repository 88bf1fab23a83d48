"""The prompts of bench_speculation.py: five kinds of text, from plain continuation to near copies of itself.

Read from the folder of data that is named, in the model's own tokens. Greedy, so many tokens each; no token
ends a text. The domain's index holds other texts of the kind: news for the summaries, other modules for code.
"""

import gzip
import json
import random
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

SEED = 20_265
NUM_TOKENS = 64
KINDS = ("xsum", "cnn_dailymail", "code", "chat", "repetitive")
# Summaries of a source that is in the prompt.
GROUNDED = ("xsum", "cnn_dailymail")
# Kinds that an index of the domain is made for, and its name.
DOMAINS = {"xsum": "news", "cnn_dailymail": "news", "code": "code"}
_MOST_PROMPT_TOKENS = 600
_FIELDS = ("name", "city", "price", "stock", "colour", "weight", "rating")

Encode = Callable[[str], list[int]]


class Prompt(NamedTuple):
    prompt_ids: list[int]
    num_tokens: int


def prompts(kind: str, data: Path, encode: Encode, count: int, num_tokens: int = NUM_TOKENS) -> list[Prompt]:
    texts = {
        "xsum": lambda: _summaries(data, "xsum", "\n\nIn one sentence: ", encode),
        "cnn_dailymail": lambda: _summaries(data, "cnn_dailymail", "\n\nHighlights:\n- ", encode),
        "code": lambda: _code(encode),
        "chat": lambda: _chats(data, encode),
        "repetitive": _records,
    }[kind]()
    return [
        Prompt(encode(text)[:_MOST_PROMPT_TOKENS], num_tokens)
        for text, _ in zip(texts, range(count), strict=False)
    ]


def domain_files(domain: str, data: Path, work: Path) -> list[Path]:
    """What the index of a domain is built from; nothing that a prompt was taken from."""
    if domain == "code":
        return [path for path in _modules() if path not in set(prompt_modules())]
    folder = work / "news"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("bbc_news", "abc_news"):
        texts = "\n".join(record["text"] for record in read(data / "news" / f"{name}.jsonl.gz"))
        (folder / f"{name}.txt").write_text(texts)
    return sorted(folder.glob("*.txt"))


def read(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _summaries(data: Path, name: str, ask: str, encode: Encode) -> Iterator[str]:
    for record in read(data / "document_summarization" / f"{name}.jsonl.gz"):
        if 200 <= len(encode(record["input"])) <= _MOST_PROMPT_TOKENS - 20:
            yield record["input"].strip() + ask


def _code(encode: Encode) -> Iterator[str]:
    for path in prompt_modules():
        lines, text = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True), ""
        for line in lines:
            if len(encode(text + line)) > 400:
                break
            text += line
        yield text


def _chats(data: Path, encode: Encode) -> Iterator[str]:
    """A conversation up to where somebody speaks again."""
    for record in read(data / "document_summarization" / "samsum.jsonl.gz"):
        lines = record["input"].splitlines()
        if len(lines) > 8 and ":" in lines[-1]:
            yield "\n".join(lines[:-1]) + "\n" + lines[-1].split(":")[0] + ":"


def _records() -> Iterator[str]:
    """Records of one form, of which some fields never change."""
    rng = random.Random(SEED)
    words = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath")
    while True:
        first = rng.randrange(100, 900)
        lines = []
        for number in range(first, first + 7):
            fields = {name: f"{rng.choice(words)}-{number % 7}" for name in _FIELDS[:2]}
            lines.append(
                json.dumps(
                    {
                        "id": number,
                        "kind": "record",
                        "version": "1.4.2",
                        **fields,
                        "status": "active",
                        "owner": "store",
                    }
                )
            )
        yield "\n".join(lines) + "\n"


def _modules() -> Sequence[Path]:
    library = Path(sysconfig.get_paths()["stdlib"])
    return sorted(path for path in library.glob("*.py") if path.stat().st_size > 8_000)


def prompt_modules() -> list[Path]:
    modules = list(_modules())
    random.Random(SEED).shuffle(modules)
    return modules[:32]
