"""What a model is asked for a task: the prompt of a model's kind, and what ends its answer."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from potstill.errors import UsageError
from potstill.pipelines.task_name import TaskName, language
from potstill.pipelines.writer import Writer
from potstill.types import SamplingParams

PROMPT_ARGUMENTS = ("prefix", "prompt_template")

# At most as many tokens as transformers' text-generation writes where nothing is said.
_USUAL = SamplingParams(temperature=0, max_tokens=256)


class PromptForm(NamedTuple):
    """What stands before a text and after it; `sampling` is how an answer is written unless told."""

    before: str = ""
    after: str = ""
    sampling: SamplingParams = _USUAL

    def prompt(self, source: str) -> str:
        return self.before + source + self.after


def prompt_form(task: TaskName, writer: Writer, arguments: Mapping[str, Any]) -> PromptForm:
    """The caller's own prompt, or else a student's, or else that of the model's kind.

    UsageError for a template without `{source}`, or a translation without its languages.
    """
    own = _own_form(arguments)
    if own is not None:
        return own
    if writer.card is not None and task.kind in ("text2text-generation", "summarization"):
        before, _, after = writer.card.prompt_template.partition("{source}")
        return PromptForm(before, after, writer.card.sampling)
    if task.kind == "summarization":
        return _summary_form(writer)
    return _translation_form(task, writer, arguments) if task.kind == "translation" else PromptForm()


def _own_form(arguments: Mapping[str, Any]) -> PromptForm | None:
    prefix, template = arguments.get("prefix"), arguments.get("prompt_template")
    if prefix is not None and template is not None:
        raise UsageError("prefix and prompt_template both say what stands before a text. Drop one of them.")
    if template is not None:
        if not isinstance(template, str) or template.count("{source}") != 1:
            raise UsageError(
                f"prompt_template is {template!r}; it must be a text that holds {{source}} once."
            )
        before, _, after = template.partition("{source}")
        return PromptForm(before, after)
    if prefix is not None and not isinstance(prefix, str):
        raise UsageError(f"prefix is {prefix!r}; it must be a text.")
    return None if prefix is None else PromptForm(prefix)


def _summary_form(writer: Writer) -> PromptForm:
    if writer.encodes_prompt:
        return PromptForm(writer.prefixes.get("summarization", "summarize: "))
    return _lines("Text: ", "\nSummary in one sentence:")


def _translation_form(task: TaskName, writer: Writer, arguments: Mapping[str, Any]) -> PromptForm:
    if task.asked in writer.prefixes:
        return PromptForm(writer.prefixes[task.asked])
    first, second = _languages(task, arguments)
    if writer.encodes_prompt:
        return PromptForm(f"translate {first} to {second}: ")
    return _lines(f"{first}: ", f"\n{second}:")


def _lines(before: str, after: str) -> PromptForm:
    """For a base decoder, which would begin another example after its answer."""
    return PromptForm(before, after, replace(_USUAL, stop=("\n",)))


def _languages(task: TaskName, arguments: Mapping[str, Any]) -> tuple[str, str]:
    named = task.languages or (arguments.get("src_lang"), arguments.get("tgt_lang"))
    if not all(isinstance(name, str) for name in named):
        raise UsageError(
            "A translation needs its languages: the task translation_en_to_de names them, or "
            "src_lang='en', tgt_lang='de'."
        )
    return language(str(named[0])), language(str(named[1]))
