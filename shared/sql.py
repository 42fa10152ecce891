"""SQL kept in .sql files as named blocks."""

import re
from pathlib import Path

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


def load_blocks(path: Path) -> dict[str, str]:
    """The blocks of a .sql file by name; a block starts at a line `-- name: <name>`."""
    parts = _NAME.split(path.read_text(encoding="utf-8"))
    names = parts[1::2]
    if len(set(names)) != len(names):
        raise ValueError(f"{path.name} names a block twice")
    return dict(zip(names, (body.strip() for body in parts[2::2]), strict=True))
