"""`ecs-backend leave`: writes what the broker holds for an ingest process that will not come back; ends its session."""

import argparse
import sys

import msgspec
import uvloop

from ingest.log_lines import LINES
from ingest.service import Service
from ingest.settings import Settings, read
from shared import logs
from shared.commands import program
from shared.config import environment
from shared.errors import StartupError
from shared.logs import get_logger

log = get_logger(__name__)

_CONNECT_SECONDS = 30.0


def main() -> int:
    """Take over the session, write what the broker holds for it, end it. Exit code: 0; 1 when that cannot be done; 2
    for wrong usage or settings."""
    parser = argparse.ArgumentParser(prog="ecs-backend leave", description=__doc__)
    parser.add_argument("--client-id", help="of the process that is gone (default: MQTT_CLIENT_ID)")
    options = parser.parse_args()
    return program.run("ecs-backend leave", lambda: _leave(options.client_id))


def _leave(client_id: str | None) -> int:
    settings = read(environment())
    logs.configure(settings.log, "leave", LINES)
    if client_id:
        mqtt = msgspec.structs.replace(settings.mqtt, client_id=client_id)
        settings = msgspec.structs.replace(settings, mqtt=mqtt)
    uvloop.run(_run(settings))
    return 0


async def _run(settings: Settings) -> None:
    service = Service(settings, leaving=True)
    try:
        messages = await service.leave(_CONNECT_SECONDS)
    except TimeoutError as exc:
        raise StartupError(f"the session cannot be ended: {service.waits_for}") from exc
    log.info("left", client_id=settings.mqtt.client_id, messages=messages)


if __name__ == "__main__":
    sys.exit(main())
