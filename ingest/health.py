"""What ingest is doing just now: for /health, /metrics and the log."""

import time
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ingest.message import Outcome
from shared.logs import get_logger

log = get_logger(__name__)


class Metrics:
    """The Prometheus families of the contract, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.received = Counter("ecs_ingest_received", "Messages whose outcome is known", registry=registry)
        self.outcomes = {
            Outcome.STORED: Counter("ecs_ingest_stored", "Messages stored", registry=registry),
            Outcome.DUPLICATE: Counter("ecs_ingest_duplicate", "Messages already stored", registry=registry),
            Outcome.DEAD_LETTERED: Counter(
                "ecs_ingest_dead_lettered", "Messages that cannot be stored", registry=registry
            ),
        }
        self.truncated = Counter(
            "ecs_ingest_dead_letters_truncated", "Dead letters not kept whole", registry=registry
        )
        self.dead_letters_dropped = Counter(
            "ecs_ingest_dead_letters_dropped", "Dead letters dropped to spare the disk", registry=registry
        )
        self.rows = Counter("ecs_ingest_rows", "Rows written to the raw tables", registry=registry)
        self.flush_seconds = Histogram(
            "ecs_ingest_flush_seconds",
            "Time to write one batch",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=registry,
        )
        self.unacked = Gauge(
            "ecs_ingest_unacked", "Messages received and not yet acknowledged", registry=registry
        )
        self.oldest = Gauge(
            "ecs_ingest_oldest_unacked_seconds", "Age of the oldest of them", registry=registry
        )
        self.database_up = Gauge(
            "ecs_ingest_database_up", "1 while the database takes batches", registry=registry
        )
        self.mqtt_connected = Gauge(
            "ecs_ingest_mqtt_connected", "1 while subscribed at the broker", registry=registry
        )
        self.rollup_lag = Gauge("ecs_rollup_lag_seconds", "Age of the rollups' watermark", registry=registry)
        self.rollup_dirty = Gauge(
            "ecs_rollup_dirty_buckets", "Closed buckets waiting to be redone", registry=registry
        )


@dataclass
class State:
    """What ingest waits for (None: nothing), and its figures.

    `waiting_for_database` is what the writer found at its last batch; `database_away` what the pulse, which asks
    all the time, found since: a writer without work would not notice.
    """

    waiting_for_broker: str | None = "not yet connected"
    waiting_for_database: str | None = "not yet connected"
    database_away: str | None = None
    metrics: Metrics = field(default_factory=Metrics)

    def lose_database(self, why: str, error: str) -> None:
        """The database is away; said once, whoever finds out first."""
        if why not in (self.waiting_for_database, self.database_away):
            log.warning("waiting_for_database", why=why, error=error)
        self.database_away = why

    def find_database(self, host: str) -> None:
        """The database answers."""
        if self.database_away:
            self.database_away = None
            log.info("database_ready", host=host)

    def problems(self) -> dict[str, str]:
        """What ingest waits for, by server; empty when all is well."""
        both = {
            "broker": self.waiting_for_broker,
            "database": self.waiting_for_database or self.database_away,
        }
        return {server: why for server, why in both.items() if why is not None}

    def count(self, outcomes: dict[Outcome, int]) -> None:
        """Note the outcomes of messages, once they are final."""
        for outcome, messages in outcomes.items():
            self.metrics.outcomes[outcome].inc(messages)
        self.metrics.received.inc(sum(outcomes.values()))

    def show(self, unacked: int, oldest_received_at: int | None) -> float:
        """Bring the gauges up to date; returns the age of the oldest unacknowledged message in s."""
        age = 0.0 if oldest_received_at is None else max(0.0, time.time() - oldest_received_at / 1e6)
        self.metrics.unacked.set(unacked)
        self.metrics.oldest.set(age)
        problems = self.problems()
        self.metrics.database_up.set("database" not in problems)
        self.metrics.mqtt_connected.set("broker" not in problems)
        return age
