"""Parses bytes that are nearly JSON, as far as their meaning is certain."""

import json
import re
from typing import Any

from ingest.receive.refusal import DecodeError

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANKS = b"\0 \t\r\n"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
# A JSON string, which stays as it is, or a NaN or infinity as C's printf writes it.
_TEXT_OR_NAN = re.compile(r'"(?:\\.|[^"\\])*"|-?\b(?:nan|inf(?:inity)?)\b', re.IGNORECASE | re.DOTALL)
# No field needs longer integers, and Python refuses to parse very long ones.
_INTEGER_DIGITS = 30


class NotANumber(str):
    """A NaN or infinity without quotes. JSON has no such number, so the field that holds it cannot be used."""

    __slots__ = ()


def trimmed(payload: bytes) -> bytes:
    """`payload` without byte-order mark, NULs and blanks around it."""
    return payload.strip(_BLANKS).removeprefix(_BYTE_ORDER_MARK).strip(_BLANKS)


def text_of(payload: bytes) -> str:
    """The payload as trimmed text. Raises DecodeError if it is not UTF-8."""
    if payload.startswith(_UTF_16):
        raise DecodeError("the message is UTF-16: send UTF-8")
    try:
        return trimmed(payload).decode()
    except UnicodeDecodeError as exc:
        raise DecodeError(f"the message is not UTF-8: byte {exc.start} is wrong") from exc


def parse(text: str) -> Any:
    """The JSON value in `text`. Raises ValueError if it is not JSON, RecursionError if it is nested too deeply."""
    try:
        return _loads(text)
    except ValueError:
        repaired = _TEXT_OR_NAN.sub(_as_json, text)
        if repaired == text:
            raise
        return _loads(repaired)


def fault(text: str, error: ValueError) -> str:
    """Why `text` is not JSON, without quoting it."""
    if not text:
        return "the message is blank"
    at = error.pos if isinstance(error, json.JSONDecodeError) else 0
    if at >= len(text.rstrip()) or (isinstance(error, json.JSONDecodeError) and "Unterminated" in error.msg):
        return f"the message is not JSON: it breaks off after {len(text)} characters"
    return f"the message is not JSON: character {at + 1} does not belong there"


def dump(value: Any) -> bytes:
    """A parsed value encoded as JSON."""
    return json.dumps(value, separators=(",", ":")).encode()


def _loads(text: str) -> Any:
    # Not strict, because some firmware sends control characters in strings unescaped.
    return json.loads(
        text, strict=False, parse_constant=NotANumber, parse_int=_integer, parse_float=_fraction
    )


def _integer(digits: str) -> int | float | NotANumber:
    return int(digits) if len(digits) <= _INTEGER_DIGITS else _fraction(digits)


def _fraction(digits: str) -> float | NotANumber:
    value = float(digits)
    return value if abs(value) != float("inf") else NotANumber("infinity")


def _as_json(match: re.Match[str]) -> str:
    found = match[0]
    return found if found.startswith('"') else "NaN"
