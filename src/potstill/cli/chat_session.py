"""A chat from line to line: names and questions are for the terminal, answers for stdout."""

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from potstill.cli.output import printable, say
from potstill.errors import UsageError

if TYPE_CHECKING:
    from potstill.pipelines.chat_bot import ChatBot

_INTERRUPTED = 130
# More than any model reads; a line of a file without line ends is not waited for.
_MAX_LINE_CHARS = 1 << 22


class ChatSession:
    def __init__(self, bot: "ChatBot") -> None:
        self._bot = bot
        self._is_typed, self._is_shown = sys.stdin.isatty(), sys.stdout.isatty()
        user, name = (printable(one) for one in bot.style.names)
        self._asks, self._answers = f"{user}: ", f"{name}: "

    def run(self) -> int:
        """The exit code: 0 after an empty line or the end of the input, 130 after Ctrl-C between answers."""
        self._begin()
        while True:
            try:
                question = self._read().strip()
            except KeyboardInterrupt:
                self._show_prompt("\n")
                return _INTERRUPTED
            if not question:
                return 0
            if question == "reset":
                self._bot.reset()
            else:
                self._answer(question)

    def _begin(self) -> None:
        reconfigure = getattr(sys.stdin, "reconfigure", None)
        if reconfigure:
            # What is no UTF-8 becomes a question mark of its own and does not end the chat.
            reconfigure(errors="replace")
        if self._is_typed:
            num_turns = len(self._bot.turns)
            kept = f" {num_turns:,} turns are kept from before." if num_turns else ""
            say(f"Ask {self._answers.strip(': ')}. `reset` begins anew, an empty line ends.{kept}")

    def _read(self) -> str:
        """The next line; empty at the end of the input."""
        if self._is_typed and self._is_shown:
            # Imported, it gives `input` its editing and history, where this Python has it.
            with suppress(ImportError):
                import readline  # noqa: F401
            try:
                return input(self._asks)
            except EOFError:
                self._show_prompt("\n")
                return ""
        if self._is_typed:
            self._show_prompt(self._asks)
        return sys.stdin.readline(_MAX_LINE_CHARS)

    def _show_prompt(self, text: str) -> None:
        """To the terminal, and never into a file of answers."""
        if self._is_typed:
            sys.stderr.write(text)
            sys.stderr.flush()

    def _answer(self, question: str) -> None:
        """Print the answer as it is written; what is wrong with a question typed by hand ends nothing."""
        try:
            self._write_answer(question)
        except KeyboardInterrupt:
            sys.stdout.write("\n")
            say("The answer is given up. Ask again, or press Ctrl-C once more to end.")
        except UsageError as error:
            if not self._is_typed:
                raise
            say(f"potstill: {error}")

    def _write_answer(self, question: str) -> None:
        pieces = self._bot.stream(question)
        if self._is_shown:
            sys.stdout.write(self._answers)
        for piece in pieces:
            sys.stdout.write(printable(piece) if self._is_shown else piece)
            sys.stdout.flush()
        sys.stdout.write("\n")
        sys.stdout.flush()
