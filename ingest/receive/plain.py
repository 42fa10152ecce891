"""Checks of messages that msgspec has read; a message that fails one is decoded the careful way instead."""

import re
from collections.abc import Sequence

from ingest.receive.payloads import MAX_ID_CHARACTERS, WireLoad

_is_id = re.compile(rf"[^\x00-\x1f\x7f-\x9f]{{1,{MAX_ID_CHARACTERS}}}").fullmatch


class NotPlainError(Exception):
    """The message must be decoded the careful way."""


def is_plain(payload: bytes) -> bool:
    """Whether no string in the payload can hold a control character: JSON allows them only escaped. This is faster than
    a check of each id, and most messages pass it; msgspec has checked the length of ids."""
    return payload.isascii() and not (b"\\" in payload or b"\x7f" in payload)


def is_plain_id(value: str) -> bool:
    """Whether `value` is an id that the contract allows."""
    return value.isprintable() or _is_id(value) is not None


def check_loads(loads: Sequence[WireLoad], plain: bool) -> None:
    """Set each load's load_id (from `id` if it is missing). Raises NotPlainError if one has no valid id, or two have
    the same."""
    ids = {load.load_id for load in loads}
    if not plain or None in ids:
        ids = {_checked(load) for load in loads}
    if len(ids) < len(loads):
        raise NotPlainError


def _checked(load: WireLoad) -> str:
    load_id = load.load_id if load.load_id is not None else load.id
    if load_id is None or not is_plain_id(load_id):
        raise NotPlainError
    if (load.type and "\0" in load.type) or (load.name and "\0" in load.name):
        raise NotPlainError
    load.load_id = load_id
    return load_id
