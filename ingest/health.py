"""The state of the broker and the database as ingest sees them, which /health, the gauges and the log show."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from ingest.db_errors import explain
from ingest.message import Outcome
from ingest.metrics import Metrics
from shared.logs import get_logger

log = get_logger(__name__)


class Asker(Enum):
    """The parts of ingest that use the database."""

    WRITER = "writer"
    PROBE = "probe"
    LEADER = "leader"
    LOADS_LEADER = "leader of loads"


_LEADERS = (Asker.LEADER, Asker.LOADS_LEADER)


class DatabaseHealth:
    """Whether the database is usable. The writer, the probe and the leaders report here; each change is logged once,
    and the end of an outage with its length. `in_hand`: how many messages wait, for the line that logs the end."""

    def __init__(self, troubles: dict[Asker, str] | None = None) -> None:
        self._troubles = {Asker.WRITER: "not yet connected"} if troubles is None else troubles
        self._worked_at: float | None = None
        self._away_since: float | None = None
        self._leader_waits_since: float | None = None
        self.in_hand: Callable[[], int] = lambda: 0

    @property
    def problem(self) -> str | None:
        """Why no batch can be stored now; None: batches can be stored. Troubles of the leaders do not stop batches."""
        return self._troubles.get(Asker.WRITER) or self._troubles.get(Asker.PROBE)

    def failed(self, asker: Asker, error: BaseException) -> None:
        """Note that `asker` could not do its work because of `error`."""
        why, kind = explain(error), type(error).__name__
        if asker in _LEADERS:
            if why not in self._troubles.values():
                log.warning("leader_waits", why=why, error=kind)
                self._leader_waits_since = self._leader_waits_since or time.monotonic()
        elif why not in self._of_writing():
            log.warning("waiting_for_database", why=why, error=kind)
            self._away_since = self._away_since or self._worked_at or time.monotonic()
        self._troubles[asker] = why

    def worked(self, asker: Asker) -> None:
        """Note that `asker` got an answer. The writer's answer is newer than the probe's last one, so it counts for
        both."""
        was = self.problem
        self._troubles.pop(asker, None)
        if asker is Asker.WRITER:
            self._troubles.pop(Asker.PROBE, None)
        if asker not in _LEADERS:
            self._worked_at = time.monotonic()
        if was and self.problem is None:
            log.info("database_ready", seconds=_since(self._away_since), messages=self.in_hand())
            self._away_since = None
        if self._leader_waits_since and not any(leader in self._troubles for leader in _LEADERS):
            log.info("leader_ready", seconds=_since(self._leader_waits_since))
            self._leader_waits_since = None

    def _of_writing(self) -> set[str]:
        return {why for asker, why in self._troubles.items() if asker not in _LEADERS}


def _since(moment: float | None) -> float:
    return 0.0 if moment is None else round(time.monotonic() - moment, 1)


@dataclass
class State:
    """Shared by the parts of ingest. `waiting_for_broker`: why messages do not come (None: they come); `doubts`: by
    server, the promises that it does not keep although it works."""

    waiting_for_broker: str | None = "not yet connected"
    database: DatabaseHealth = field(default_factory=DatabaseHealth)
    metrics: Metrics = field(default_factory=Metrics)
    doubts: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.metrics.database_up.set_function(lambda: "database" not in self.problems())
        self.metrics.mqtt_connected.set_function(lambda: "broker" not in self.problems())

    def problems(self) -> dict[str, str]:
        """By server ("broker", "database"), why ingest waits for it; empty when all is well."""
        both = {"broker": self.waiting_for_broker, "database": self.database.problem}
        return {server: why for server, why in both.items() if why is not None}

    def count(self, outcomes: dict[Outcome, int]) -> None:
        """Count the outcomes of messages whose batch is committed."""
        for outcome, messages in outcomes.items():
            self.metrics.outcomes[outcome].inc(messages)

    def doubt(self, server: str, why: list[str]) -> None:
        """Note why `server` may not keep what ingest promises, and log each new reason; an empty list: it keeps all."""
        for each in why:
            if each not in self.doubts.get(server, []):
                log.warning("promise_in_doubt", server=server, why=each)
        self.doubts = (
            {**self.doubts, server: why} if why else {k: v for k, v in self.doubts.items() if k != server}
        )
