"""What inputs may be: texts."""

from potstill.errors import UsageError


def checked_text(task: str, value: object) -> str:
    """The text; UsageError for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and {"role", "content"} <= value.keys():
        raise UsageError(
            f"{task} takes texts, not the turns of a chat. `potstill chat` and ChatBot take those."
        )
    raise UsageError(f"{task} takes texts; a {type(value).__name__} was given.")
