"""What tests of figures and histories share."""

import pytest

from api.telemetry import shared_result, totals
from api.telemetry.shared_result import Shared


@pytest.fixture(autouse=True)
def _nothing_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request computes what requests share in service, so that it sees what a test has just stored."""
    for name in ("fresh", "tolerated"):
        monkeypatch.setitem(Shared.__init__.__kwdefaults__, name, 0.0)  # type: ignore[arg-type]  # it has defaults
    monkeypatch.setattr(shared_result, "_FRESH_FOR_COST", 0.0)
    monkeypatch.setattr(totals, "_BOUNDS_SECONDS", 0.0)
