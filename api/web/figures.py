"""Numbers as answers show them: 3 decimals, never -0.0."""

_DECIMALS = 3


def rounded(value: float) -> float:
    """A figure, rounded for an answer."""
    return round(value, _DECIMALS) + 0.0


def rounded_or_none(value: float | None) -> float | None:
    """A figure rounded for an answer; None if it is missing."""
    return None if value is None else rounded(value)
