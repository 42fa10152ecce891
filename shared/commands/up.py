"""`ecs-backend up`: starts every service on this machine in order, watches them, and stops them in reverse order."""

import asyncio
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn, TypeVar

import msgspec
from msgspec import Struct

from shared import config, db, logs
from shared.commands import running
from shared.commands.migrate import migrate
from shared.embedded.broker import DEFAULT_PORT as BROKER_PORT
from shared.embedded.broker import EmbeddedBroker
from shared.embedded.child import Child, spawn, stop
from shared.embedded.postgres import EmbeddedPostgres
from shared.errors import SettingsError, StartupError
from shared.ports import accepts, require_free

VENS = 25
INTERVAL_SECONDS = 5.0
HISTORY_SECONDS = 86400.0
_DATABASE = "ecs"
_STOP_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.1
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# The address and login of a server. For an embedded server all of them are replaced, also those that .env sets.
_DATABASE_LOGIN = (
    *("DB_HOST", "DB_PORT", "DB_USER", "DB_PASSWORD", "DB_NAME"),
    *("DB_SSLMODE", "DB_CA_CERT", "DB_CLIENT_CERT", "DB_CLIENT_KEY"),
)
_BROKER_LOGIN = (
    *("MQTT_HOST", "MQTT_PORT", "MQTT_USERNAME", "MQTT_PASSWORD"),
    *("MQTT_USE_TLS", "MQTT_CA_CERT", "MQTT_CLIENT_CERT", "MQTT_CLIENT_KEY", "MQTT_TLS_SERVER_NAME"),
)

S = TypeVar("S", bound=Struct)


class Options(Struct, frozen=True, kw_only=True):
    """The options of the command line; None: the default, which for `simulate` depends on the servers."""

    data: Path
    broker_port: int = BROKER_PORT
    api_port: int | None = None
    vens: int | None = None
    interval: float | None = None
    simulate: bool | None = None
    history: float | None = None


class _Stop(KeyboardInterrupt):
    """SIGINT, SIGTERM or SIGHUP came. Of all exceptions, asyncio lets only KeyboardInterrupt and SystemExit out of a
    callback, and the signal may come while `up` asks the database."""


def run(options: Options) -> int:
    """Run everything until a signal comes; then returns 0. Raises SettingsError, StartupError or EcsError.

    Everything is stopped when this returns or raises.
    """
    env = config.environment()
    logs.configure(config.read(config.Log, env), "up")
    for number in _STOP_SIGNALS:
        signal.signal(number, _stop)
    try:
        with ExitStack() as stack:
            Services(options, env, stack).run()
    except _Stop:
        _say("Stopped. The next run goes on with the data.")
    return 0


class Services:
    """The services of one run. `env`: the settings; children get these and those of the embedded servers."""

    def __init__(self, options: Options, env: dict[str, str], stack: ExitStack) -> None:
        self._options = options
        self._data = options.data.resolve()
        self._stack = stack
        self._children: list[Child] = []
        self._postgres = EmbeddedPostgres(self._data / "postgres") if "DB_HOST" not in env else None
        self._broker = (
            EmbeddedBroker(self._data / "broker", options.broker_port) if "MQTT_HOST" not in env else None
        )
        self._env = dict(env)
        if self._postgres:
            self._use_login(_DATABASE_LOGIN, self._postgres.settings(_DATABASE))
        if self._broker:
            self._use_login(_BROKER_LOGIN, config.Mqtt(host=self._broker.host, port=self._broker.port))
        if options.api_port:
            self._env["API_PORT"] = str(options.api_port)
        for kind in (config.Mqtt, config.Retention, config.Dashboard):
            self._read(kind)
        self._database = self._read(config.Database)
        self._api = self._read(config.Api)
        self._ingest = self._read(config.Ingest)
        if self._api.port == self._ingest.http_port:
            raise SettingsError(f"API_PORT and INGEST_HTTP_PORT are both {self._api.port}: choose two ports")

    def run(self) -> NoReturn:
        """Start everything, print where it runs, and watch it. Raises EcsError, or _Stop in the signal handler."""
        self._stack.enter_context(running.alone(self._data))
        remedy = "stop the program that has it, or choose another with"
        require_free(self._api.host, self._api.port, f"the api needs it; {remedy} --port or API_PORT")
        require_free(
            self._ingest.http_host, self._ingest.http_port, f"ingest needs it; {remedy} INGEST_HTTP_PORT"
        )
        self._start_servers()
        migrate(self._database)
        running.write(self._data, self._leading_here())
        self._spawn("ingest", self._ingest.http_host, self._ingest.http_port)
        self._spawn("api", self._api.host, self._api.port)
        _say(self._what_runs())
        if self._wants_fleet():
            self._spawn_fleet()
        while True:
            _stop_if_asked()
            for child in self._children:
                child.require_alive()
            time.sleep(_POLL_SECONDS)

    def _use_login(self, names: tuple[str, ...], settings: Struct) -> None:
        # An empty variable hides the one in .env from the children.
        given = msgspec.to_builtins(settings)
        self._env.update({name: "" if given[name] is None else str(given[name]) for name in names})

    def _leading_here(self) -> dict[str, str]:
        """The settings by which other commands find the servers that this one started; not those of other servers."""
        names = [
            *(_DATABASE_LOGIN if self._postgres else ()),
            *(_BROKER_LOGIN if self._broker else ()),
        ]
        if not names:
            return {}
        ports = {
            "INGEST_HTTP_HOST": self._ingest.http_host,
            "INGEST_HTTP_PORT": str(self._ingest.http_port),
            "API_HOST": self._api.host,
            "API_PORT": str(self._api.port),
        }
        return {**{name: self._env[name] for name in names}, **ports}

    def _read(self, kind: type[S]) -> S:
        return config.read(kind, config.without_unset(self._env))

    def _start_servers(self) -> None:
        for name, server in (("postgres", self._postgres), ("broker", self._broker)):
            if server:
                self._stack.callback(server.stop)
                server.start(self._database.timeout)
                if server.process:
                    self._children.append(Child(name, server.process, str(server.log)))
        if self._postgres:
            self._postgres.create_database(_DATABASE)
        mqtt = self._read(config.Mqtt)
        self._wait_for(
            f"broker at MQTT_HOST={mqtt.host} MQTT_PORT={mqtt.broker_port}", mqtt.host, mqtt.broker_port
        )

    def _spawn(self, module: str, host: str, port: int) -> None:
        """Start `python -m <module>` and wait until it listens."""
        child = self._spawn_child(module, [module])
        self._wait_for(f"{module} on port {port} (see its lines above)", host, port, child)

    def _wait_for(self, what: str, host: str, port: int, child: Child | None = None) -> None:
        """Return once `what` accepts connections. Raises EcsError if `child` ends, StartupError after DB_TIMEOUT."""
        deadline = time.monotonic() + self._database.timeout
        while not accepts(host, port):
            _stop_if_asked()
            if child:
                child.require_alive()
            if time.monotonic() > deadline:
                raise StartupError(f"no {what} within DB_TIMEOUT={self._database.timeout:g} s")
            time.sleep(_POLL_SECONDS)

    def _wants_fleet(self) -> bool:
        if self._options.simulate is not None:
            return self._options.simulate
        described = self._options.vens is not None or self._options.interval is not None
        return described or (self._postgres is not None and self._broker is not None)

    def _spawn_fleet(self) -> None:
        vens, interval = self._options.vens or VENS, self._options.interval or INTERVAL_SECONDS
        history = self._history()
        past = f", after the last {history / 3600:g} h at once" if history else ""
        _say(f"  fleet      {vens} simulated VENs, a report of each every {interval:g} s{past}\n")
        arguments = ["--vens", str(vens), "--interval", str(interval), "--history", f"{history:.0f}"]
        self._spawn_child("fleet", ["fixtures.fleet", *arguments])

    def _history(self) -> float:
        """The s of the fleet's past to publish: --history, else a day if the database is empty."""
        if self._options.history is not None:
            return self._options.history
        return 0.0 if asyncio.run(_has_vens(self._database)) else HISTORY_SECONDS

    def _spawn_child(self, name: str, arguments: list[str]) -> Child:
        process = spawn([sys.executable, "-P", "-m", *arguments], env=self._env)
        self._stack.callback(stop, process, signal.SIGTERM, _STOP_TIMEOUT_SECONDS)
        self._children.append(Child(name, process))
        return self._children[-1]

    def _what_runs(self) -> str:
        mqtt = self._read(config.Mqtt)
        api = f"http://{self._api.host}:{self._api.port}"
        logged = [f"  (log: {server.log})" if server else "" for server in (self._postgres, self._broker)]
        return f"""
ECS Backend runs. Ctrl-C stops it and keeps the data. Look at it:

  {api}/
  curl {api}/api/stats/network
  {_this_command()} status --watch

  api        {api}/docs
  ingest     http://{self._ingest.http_host}:{self._ingest.http_port}/health and /metrics
  postgres   host={self._database.host} user={self._database.user} dbname={self._database.name}{logged[0]}
  broker     {mqtt.host}:{mqtt.broker_port}{logged[1]}"""


def _this_command() -> str:
    """The command that a person can type here, as this process was started."""
    return sys.argv[0] if Path(sys.argv[0]).name == "ecs-backend" else "ecs-backend"


async def _has_vens(settings: config.Database) -> bool:
    connection = await db.connect(settings, application="ecs-up")
    try:
        return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM vens)"))
    finally:
        await connection.close()


def _stop(*_: object) -> NoReturn:
    for number in _STOP_SIGNALS:
        signal.signal(number, _stops_already)
    raise _Stop


def _stops_already(*_: object) -> None:
    """A second Ctrl-C does not interrupt the stop. Not SIG_IGN, because a child that is started now would inherit it,
    and not end at SIGTERM until it has a handler of its own."""


def _stop_if_asked() -> None:
    """Raise _Stop again if a signal came: Python ignores what a handler raises while a finalizer runs, or what runs at
    a fork, such as the locks of `logging`."""
    if signal.getsignal(signal.SIGTERM) is _stops_already:
        raise _Stop


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
