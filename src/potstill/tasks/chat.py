"""Conversations as the text, and the tokens, that a model was trained on: its chat template.

A template is a program in Jinja that comes with the model, from anyone, so it runs in a worker process
(`potstill.sandbox`). A model without one gets lines of `name: text`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from potstill.errors import DamagedError, UsageError
from potstill.sandbox.templates import TemplateRenderer
from potstill.tasks.veil import ControlSpellings, Veil, encode_parts
from potstill.tokenization.tokenizer import Tokenizer

ROLES = ("system", "developer", "user", "assistant", "tool")
# As in a conversation that is written down: a line begins with who speaks.
PLAIN_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message.role == 'system' %}{{ message.content }}\n\n"
    "{% else %}{{ message.role }}: {{ message.content }}\n{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
_PLAIN_STOP = ("\nuser:", "\nassistant:", "\nsystem:")


@dataclass(frozen=True, slots=True)
class Message:
    """What one of `ROLES` says."""

    role: str
    content: str

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise UsageError(f"A message's role is {self.role!r:.60}; it must be one of {', '.join(ROLES)}.")
        content: object = self.content
        if not isinstance(content, str):
            raise UsageError(f"A message's content is a {type(content).__name__}; it must be a text.")


class _Given(NamedTuple):
    """What a template is to put into its text."""

    contents: Sequence[str]
    tools: Any


class ChatTemplate:
    """A model's chat template; `source` is Jinja.

    special_tokens   what the template finds under names such as `bos_token`
    stop             texts that end an answer, for a model that does not end it with a token
    """

    def __init__(
        self,
        source: str,
        special_tokens: Mapping[str, str] | None = None,
        *,
        stop: tuple[str, ...] = (),
        renderer: TemplateRenderer | None = None,
    ) -> None:
        self.source, self.special_tokens, self.stop = source, dict(special_tokens or {}), stop
        self._renderer = renderer or TemplateRenderer()

    @classmethod
    def of(
        cls, tokenizer: Tokenizer, name: str = "default", *, renderer: TemplateRenderer | None = None
    ) -> "ChatTemplate":
        """The template that came with the model, the one called `name` of several; else the plain lines."""
        config = tokenizer.config
        source = template_named(config.get("chat_template"), name)
        if source is None:
            return cls(PLAIN_TEMPLATE, stop=_PLAIN_STOP, renderer=renderer)
        return cls(source, _special_tokens(config), renderer=renderer)

    @property
    def is_plain(self) -> bool:
        return self.source == PLAIN_TEMPLATE

    def render(
        self,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = True,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> str:
        """The conversation as a text, to which the answer is added where `add_generation_prompt`.

        UsageError where the template refuses the messages; RefusedError where it had to be stopped.
        """
        contents = [message.content for message in messages]
        (text,) = self._render(messages, [_Given(contents, tools)], add_generation_prompt)
        return text

    def encode(
        self,
        messages: Sequence[Message],
        tokenizer: Tokenizer,
        *,
        add_generation_prompt: bool = True,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> list[int]:
        """The conversation as tokens for an engine, without the BOS that the model puts before them.

        What the template writes becomes control tokens. What a message or a tool spells never does: a user
        who writes `<end_of_turn>` gets these characters.
        """
        contents = [message.content for message in messages]
        spellings = ControlSpellings(tokenizer.control_tokens)
        given = [*contents, json.dumps(tools, ensure_ascii=False)]
        veil = Veil.over(spellings, [self.source, *self.special_tokens.values(), *given])
        covered = [
            _Given([cover(one) for one in contents], _with_texts(tools, cover, veil.cover_spelt))
            for cover in (veil.cover, veil.cover_spelt)
        ]
        versions = [_Given(contents, tools), *covered]
        plain, safe, spelt = self._render(messages, versions, add_generation_prompt)
        parts = spellings.split(safe)
        if veil.uncover(safe) != plain:
            # The template looks into what is said. It may, where that changes none of its control tokens.
            looked = spellings.split(spelt)
            if looked[1::2] == parts[1::2]:
                parts = looked
        ids = encode_parts([veil.uncover(part) for part in parts], tokenizer)
        return ids[1:] if ids and ids[0] == tokenizer.bos_id else ids

    def _render(
        self, messages: Sequence[Message], versions: Sequence[_Given], add_generation_prompt: bool
    ) -> list[str]:
        """The text for each version of what is given."""
        shared = {
            **self.special_tokens,
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
        }
        variables = []
        for contents, tools in versions:
            said = zip((message.role for message in messages), contents, strict=True)
            turns = [{"role": role, "content": content} for role, content in said]
            variables.append({**shared, "messages": turns, "tools": tools})
        return self._renderer.render(self.source, variables)


def template_named(given: object, name: str = "default") -> str | None:
    """The template called `name` of what a tokenizer_config.json says; None where it says nothing.

    It is one text, or a list of texts with names, or a table of them.
    """
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, list):
        given = {one["name"]: one["template"] for one in given if isinstance(one, dict) and _is_named(one)}
    if not isinstance(given, dict) or not given or not all(isinstance(one, str) for one in given.values()):
        raise DamagedError("The model's chat_template is neither a text nor a list of them. Fetch it again.")
    found: str | None = next(iter(given.values())) if len(given) == 1 else given.get(name)
    if found is None:
        raise UsageError(f"The model has no chat template {name!r}; it has {', '.join(sorted(given))}.")
    return found


def _with_texts(given: Any, change: Callable[[str], str], change_name: Callable[[str], str]) -> Any:
    """What JSON can say, with its texts changed, and the names in its tables."""
    if isinstance(given, str):
        return change(given)
    if isinstance(given, list | tuple):
        return [_with_texts(one, change, change_name) for one in given]
    if isinstance(given, Mapping):
        return {
            change_name(name) if isinstance(name, str) else name: _with_texts(one, change, change_name)
            for name, one in given.items()
        }
    return given


def _is_named(one: Mapping[str, Any]) -> bool:
    return isinstance(one.get("name"), str) and isinstance(one.get("template"), str)


def _special_tokens(config: Mapping[str, Any]) -> dict[str, str]:
    """`bos_token` and its like, spelt out."""
    found = {}
    for name, token in config.items():
        text = token.get("content") if isinstance(token, dict) else token
        if name.endswith("_token") and isinstance(text, str):
            found[name] = text
    return found
