"""What hostile templates reach: nothing."""

import itertools
import re
import time

import pytest

from potstill.errors import DamagedError, PotstillError, RefusedError, UsageError
from potstill.sandbox.limits import SandboxLimits
from potstill.sandbox.templates import TemplateRenderer
from sandbox.hostile_templates import CORPUS, DETOURS, FLOODS, WALKS

CANARY = "canary-7c1b9f"
# What only something beyond the template's own values would print.
ESCAPED = re.compile(
    rf"root:|uid=|{CANARY}|<class|<module|<built-in|<function|<frame|<code|object at 0x|mappingproxy"
)
VARIABLES = {
    "messages": [{"role": "user", "content": "Hi"}],
    "bos_token": "<s>",
    "add_generation_prompt": True,
}
# Time is the machine's as much as the template's where others work on it.
PATIENCE_S = 4


@pytest.fixture(scope="module")
def renderer():
    made = TemplateRenderer(SandboxLimits(wall_s=0.2))
    yield made
    made.close()


def test_the_corpus_is_large():
    assert len(set(CORPUS)) >= 150 and min(len(WALKS), len(DETOURS), len(FLOODS)) >= 40


@pytest.mark.parametrize("kind", ["walks", "detours", pytest.param("floods", marks=pytest.mark.slow)])
def test_no_hostile_template_gets_anywhere(kind, renderer, monkeypatch, tmp_path):
    monkeypatch.setenv("POTSTILL_CANARY", CANARY)
    monkeypatch.chdir(tmp_path)
    stopped = 0
    for source in {"walks": WALKS, "detours": DETOURS, "floods": FLOODS}[kind]:
        began = time.monotonic()
        try:
            (told,) = renderer.render(source, [VARIABLES])
            assert len(told) <= 1 << 20
        except (RefusedError, DamagedError, UsageError) as error:
            told, stopped = str(error), stopped + 1
            assert len(told) < 500 and "Traceback" not in told
        # What it wrote itself says nothing.
        assert not ESCAPED.search(told.replace(source, "")), source
        assert time.monotonic() - began < PATIENCE_S, source
    assert stopped > 15
    assert not any(tmp_path.iterdir())
    assert renderer.render("{{ messages[0].content }}", [VARIABLES]) == ["Hi"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ range(10**9) | list }}", "Range too big"),
        ("{{ 'a' * 10**9 }}", "it needs more than 64 MiB"),
        ("{{ 10**(10**9) }}", "it took (too long|longer than 0.2 s)"),
        ("{{ 'a' * (2**20 + 1) }}", "it writes more than 1,048,576 characters"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "it is nested too deep"),
        ("{{ messages.append(1) }}", "it reaches for what it must not have"),
    ],
)
def test_a_template_that_was_stopped_is_told_why(source, reason, renderer):
    with pytest.raises(RefusedError, match=f"template was stopped: {reason}"):
        renderer.render(source, [VARIABLES])


def test_every_filter_of_jinja_finds_what_it_imports(renderer):
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    values = ("'aé <b>'", "[1, 2]", "{'a': 1}", "1.5")
    for name, value in itertools.product(ImmutableSandboxedEnvironment().filters, values):
        try:
            renderer.render("{{ %s | %s }}{{ %s | %s | list }}" % (value, name, value, name), [{}])  # noqa: UP031
        except PotstillError as error:
            assert "ModuleNotFound" not in str(error) and "ImportError" not in str(error), name


def test_what_one_text_sets_the_next_does_not_find(renderer):
    source = "{% set seen = namespace(x=seen.x if seen else 1) %}{{ leak }}{% set leak = 5 %}{{ seen.x }}"
    assert renderer.render(source, [VARIABLES] * 2) == ["1", "1"]
    assert renderer.render("{{ leak }}{{ seen }}", [VARIABLES]) == [""]


def test_a_template_beyond_all_measure_is_not_even_sent(renderer):
    with pytest.raises(DamagedError, match="more than any has"):
        renderer.render("x" * (1 << 21), [VARIABLES])


def test_what_is_no_json_is_our_own_mistake_and_leaves_the_worker_well(renderer):
    with pytest.raises(TypeError):
        renderer.render("x", [{"a": object()}])
    assert renderer.render("x", [{}]) == ["x"]


def test_every_error_is_one_a_user_can_act_on(renderer):
    for source in ("{% if", "{{ 1 / 0 }}", "{{ nothing.at.all }}", "{{ 'x' | no_filter }}", "{{ 1 + 'a' }}"):
        with pytest.raises(PotstillError) as caught:
            renderer.render(source, [{}])
        assert "\n" not in str(caught.value)
