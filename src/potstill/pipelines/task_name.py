"""The names of tasks, as transformers spells them."""

import difflib
import re
from typing import Literal, NamedTuple, get_args

from potstill.errors import UsageError

Kind = Literal[
    "text-generation",
    "text2text-generation",
    "summarization",
    "translation",
    "text-classification",
    "zero-shot-classification",
    "question-answering",
    "feature-extraction",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
_ALIASES: dict[str, Kind] = {"sentiment-analysis": "text-classification"}
_TRANSLATION = re.compile(r"translation_([A-Za-z]{2,3})_to_([A-Za-z]{2,3})")

# By ISO 639-1, as prompts write them.
LANGUAGES = {
    "ar": "Arabic",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "hu": "Hungarian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sv": "Swedish",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
    "zh": "Chinese",
}


class TaskName(NamedTuple):
    """`asked` is what the user wrote; `languages` are those that `translation_en_to_de` names."""

    kind: Kind
    asked: str
    languages: tuple[str, str] | None = None


def task_name(name: str) -> TaskName:
    """UsageError, with the nearest name there is, for one that is none."""
    found = _TRANSLATION.fullmatch(name)
    if found:
        return TaskName("translation", name, (found[1], found[2]))
    for kind in KINDS:
        if kind == _ALIASES.get(name, name):
            return TaskName(kind, name)
    near = difflib.get_close_matches(name, [*KINDS, *_ALIASES], n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UsageError(
        f"There is no task {name!r}.{hint} There are {', '.join(KINDS)}, sentiment-analysis, and "
        f"translation_XX_to_YY such as translation_en_to_de."
    )


def language(code_or_name: str) -> str:
    """`de` as `German`; a name stays one."""
    if code_or_name.lower() in LANGUAGES:
        return LANGUAGES[code_or_name.lower()]
    if len(code_or_name) > 3 and code_or_name.isalpha():
        return code_or_name
    raise UsageError(
        f"There is no language {code_or_name!r} in the list of codes. Write its name in English, as in "
        f"src_lang='English', tgt_lang='Icelandic'."
    )
