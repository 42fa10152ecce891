"""Reads one field of a message the careful way: its value, None if it is not given, or UnusableError with what would be
right. The error names the field and never its value, so that equal errors count as one kind of flaw."""

import re
from typing import Any

from ingest.receive.json_text import NotANumber
from ingest.receive.payloads import MAX_ID_CHARACTERS, MAX_POWER_KW, SPELLINGS

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?").fullmatch
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+").fullmatch
_NOT_GIVEN = frozenset(("", "null", "nan", "-nan"))
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]").search
# Below this, every JSON library reads integers exactly.
_EXACT_INTEGER = 2**53


class UnusableError(Exception):
    """A field cannot be used; the text of the error becomes the flaw."""


def given(fields: dict[str, Any], name: str) -> Any:
    """The value of the field `name`, or of an older spelling of it; None if all of them are missing or null."""
    for spelling in SPELLINGS.get(name, (name,)):
        value = fields.get(spelling)
        if value is not None:
            return value
    return None


def number(name: str, value: Any) -> float | None:
    """A power in kW, also one written as text; None: not given. Raises UnusableError."""
    found = any_number(name, value)
    if found is not None and not -MAX_POWER_KW <= found <= MAX_POWER_KW:
        raise UnusableError(f"{name} is beyond ±{MAX_POWER_KW:,.0f} kW: send kilowatts")
    return found


def any_number(name: str, value: Any) -> float | None:
    """A number, also one written as text; None: not given. Raises UnusableError."""
    if isinstance(value, str) and not isinstance(value, NotANumber):
        value = value.strip()
        if value.lower() in _NOT_GIVEN:
            return None
        value = _number_in(name, value)
    if value is None:
        return None
    if isinstance(value, NotANumber):
        raise UnusableError(f"{name} is not a finite number: send null when there is none")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnusableError(f"{name} is not a number")
    return float(value)


def identifier(name: str, value: Any, *, slashes: bool = True) -> str | None:
    """An id, also one given as a number; None: not given. Raises UnusableError."""
    text = words(name, value)
    if not text:
        return None
    if len(text) > MAX_ID_CHARACTERS or _CONTROL(text) or not is_unicode(text):
        raise UnusableError(
            f"{name} must have 1 to {MAX_ID_CHARACTERS} characters, none of them a control character"
        )
    if not slashes and "/" in text:
        raise UnusableError(f"{name} holds a /, which the id of a VEN may not")
    return text


def words(name: str, value: Any) -> str | None:
    """A text, or a number taken as one; None: not given. Raises UnusableError."""
    if value is None or (isinstance(value, str) and not isinstance(value, NotANumber)):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_INTEGER:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnusableError(f"{name} is not a text")
    return str(value)


def label(name: str, value: Any) -> str | None:
    """A name or type of a load, which PostgreSQL must be able to hold. Raises UnusableError."""
    text = words(name, value)
    if text is not None and ("\0" in text or not is_unicode(text)):
        raise UnusableError(f"{name} holds a NUL or half a character")
    return text or None


def is_unicode(text: str) -> bool:
    """Whether UTF-8 can encode `text`, which is not so if its JSON held half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number_in(name: str, text: str) -> float:
    if _NUMBER(text):
        return float(text)  # may be infinite; the bounds of the field refuse that
    if _DECIMAL_COMMA(text):
        raise UnusableError(f"{name} has a comma: write the decimals after a point")
    raise UnusableError(f"{name} is a text that is not a number: send a number, without a unit")
