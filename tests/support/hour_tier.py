"""A pytest plugin (`pytest -p tests.support.hour_tier …`): the project with one more tier, of an hour.

Before anything else is imported, it adds a row to shared/tiers.py, and hour_tier.sql to the migrations: exactly what a
contributor would do.
"""

import atexit
import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path

from shared import installation

_ROW = '    Tier(60, 15, {"network": _COARSE, "ven": _COARSE, "load": _LOADS}),\n'


def _with_row(text: str) -> str:
    """shared/tiers.py with the row at the end of its table."""
    end = text.index("\n)\n", text.index("\nTIERS = (\n")) + 1
    return text[:end] + _ROW + text[end:]


def _install() -> None:
    spec = importlib.util.find_spec("shared.tiers")
    assert spec is not None
    assert spec.origin is not None
    assert "shared.tiers" not in sys.modules, "it is loaded before its row is there"
    module = importlib.util.module_from_spec(spec)
    sys.modules["shared.tiers"] = module
    exec(
        compile(_with_row(Path(spec.origin).read_text(encoding="utf-8")), spec.origin, "exec"),
        module.__dict__,
    )

    from shared.commands import migrate

    folder = Path(tempfile.mkdtemp(prefix="migrations-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    shutil.copytree(installation.data("migrations"), folder, dirs_exist_ok=True)
    for suffix in (".sql", ".rollback.sql"):
        shutil.copy(Path(__file__).with_suffix(suffix), folder / f"9000.hour-tier{suffix}")
    migrate.DIRECTORY = folder


_install()
