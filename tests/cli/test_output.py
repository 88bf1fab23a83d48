import io
import sys

import pytest

from potstill.cli.output import format_bytes, print_json, print_table, printable, show_error


@pytest.mark.parametrize(
    "hostile",
    [
        "\x1b[31mred",
        "\x1b]0;title\x07",
        "\x9b31m",
        "a\rb",
        "a\x08b",
        "\u202egnp.exe",
        "\u2066x",
        "\x00",
        "\u2028",
        "\udcff",
    ],
)
def test_what_steers_a_terminal_is_written_as_an_escape(hostile: str) -> None:
    shown = printable(hostile)
    assert shown.isprintable() and shown != hostile


@pytest.mark.parametrize("plain", ["", "a\nb\tc", "é 漢字 👩‍👩‍👧 עברית", "=1+1"])
def test_other_text_is_left_as_it_is(plain: str) -> None:
    assert printable(plain) == plain


def test_a_table_in_a_pipe_is_aligned_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "n"), [("a", 5), ("long\nname [bold]", 12)], right=("n",))
    assert capsys.readouterr().out.splitlines() == [
        "name               n",
        "a                  5",
        "long name [bold]  12",
    ]


def test_a_table_on_a_terminal_shows_brackets_and_no_planted_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    print_table(("name",), [("[bold]x[/bold] \x1b[31m",)])
    assert "[bold]x[/bold] \\x1b[31m" in terminal.getvalue()
    assert "\x1b[31m" not in terminal.getvalue()


def test_json_is_one_object_with_its_schema_first(capsys: pytest.CaptureFixture[str]) -> None:
    print_json("a/1", {"text": "\x1b é"})
    out = capsys.readouterr().out
    assert out.startswith('{\n "schema": "a/1"') and "\x1b" not in out


@pytest.mark.parametrize(
    ("size", "text"),
    [(None, ""), (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 30, "3.0 GiB"), (5 << 40, "5.0 TiB")],
)
def test_sizes_are_short(size: int | None, text: str) -> None:
    assert format_bytes(size) == text


def test_an_error_is_one_line_whatever_a_path_holds(capsys: pytest.CaptureFixture[str]) -> None:
    show_error("a\nb.txt is gone.", "MissingError", 4, as_json=False)
    assert capsys.readouterr().err == "potstill: a\\nb.txt is gone.\n"
