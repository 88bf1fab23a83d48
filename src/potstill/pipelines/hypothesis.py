"""What is said of a text with a label in it, as zero-shot classification asks."""

from collections.abc import Sequence
from typing import NamedTuple, Self

from potstill.errors import UsageError


class Hypothesis(NamedTuple):
    before: str
    after: str

    @classmethod
    def read(cls, template: object) -> Self:
        """Of a template such as "This example is {}."; UsageError where the label has no place."""
        if not isinstance(template, str) or template.count("{}") != 1:
            raise UsageError(f"hypothesis_template is {template!r}; it must be a text that holds {{}} once.")
        before, _, after = template.partition("{}")
        return cls(before, after)

    def of(self, label: str) -> str:
        return self.before + label + self.after


DEFAULT_TEMPLATE = "This example is {}."


def read_labels(labels: object) -> list[str]:
    """A list of labels, or one text that commas divide; UsageError where there is none."""
    if isinstance(labels, str):
        labels = [label.strip() for label in labels.split(",") if label.strip()]
    is_list = isinstance(labels, Sequence) and all(isinstance(label, str) and label for label in labels)
    if not is_list or not labels:
        raise UsageError(
            f"candidate_labels is {labels!r}; it must be a list of texts, such as ['sports', 'politics']."
        )
    assert isinstance(labels, Sequence)
    if len(set(labels)) != len(labels):
        raise UsageError("candidate_labels holds a label twice. Name each once.")
    return list(labels)
