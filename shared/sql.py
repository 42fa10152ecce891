"""Loads SQL from .sql files as named blocks, which may contain named fragments."""

import re
from collections.abc import Mapping
from pathlib import Path

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
_PART = re.compile(r"\{(\w+)\}")


def load_blocks(path: Path, fragments: Mapping[str, str] | None = None) -> dict[str, str]:
    """The blocks of a .sql file by name; a block starts at a line `-- name: <name>`.

    `{name}` in a block stands for the fragment of that name: SQL of ours, never a value.
    """
    parts = _NAME.split(path.read_text(encoding="ascii"))
    names = parts[1::2]
    if len(set(names)) != len(names):
        raise ValueError(f"{path.name} names a block twice")
    blocks = dict(zip(names, (_without_comments(body) for body in parts[2::2]), strict=True))
    return {name: compose(block, fragments or {}) for name, block in blocks.items()}


def _without_comments(body: str) -> str:
    """`body` without comments: a fragment may be inserted within a line, where a comment would hide the rest."""
    return "\n".join(line for line in body.strip().splitlines() if not line.lstrip().startswith("--"))


def compose(block: str, fragments: Mapping[str, str]) -> str:
    """`block` with each `{name}` replaced by the fragment of that name, also within fragments."""

    def fragment(match: re.Match[str]) -> str:
        known = fragments.get(match[1])
        return match[0] if known is None else compose(known, fragments)

    return _PART.sub(fragment, block)
