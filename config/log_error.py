"""What is said of a log that cannot be read."""

from __future__ import annotations


class LogError(ValueError):
    """A log that cannot be read: the rule that a line breaks, in which column, and what would be accepted."""

    def __init__(self, rule: str, *, accepted: str, line: int | None = None, column: str | None = None) -> None:
        super().__init__(rule if line is None else f"ligne {line} : {rule}")
        self.line, self.column, self.accepted = line, column, accepted
