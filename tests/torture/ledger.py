"""What was published and acknowledged, kept apart from everything under test, and what must be stored of it."""

import hashlib
import json
import random
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.support.model import R

VENS = 40
# This part of the readings has a field and a load that cannot be used; the rest of the reading must be stored.
_FLAWED = 0.1


@dataclass
class Ledger:
    """Every message that the broker acknowledged, by its expected outcome. Times in ms since the epoch."""

    readings: dict[tuple[str, int], R] = field(default_factory=dict)
    statuses: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    dead: set[bytes] = field(default_factory=set)
    published: int = 0

    def transitions(self) -> set[tuple[str, int, str]]:
        """The rows that ven_statuses must hold: each VEN's statuses without repeats of the one before."""
        rows = set()
        for ven, reports in self.statuses.items():
            current = None
            for ts, status in sorted(reports):
                if status != current:
                    rows.add((ven, ts, status))
                current = status
        return rows

    def reported(self) -> set[tuple[str, int, str]]:
        """Every status that was published."""
        return {(ven, ts, status) for ven, reports in self.statuses.items() for ts, status in reports}

    def current(self) -> list[tuple[str, str]]:
        """Each VEN's last status, by VEN."""
        return [(ven, max(reports)[1]) for ven, reports in sorted(self.statuses.items())]

    def latest(self) -> dict[str, tuple[int, float]]:
        """Time and power of each VEN's newest reading."""
        newest: dict[str, tuple[int, float]] = {}
        for (ven, ts), reading in self.readings.items():
            if ven not in newest or ts > newest[ven][0]:
                newest[ven] = (ts, reading.used)
        return newest

    def online(self) -> int:
        """How many VENs with a reading are online: their newest status is not offline, or older than the reading."""
        newest = {ven: max(reports) for ven, reports in self.statuses.items()}
        return sum(
            newest.get(ven, (0, ""))[1] != "offline" or newest[ven][0] < ts
            for ven, (ts, _) in self.latest().items()
        )


@dataclass
class Letter:
    """One message to publish, and how the ledger notes it once it is acknowledged."""

    topic: str
    payload: bytes
    kind: str
    ven: str
    ts: int
    content: Any = None

    def note(self, ledger: Ledger) -> None:
        """Enter it into the ledger."""
        ledger.published += 1
        match self.kind:
            case "reading":
                ledger.readings.setdefault((self.ven, self.ts), self.content)
            case "status":
                ledger.statuses[self.ven].append((self.ts, self.content))
            case "dead":
                ledger.dead.add(hashlib.sha256(self.topic.encode() + b"\0" + self.payload).digest())


class Mill:
    """Makes the messages of a VEN: mostly readings, some statuses, repeats and garbage. A seed always gives the same
    ones, except for times."""

    def __init__(self, seed: int, ven: str) -> None:
        self._random = random.Random(f"{seed}-{ven}")
        self._ven = ven
        self._last_ts = 0
        self._previous: Letter | None = None

    def next(self) -> Letter:
        """The next message of this VEN."""
        chance = self._random.random()
        if chance < 0.03 and self._previous and self._previous.kind == "reading":
            return self._previous
        if chance < 0.04:
            return Letter(f"ven/status/{self._ven}", b"", "ignored", self._ven, 0)
        ts = self._last_ts = max(self._last_ts + 1, int(time.time() * 1000))
        if chance < 0.08:
            self._previous = self._status(ts)
        elif chance < 0.12:
            self._previous = self._garbage(ts)
        else:
            self._previous = self._reading(ts)
        return self._previous

    def _reading(self, ts: int) -> Letter:
        loads = tuple((f"l{n}", round(self._random.uniform(-2, 5), 3), 0.0) for n in range(3))
        used = round(self._random.uniform(-5, 15), 3)
        body: dict[str, Any] = {
            "venId": self._ven,
            "timestamp": ts,
            "usedPowerKw": used,
            "loads": [{"id": name, "currentPowerKw": power} for name, power, _ in loads],
        }
        if self._random.random() < _FLAWED:
            body |= {"batterySoc": "full", "loads": [*body["loads"], {"id": "without power"}]}
        reading = R(self._ven, ts // 1000, used, loads=loads)
        return Letter("volttron/metering", json.dumps(body).encode(), "reading", self._ven, ts, reading)

    def _status(self, ts: int) -> Letter:
        status = self._random.choice(("online", "online", "ready", "offline"))
        body = {"status": status, "timestamp": ts}
        return Letter(f"ven/status/{self._ven}", json.dumps(body).encode(), "status", self._ven, ts, status)

    def _garbage(self, ts: int) -> Letter:
        broken = self._random.choice(
            (b'{"venId": "%s", ' % self._ven.encode(), b"\xff\xfe", b"[" * 5000, b"")
        )
        payload = broken + str(ts).encode() if broken else b'{"timestamp": %d}' % ts
        return Letter("volttron/metering", payload, "dead", self._ven, ts)
