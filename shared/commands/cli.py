"""The `ecs-backend` command."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from shared import installation, logs
from shared.arguments import above_zero, at_least_one, parse_duration
from shared.commands import program, running, status, up
from shared.commands.migrate import migrate
from shared.config import Database, Log, environment, read
from shared.embedded.broker import DEFAULT_PORT as BROKER_PORT

_PROGRAM = "ecs-backend"
# These commands read the rest of the command line themselves.
_WITH_ARGUMENTS = {
    "simulate": "fixtures.fleet",
    "rollup": "ingest.upkeep.rebuild",
    "leave": "ingest.leave",
    "dead-letters": "ingest.dead_letters",
    "doctor": "ingest.doctor",
}
_SETTINGS = (
    "Settings come from the environment, or from a .env file in the working directory; "
    ".env.example explains each."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit code: 0; 1 for a failure; 2 for wrong usage or settings."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command not in _WITH_ARGUMENTS:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return program.run(_PROGRAM, lambda: _run(options, rest))


def _run(options: argparse.Namespace, rest: Sequence[str]) -> int:
    installation.require_unmixed()
    match options.command:
        case "up":
            return up.run(_up_options(options))
        case "migrate":
            return _migrate(options.rollback)
        case "status":
            status.show(running.environment(), as_json=options.json, every=options.watch)
            return 0
        case command:
            return _become(_WITH_ARGUMENTS.get(command, command), rest)


def _migrate(rollback: int) -> int:
    env = environment()
    logs.configure(read(Log, env), "migrate")
    migrate(read(Database, env), rollback)
    return 0


def _become(module: str, arguments: Sequence[str]) -> int:
    """Replace this process by `python -m <module>`, so that signals and the exit code are the module's.

    -P: do not import from the working directory, where another project may have a package `api`.
    """
    os.execv(sys.executable, [sys.executable, "-P", "-m", module, *arguments])  # noqa: S606 no shell is wanted


def _up_options(options: argparse.Namespace) -> up.Options:
    return up.Options(
        data=options.data,
        api_port=options.port,
        broker_port=options.broker_port,
        vens=options.vens,
        interval=options.interval,
        simulate=options.simulate,
        history=options.history,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="Stores what VENs report over MQTT and serves it over REST.",
        epilog=_SETTINGS,
    )
    parser.add_argument("--version", action="version", version=f"{_PROGRAM} {installation.version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_up(commands)
    _add_migrate(commands)
    for name, what in (
        ("ingest", "Store what the broker delivers, until SIGTERM or Ctrl-C. Needs MQTT_HOST and DB_*."),
        ("api", "Answer REST requests on API_HOST:API_PORT, until SIGTERM or Ctrl-C. Needs DB_*."),
    ):
        commands.add_parser(name, help=what, description=what, epilog=_SETTINGS)
    _add_status(commands)
    commands.add_parser("rollup", help="Recompute rollups from raw rows. Needs DB_*.", add_help=False)
    commands.add_parser(
        "simulate", help="Report as a fleet of simulated VENs. Needs MQTT_HOST.", add_help=False
    )
    commands.add_parser(
        "doctor",
        help="Check all that the promises depend on, and try the broker's queue. Needs MQTT_HOST and DB_*.",
        add_help=False,
    )
    commands.add_parser(
        "leave",
        help="Take an ingest process out of a shared group for good. Needs MQTT_HOST and DB_*.",
        add_help=False,
    )
    commands.add_parser(
        "dead-letters",
        help="Show messages that could not be stored, try again to store them, delete them. Needs DB_*.",
        add_help=False,
    )
    return parser


def _add_up(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    what = "Run everything here until Ctrl-C: PostgreSQL, a broker, ingest, the api, a simulated fleet."
    parser = commands.add_parser(
        "up",
        help=what,
        description=f"{what} Data stays in a directory, and the next run goes on with it. If DB_HOST or MQTT_HOST "
        "is set, that server is used instead of an embedded one, and a fleet is simulated only if asked for.",
        epilog=_SETTINGS,
    )
    parser.add_argument(
        "--data", type=Path, default=running.DATA, help="where data is kept (default: %(default)s)"
    )
    parser.add_argument("--port", type=_port, help="port of the api (default: API_PORT, or 8000)")
    parser.add_argument(
        "--broker-port",
        type=_port,
        default=BROKER_PORT,
        help="of the embedded broker (default: %(default)s)",
    )
    parser.add_argument("--vens", type=at_least_one, help=f"how many VENs to simulate (default: {up.VENS})")
    parser.add_argument(
        "--interval",
        type=above_zero,
        help=f"s between two reports of a VEN (default: {up.INTERVAL_SECONDS:g})",
    )
    parser.add_argument(
        "--simulate",
        action=argparse.BooleanOptionalAction,
        help="simulate a fleet, or none (default: see above)",
    )
    parser.add_argument(
        "--history",
        type=parse_duration,
        metavar="2d",
        help="how much of the fleet's past is published first; 0: none (default: 1d if the database is empty)",
    )


def _add_migrate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    what = "Bring the database's schema to this version. Needs DB_*; waits DB_TIMEOUT for the server."
    parser = commands.add_parser("migrate", help=what, description=what, epilog=_SETTINGS)
    parser.add_argument(
        "--rollback", type=at_least_one, default=0, metavar="N", help="undo the newest N migrations instead"
    )


def _add_status(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    what = "Show the state of services, VENs, dead letters, tables and disk. Needs DB_*."
    parser = commands.add_parser(
        "status",
        help=what,
        description=f"{what} Beside `ecs-backend up` it finds the servers by itself.",
        epilog=_SETTINGS,
    )
    parser.add_argument("--json", action="store_true", help="as one line of JSON")
    parser.add_argument(
        "--watch",
        type=above_zero,
        nargs="?",
        const=2.0,
        metavar="S",
        help="repeat every S seconds (2), until Ctrl-C",
    )


def _port(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{number} is not a port: 1 to 65535")
    return number


if __name__ == "__main__":
    sys.exit(main())
