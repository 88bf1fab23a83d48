"""Who speaks in a chat with a model that was never taught to chat: a text that begins the conversation.

Its last two lines are spoken already, by the user and by the persona, and so tell their names.
"""

from dataclasses import dataclass
from pathlib import Path

from potstill.errors import MissingError, UsageError

MAX_PERSONA_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Persona:
    """`context` is a text whose last two lines are `name: text`, the user's and then the persona's."""

    context: str

    def __post_init__(self) -> None:
        lines = self.context.split("\n")[-2:]
        names = [line.split(":")[0] for line in lines if ":" in line]
        if len(names) < 2 or not all(name.strip() for name in names):
            raise UsageError(
                "The persona's last two lines must each be a name, a colon and what was said: first the "
                "user's, then the persona's. Write such lines at its end."
            )
        if names[0] == names[1]:
            raise UsageError(f"The persona's last two lines are both {names[0]!r:.60}'s. Give it two names.")

    @property
    def user(self) -> str:
        return self.context.split("\n")[-2].split(":")[0]

    @property
    def name(self) -> str:
        return self.context.split("\n")[-1].split(":")[0]


DEFAULT_PERSONA = Persona(
    "This is a conversation between a [user] and a helpful [assistant].\n"
    "The [assistant] answers every question of the [user] in one or two plain sentences, and says so when it "
    "does not know something.\n"
    "\n"
    "[user]: Hello, who are you?\n"
    "[assistant]: I am an assistant. Ask me anything, and I will answer as well as I can.\n"
    "[user]: Good. What is the capital of France?\n"
    "[assistant]: The capital of France is Paris."
)


def read_persona(path: Path) -> Persona:
    """The persona in a UTF-8 text file; line ends at its end do not count."""
    try:
        if path.stat().st_size > MAX_PERSONA_BYTES:
            raise UsageError(
                f"{path} is larger than {MAX_PERSONA_BYTES:,} bytes. A persona is a page of text."
            )
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise MissingError(f"{path} does not exist. Check the spelling.") from None
    except IsADirectoryError:
        raise MissingError(f"{path} is a folder where a persona's file is wanted.") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 ({error}). Save it as UTF-8.") from None
    try:
        return Persona(text.rstrip())
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
