import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import pytest

from potstill.charts.canvas import CHART_CSS
from potstill.runs.html import Markup, element, joined, table
from potstill.runs.report import Report, report_html, write_report
from runs.report_sample import sample_report

OPENERS = (
    "<script>",
    "<img src=x onerror=",
    "<svg/onload=",
    "<iframe src=",
    "</style><style>",
    "<!--",
    "]]>",
)
BREAKERS = (
    '"',
    "'",
    "</title>",
    "&lt;",
    "\x00",
    "\u202e",
    "`",
    "{{7*7}}",
    "%3Cscript%3E",
    "&#60;",
    "javascript:alert(1)",
)
ENDINGS = ("alert(1)</script>", "//x.example/a>", "\x1b]0;pwn\x07", "=cmd|' /C calc'!A0")
PAYLOADS = [f"{opener}{breaker}{ending}" for opener, breaker, ending in product(OPENERS, BREAKERS, ENDINGS)]


class Tags(HTMLParser):
    """Which elements and attributes a page really has."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.values: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))
        self.values.extend(attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_comment(self, data: str) -> None:
        self.found.append(("comment", ()))


def tags(page: str) -> Tags:
    parser = Tags()
    parser.feed(page)
    parser.close()
    return parser


def test_hostile_texts_add_no_element_and_no_attribute() -> None:
    assert len(PAYLOADS) >= 100
    plain = tags(report_html(sample_report())).found
    chosen = PAYLOADS[:: len(PAYLOADS) // 110]
    assert len(chosen) >= 100
    for payload in chosen:
        # A long text is cut in a chart and told in a tooltip, which is one more <title>.
        found = [each for each in tags(report_html(sample_report(payload))).found if each != ("title", ())]
        assert found == [each for each in plain if each != ("title", ())], payload


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    page = report_html(sample_report())
    parsed = tags(page)
    assert {tag for tag, _ in parsed.found}.isdisjoint(
        {"script", "link", "img", "iframe", "object", "base", "form", "a"}
    )
    names = {name for _, attributes in parsed.found for name in attributes}
    assert not names & {"style", "src", "href", "srcset", "action"} and not any(
        n.startswith("on") for n in names
    )
    addresses = [value for name, value in parsed.values if value and "://" in value and name != "xmlns"]
    assert addresses == []
    assert "@import" not in page and "url(" not in page


def test_the_policy_allows_the_one_style_sheet_by_its_hash() -> None:
    page = report_html(sample_report())
    style = page.split("<style>")[1].split("</style>")[0]
    assert page.count("<style>") == 1 and CHART_CSS in style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; style-src 'sha256-" + digest)


def test_equal_reports_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        write_report(sample_report(), tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_what_a_report_has_stands_on_the_page() -> None:
    page = report_html(sample_report())
    for told in (
        "1,204",
        "25.4",
        "24.6 to 26.1",
        "a number is new",
        "3,150",
        "two cores",
        "amx_bf16",
        "11 min 53 s",
    ):
        assert told in page, told


def test_parts_that_are_empty_are_left_out() -> None:
    page = report_html(Report(title="t", lead="l"))
    assert "<h2>" not in page and "<table>" not in page


def test_a_lone_surrogate_does_not_stop_the_report(tmp_path: Path) -> None:
    write_report(sample_report("\udcff"), tmp_path / "report.html")


def test_plain_text_is_escaped_and_markup_is_not() -> None:
    assert element("p", "<b>", class_='a"b') == '<p class="a&quot;b">&lt;b&gt;</p>'
    assert joined(Markup("<b>"), "<i>") == "<b>&lt;i&gt;"
    assert "&lt;x&gt;" in table(["<x>"], [["y"]])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_schemes_have_colours(scheme: str) -> None:
    page = report_html(sample_report())
    assert "prefers-color-scheme: dark" in page and scheme in page
