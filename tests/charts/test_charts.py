import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.charts.bars import Bar, bars
from potstill.charts.canvas import CHART_CSS, WIDTH, format_number, format_share, standalone, ticks
from potstill.charts.curve import Series, curve
from potstill.charts.funnel import FunnelStage, Loss, funnel

SVG = "{http://www.w3.org/2000/svg}"
NASTY = '<b onload="x">&amp; \x00\ud800 "quotes" ]]>'
STAGES = (
    FunnelStage("Candidates", 1000),
    FunnelStage("After length", 400, (Loss("too long", 500), Loss("too short", 100))),
    FunnelStage("Kept", 50, (Loss("copied", 350),)),
)
TEXTS = st.text(max_size=40)
COUNTS = st.integers(0, 10**9)
FLOATS = st.floats()
CHARTS = st.one_of(
    st.builds(
        funnel,
        st.lists(
            st.builds(
                FunnelStage, TEXTS, COUNTS, st.lists(st.builds(Loss, TEXTS, COUNTS), max_size=3).map(tuple)
            )
        ),
        TEXTS,
    ),
    st.builds(
        curve,
        st.lists(
            st.builds(Series, TEXTS, st.lists(st.tuples(FLOATS, FLOATS), max_size=9).map(tuple)), max_size=7
        ),
        TEXTS,
        x_label=TEXTS,
        y_label=TEXTS,
    ),
    st.builds(bars, st.lists(st.builds(Bar, TEXTS, st.floats(-1e6, 1e6)), max_size=5), TEXTS, unit=TEXTS),
)


def _texts(svg, tag="text"):
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter(f"{SVG}{tag}")]


@given(CHARTS)
def test_every_chart_is_well_formed_has_a_title_and_stays_on_its_canvas(svg):
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img"
    title, description = root[0], root[1]
    assert (title.tag, description.tag) == (f"{SVG}title", f"{SVG}desc")
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    width, height = map(float, root.get("viewBox").split()[2:])
    for rect in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
        assert x >= 0 and x + w <= width + 0.2 and y >= 0 and y + h <= height
    for dot in root.iter(f"{SVG}circle"):
        assert 0 <= float(dot.get("cx")) <= width and 0 <= float(dot.get("cy")) <= height


@pytest.mark.parametrize("chart", [
    funnel((FunnelStage(NASTY, 3, (Loss(NASTY, 2),)),), NASTY),
    curve((Series(NASTY, ((1, 2), (2, 3))),), NASTY, x_label=NASTY, y_label=NASTY),
    bars((Bar(NASTY, 1.0),), NASTY, unit=NASTY),
])  # fmt: skip
def test_text_is_escaped_and_what_xml_cannot_hold_is_replaced(chart):
    root = ElementTree.fromstring(chart)
    assert not [element for element in root.iter() if element.tag == f"{SVG}b"]
    assert "\ufffd\ufffd" in root[0].text


def test_a_funnel_tells_counts_shares_and_losses_by_reason():
    texts = _texts(funnel(STAGES, "Candidates"))
    assert {"1,000", "400", "50", "40.0%", "5.0%", "too long", "−500", "−50.0%", "−350"} <= set(texts)
    assert texts.index("too long") < texts.index("too short") < texts.index("After length")
    tooltips = _texts(funnel(STAGES, "Candidates"), "title")
    assert "Kept, copied: 350 of 400 (87.5%) lost" in tooltips
    assert "After length: 400 (lost: 500 too long, 100 too short)" in _texts(funnel(STAGES, "t"), "desc")[0]


def test_the_bars_of_a_funnel_are_as_long_as_its_counts():
    rects = ElementTree.fromstring(funnel(STAGES, "t")).iter(f"{SVG}rect")
    widths = [float(rect.get("width")) for rect in rects if rect.get("class") in ("fill-0", "loss")]
    assert [width / widths[0] for width in widths] == pytest.approx([1, 0.5, 0.1, 0.4, 0.35, 0.05], abs=0.001)


def test_a_curve_is_thinned_but_keeps_its_ends():
    points = tuple((float(n), math.sin(n / 100)) for n in range(5000))
    root = ElementTree.fromstring(curve((Series("sine", points),), "t", x_label="step", y_label="value"))
    drawn = next(root.iter(f"{SVG}polyline")).get("points").split()
    assert len(drawn) == 400
    assert "sine: 0 at 0" in [title.text for title in root.iter(f"{SVG}title")]
    assert f"sine: {format_number(points[-1][1])} at 4,999" in [
        title.text for title in root.iter(f"{SVG}title")
    ]


def test_names_at_the_ends_of_lines_do_not_cover_each_other():
    lines = tuple(Series(f"line {n}", ((0, n), (1, 1.0 + n / 1e6))) for n in range(5))
    root = ElementTree.fromstring(curve(lines, "t", x_label="x", y_label="y"))
    heights = sorted(
        float(text.get("y")) for text in root.iter(f"{SVG}text") if (text.text or "").startswith("line")
    )
    assert len(heights) == 5
    assert min(b - a for a, b in zip(heights, heights[1:], strict=False)) >= 17.9


def test_numbers_of_a_bar_chart_have_as_many_decimals_and_their_intervals():
    texts = _texts(
        bars((Bar("a", 21, 20.123, 22), Bar("b", 34.56, 31, 37.9, True), Bar("c", 0.8)), "t", unit="%")
    )
    assert {"21.0% (20.1 to 22.0)", "34.6% (31.0 to 37.9)", "0.8%"} <= set(texts)


def test_a_bar_below_zero_goes_to_the_left():
    rects = list(ElementTree.fromstring(bars((Bar("a", -5.0), Bar("b", 5.0)), "t")).iter(f"{SVG}rect"))
    left, right = rects
    assert float(left.get("x")) + float(left.get("width")) == pytest.approx(float(right.get("x")))
    assert float(left.get("width")) == pytest.approx(float(right.get("width")))


def test_a_long_label_is_cut_and_told_in_a_tooltip():
    label = "a reason with a name that is far too long for its column"
    svg = funnel((FunnelStage("All", 9), FunnelStage("Kept", 1, (Loss(label, 8),))), "t")
    assert label in _texts(svg, "title")
    assert "…" in svg


def test_nothing_to_draw_is_said():
    assert "No stage has run yet." in _texts(funnel((), "t"))
    assert "No point to draw yet." in _texts(
        curve((Series("a", ((math.nan, 1.0),)),), "t", x_label="x", y_label="y")
    )
    assert "No figure yet." in _texts(bars((), "t"))


def test_ids_differ_between_charts_and_stay_the_same_for_equal_ones():
    one, other = funnel(STAGES, "t"), funnel(STAGES[:2], "t")
    assert re.search(r'id="(.*?)"', one)[1] != re.search(r'id="(.*?)"', other)[1]
    assert one == funnel(STAGES, "t")


def test_every_class_that_is_drawn_has_a_style_and_no_element_a_colour_of_its_own():
    svg = funnel(STAGES, "t") + bars((Bar("a", 1.0, 0.5, 1.5),), "t")
    svg += curve(tuple(Series(f"{n}", ((0, n), (1, n))) for n in range(5)), "t", x_label="x", y_label="y")
    used = {name for names in re.findall(r'class="(.*?)"', svg) for name in names.split()}
    assert not {name for name in used if f".{name} " not in CHART_CSS}
    assert "style=" not in svg and "fill=" not in svg and "stroke=" not in svg


def test_a_chart_of_its_own_holds_the_style_sheet():
    root = ElementTree.fromstring(standalone(funnel(STAGES, "t")))
    assert "prefers-color-scheme: dark" in next(root.iter(f"{SVG}style")).text
    assert root.get("viewBox").split()[2] == str(WIDTH)


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(2, 9))
def test_ticks_are_round_numbers_in_equal_steps_around_the_range(low, span, count):
    span = max(span, abs(low) * 1e-6)
    found = ticks(low, low + span, count)
    steps = [b - a for a, b in zip(found, found[1:], strict=False)]
    assert found[0] <= low + span * 1e-6 and found[-1] >= low + span * (1 - 1e-6)
    assert 2 <= len(found) <= 2 * count + 2
    assert max(steps) == pytest.approx(min(steps), rel=1e-3)


@pytest.mark.parametrize(
    ("value", "text"),
    [(12345, "12,345"), (0.03125, "0.0312"), (24.34, "24.3"), (1234.5, "1,234"), (0, "0"), (-3, "-3")],
)
def test_numbers_are_written_short(value, text):
    assert format_number(value) == text


def test_shares_are_percentages():
    assert [format_share(1, 3), format_share(1, 10_000), format_share(0, 5), format_share(1, 0)] == [
        "33.3%",
        "0.01%",
        "0.0%",
        "–",
    ]
