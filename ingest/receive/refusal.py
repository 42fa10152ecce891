"""The error of a message that cannot be stored."""

from shared.errors import EcsError


class DecodeError(EcsError):
    """A message cannot be stored; the text says which field is wrong and what it may be. `ven_id`: the VEN that sent
    it; None: unknown."""

    def __init__(self, text: str, ven_id: str | None = None) -> None:
        super().__init__(text)
        self.ven_id = ven_id
