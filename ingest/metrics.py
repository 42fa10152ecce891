"""The Prometheus families of ingest. The help text beside each name says what it counts.

Every message is accounted for: received - returned = stored + duplicate + dead_lettered + ignored + unacked, at any
moment. `received` counts messages as they arrive, and `unacked` those in memory; neither is computed from the
outcomes, so a message that is lost on its way breaks the equation.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from heapq import nlargest

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ingest.message import Outcome
from shared.clocks import clock_fault

# At most so many VENs get a series of their own: those whose clocks are furthest off.
_NAMED_VENS = 20


class Metrics:
    """The families, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._of_messages(partial(Counter, registry=self.registry))
        self._of_writing()
        self._of_connections(partial(Gauge, registry=self.registry))
        self._of_counting(partial(Gauge, registry=self.registry))

    def _of_messages(self, counter: Callable[[str, str], Counter]) -> None:
        """Messages that came, and their outcomes."""
        self.received = counter("ecs_ingest_received", "Messages that arrived")
        self.returned = counter(
            "ecs_ingest_returned", "Messages given back to the broker, which sends them again"
        )
        self.outcomes = {
            Outcome.STORED: counter("ecs_ingest_stored", "Messages stored"),
            Outcome.DUPLICATE: counter("ecs_ingest_duplicate", "Messages already stored"),
            Outcome.DEAD_LETTERED: counter("ecs_ingest_dead_lettered", "Messages that cannot be stored"),
            Outcome.IGNORED: counter(
                "ecs_ingest_ignored", "Messages that need no action: empty, or of a filter no longer set"
            ),
        }
        self.flawed = counter(
            "ecs_ingest_flawed", "Messages of which a part was left out; stored or duplicate"
        )
        self.conflict = counter(
            "ecs_ingest_conflict", "Readings that differ from the one stored; also duplicate"
        )
        self.dead_letters_new = counter(
            "ecs_ingest_dead_letters_new",
            "Dead letters of a kind (topic, VEN, reason without figures) seen for the first time",
        )
        self.truncated = counter("ecs_ingest_dead_letters_truncated", "Dead letters not kept whole")
        self.dead_letters_dropped = counter(
            "ecs_ingest_dead_letters_dropped", "Dead letters dropped to spare the disk"
        )

    def _of_writing(self) -> None:
        self.rows = Counter("ecs_ingest_rows", "Rows written to the raw tables", registry=self.registry)
        self.flush_seconds = Histogram(
            "ecs_ingest_flush_seconds",
            "Time to write one batch",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=self.registry,
        )

    def _of_connections(self, gauge: Callable[[str, str], Gauge]) -> None:
        """Messages in hand, and whether the broker and the database can be used."""
        self.unacked = gauge("ecs_ingest_unacked", "Messages received and not yet acknowledged")
        self.oldest = gauge("ecs_ingest_oldest_unacked_seconds", "Age of the oldest unacknowledged message")
        self.database_up = gauge("ecs_ingest_database_up", "1 while the database takes batches")
        self.mqtt_connected = gauge("ecs_ingest_mqtt_connected", "1 while subscribed at the broker")
        self.broker_dropped = gauge(
            "ecs_broker_dropped_messages",
            "Messages that the broker dropped since its start, for any subscriber, as mosquitto says",
        )

    def _of_counting(self, gauge: Callable[[str, str], Gauge]) -> None:
        """How far the leader has counted, and the state of the fleet."""
        self.rollup_lag = gauge("ecs_rollup_lag_seconds", "How far the watermark is behind the clock")
        self.loads_lag = gauge(
            "ecs_rollup_loads_lag_seconds", "How far the watermark of loads is behind the clock"
        )
        self.late_waiting = gauge(
            "ecs_rollup_dirty_buckets", "Late readings and lists of loads that wait to be counted"
        )
        self.vens_known = gauge("ecs_vens_known", "VENs heard of")
        self.vens_online = gauge("ecs_vens_online", "VENs with a sign of life within VEN_OFFLINE_AFTER")
        self.tick_seconds = Histogram(
            "ecs_rollup_tick_seconds",
            "Time of one counting step of the leader",
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
            registry=self.registry,
        )

    def name_clocks(self, off: Callable[[], Iterable[tuple[str, float]]]) -> None:
        """Show the VENs that `off` gives, each with how many s its clock is behind (negative: ahead)."""
        self.registry.register(_Clocks(off))


def value(metric: Counter | Gauge) -> float:
    """The present value of a counter or gauge without labels."""
    return next(iter(metric.collect())).samples[0].value


class _Clocks(Collector):
    """Makes its families anew for each scrape, so that a VEN whose clock is right again has no series."""

    def __init__(self, off: Callable[[], Iterable[tuple[str, float]]]) -> None:
        self._off = off

    def collect(self) -> Iterator[Metric]:
        """The two families, as of now."""
        off = list(self._off())
        yield GaugeMetricFamily(
            "ecs_ingest_clocks_off", "VENs whose clock is off by a minute or more", value=len(off)
        )
        family = GaugeMetricFamily(
            "ecs_ingest_clock_offset_seconds",
            f"How far the clocks that are furthest off are behind (ahead: negative), {_NAMED_VENS} VENs at most",
            labels=("ven", "fault"),
        )
        for ven_id, seconds in nlargest(_NAMED_VENS, off, key=lambda each: abs(each[1])):
            family.add_metric((ven_id, clock_fault(seconds)), seconds)
        yield family
