"""The events that the admin endpoints serve: read from a file, changed in this process's memory alone."""

from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from api.bodies import NewEvent
from api.errors import ConflictError, NotFoundError
from api.params import Interval


class EventMetrics(Struct, frozen=True, rename="camel"):
    """How VENs respond to an event; the reduction in kW, the time in ms."""

    current_reduction_kw: float = 0.0
    vens_responding: int = 0
    avg_response_ms: float = 0.0


class Event(Struct, frozen=True, rename="camel"):
    """A demand-response event; its status never follows the clock."""

    id: str
    status: Literal["scheduled", "active", "completed", "cancelled"]
    start_time: datetime
    end_time: datetime
    requested_reduction_kw: float
    actual_reduction_kw: float


class CurrentEvent(Event, frozen=True, rename="camel"):
    """An event together with its metrics."""

    current_reduction_kw: float
    vens_responding: int
    avg_response_ms: float


class FixtureEvent(Struct, frozen=True, rename="camel"):
    """An event as fixtures/events.json has it."""

    event: Event
    metrics: EventMetrics = EventMetrics()


class EventStore:
    """Events by id, in the order they were made. Ids count up; one that was deleted is not given again."""

    def __init__(self, file: Path) -> None:
        events = msgspec.json.decode(file.read_bytes(), type=list[FixtureEvent])
        self._events = {of.event.id: of for of in events}
        self._last_number = max((int(event_id.removeprefix("evt-")) for event_id in self._events), default=0)

    def all(self) -> list[Event]:
        """Every event."""
        return [of.event for of in self._events.values()]

    def get(self, event_id: str) -> Event:
        """One event; raises NotFoundError."""
        return self._get(event_id).event

    def metrics(self, event_id: str) -> EventMetrics:
        """How VENs respond to an event; raises NotFoundError."""
        return self._get(event_id).metrics

    def current(self) -> CurrentEvent | None:
        """The active event, else the next scheduled one, else None."""
        for status in ("active", "scheduled"):
            events = [of for of in self._events.values() if of.event.status == status]
            if events:
                first = min(events, key=lambda of: of.event.start_time)
                return CurrentEvent(
                    *msgspec.structs.astuple(first.event), *msgspec.structs.astuple(first.metrics)
                )
        return None

    def overlapping(self, span: Interval) -> list[Event]:
        """The events that have a moment in common with `span`."""
        return [
            event
            for event in self.all()
            if (span.end is None or event.start_time < span.end)
            and (span.start is None or event.end_time > span.start)
        ]

    def add(self, new: NewEvent) -> Event:
        """A new event, scheduled."""
        self._last_number += 1
        event = Event(
            id=f"evt-{self._last_number}",
            status="scheduled",
            start_time=new.start_time,
            end_time=new.end_time,
            requested_reduction_kw=new.requested_reduction_kw,
            actual_reduction_kw=0.0,
        )
        self._events[event.id] = FixtureEvent(event)
        return event

    def stop(self, event_id: str) -> None:
        """Complete an event; raises NotFoundError, or ConflictError if it is over already."""
        of = self._get(event_id)
        if of.event.status in ("completed", "cancelled"):
            raise ConflictError(f"eventId: event {event_id} is {of.event.status}, so it cannot be stopped")
        completed = msgspec.structs.replace(of.event, status="completed")
        self._events[event_id] = msgspec.structs.replace(of, event=completed)

    def delete(self, event_id: str) -> None:
        """Forget an event; raises NotFoundError."""
        del self._events[self.get(event_id).id]

    def _get(self, event_id: str) -> FixtureEvent:
        if event_id not in self._events:
            raise NotFoundError(f"eventId: there is no event {event_id[:128]!r}; GET /api/events lists them")
        return self._events[event_id]
