"""HTML that cannot be written unescaped: plain text is escaped wherever it goes in."""

from potstill.charts.canvas import escaped


class Markup(str):
    """HTML that was made here, or by `potstill.charts`; any other text is not HTML yet."""

    __slots__ = ()


Content = str | Markup


def element(tag: str, *content: Content, **attributes: str) -> Markup:
    """`<tag …>content</tag>`; in names of attributes a last underscore is dropped, others become `-`."""
    told = "".join(f' {_name(name)}="{escaped(value)}"' for name, value in attributes.items())
    return Markup(f"<{tag}{told}>{joined(*content)}</{tag}>")


def joined(*content: Content) -> Markup:
    return Markup("".join(part if isinstance(part, Markup) else escaped(part) for part in content))


def table(
    columns: list[Content], rows: list[list[Content]], *, numbers: frozenset[int] = frozenset()
) -> Markup:
    """A table that scrolls sideways on a narrow screen; the columns in `numbers` stand to the right."""

    def cells(tag: str, row: list[Content]) -> Markup:
        return joined(
            *(
                element(tag, cell, **({"class_": "number"} if index in numbers else {}))
                for index, cell in enumerate(row)
            )
        )

    head = element("thead", element("tr", cells("th", columns)))
    body = element("tbody", *(element("tr", cells("td", row)) for row in rows))
    return element("div", element("table", head, body), class_="wide")


def _name(name: str) -> str:
    return name.removesuffix("_").replace("_", "-")
