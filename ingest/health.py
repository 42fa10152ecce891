"""What ingest waits for: /health, the gauges and the log depend on it."""

from dataclasses import dataclass, field
from enum import Enum

from ingest.db_errors import explain
from ingest.message import Outcome
from ingest.metrics import Metrics
from shared.logs import get_logger

log = get_logger(__name__)


class Asker(Enum):
    """The three parts of ingest that use the database."""

    WRITER = "writer"
    PROBE = "probe"
    LEADER = "leader"


class DatabaseHealth:
    """Whether the database is usable. The writer, the probe and the leader report to it; it logs each change
    once."""

    def __init__(self, troubles: dict[Asker, str] | None = None) -> None:
        self._troubles = {Asker.WRITER: "not yet connected"} if troubles is None else troubles

    @property
    def problem(self) -> str | None:
        """Why no batch can be stored now; None: it can. What only the leader cannot do does not stop batches."""
        return self._troubles.get(Asker.WRITER) or self._troubles.get(Asker.PROBE)

    def failed(self, asker: Asker, error: BaseException) -> None:
        """`asker` could not do its work because of `error`."""
        why = explain(error)
        leader = asker is Asker.LEADER
        known = {reason for of, reason in self._troubles.items() if leader or of is not Asker.LEADER}
        if why not in known:
            log.warning(
                "leader_waits" if leader else "waiting_for_database", why=why, error=type(error).__name__
            )
        self._troubles[asker] = why

    def worked(self, asker: Asker) -> None:
        """`asker` got an answer. The writer's is newer than the probe's last question, so it counts for both."""
        was = self.problem
        self._troubles.pop(asker, None)
        if asker is Asker.WRITER:
            self._troubles.pop(Asker.PROBE, None)
        if was and self.problem is None:
            log.info("database_ready")


@dataclass
class State:
    """What ingest waits for (None: nothing), and its figures."""

    waiting_for_broker: str | None = "not yet connected"
    database: DatabaseHealth = field(default_factory=DatabaseHealth)
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        self.metrics.database_up.set_function(lambda: "database" not in self.problems())
        self.metrics.mqtt_connected.set_function(lambda: "broker" not in self.problems())

    def problems(self) -> dict[str, str]:
        """What ingest waits for, by server; empty when all is well."""
        both = {"broker": self.waiting_for_broker, "database": self.database.problem}
        return {server: why for server, why in both.items() if why is not None}

    def count(self, outcomes: dict[Outcome, int]) -> None:
        """Note the outcomes of messages, once they are final."""
        for outcome, messages in outcomes.items():
            self.metrics.outcomes[outcome].inc(messages)
