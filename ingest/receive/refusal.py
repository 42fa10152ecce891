"""Why a message cannot be stored."""

from shared.errors import EcsError


class DecodeError(EcsError):
    """A message that cannot be stored; the text says which field is wrong and what it may be."""
