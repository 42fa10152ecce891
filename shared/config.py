"""Settings: read once from the environment and .env into frozen structs, which are then passed on."""

import itertools
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import available_timezones

import msgspec
from dotenv import dotenv_values
from msgspec import Meta, Struct

from shared.certificates import check_authority, check_pair, system_authorities
from shared.errors import SettingsError

Text = Annotated[str, Meta(min_length=1)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]
SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


def _prefixed(prefix: str) -> Callable[[str], str]:
    return lambda field: (prefix + field).upper()


class Database(Struct, frozen=True, kw_only=True, rename=_prefixed("db_")):
    """Where PostgreSQL is, and the login. `host` may be the directory of its Unix socket. `timeout` in s. `api_role`:
    the role that the api takes after its login; empty: none. Certificates and keys are file names, or PEM text."""

    host: Text
    user: Text
    password: Text
    name: Text
    port: Port = 5432
    timeout: Seconds = 30.0
    sslmode: SslMode = "prefer"
    ca_cert: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    pool_max: Count = 10
    api_role: str = "ecs_api"


class Mqtt(Struct, frozen=True, kw_only=True, rename=_prefixed("mqtt_")):
    """Where the broker is, the login, the session of ingest there, and how messages are read. Times in s. Certificates
    and keys are file names, or PEM text."""

    host: Text
    port: Port | None = None
    username: str | None = None
    password: str | None = None
    use_tls: bool = False
    ca_cert: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    tls_server_name: str | None = None
    client_id: Text = "ecs-ingest"
    keepalive: Annotated[int, Meta(ge=1, le=65535)] = 60
    session_expiry: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)] = 86400
    receive_maximum: Annotated[int, Meta(ge=1, le=65535)] = 4000
    shared_group: str | None = None
    topic_metering: Text = "volttron/metering,oadr/meter/+"
    topic_loads: Text = "ven/loads/+"
    topic_status: Text = "volttron/dev,ven/status/+"
    naive_timezone: Text = "UTC"
    clock_ahead: Annotated[float, Meta(ge=0)] = 300.0
    offline_statuses: Text = "offline,disconnected,lost,unavailable"

    @property
    def broker_port(self) -> int:
        """MQTT_PORT, or its default: 8883 with TLS, 1883 without."""
        return self.port or (8883 if self.use_tls else 1883)

    @property
    def offline(self) -> frozenset[str]:
        """The statuses that mean offline, in lower case."""
        return frozenset(status.lower() for status in split_list(self.offline_statuses))


class Ingest(Struct, frozen=True, kw_only=True, rename=_prefixed("ingest_")):
    """The size of a batch in messages, its linger time in s, and where ingest answers /health and /metrics."""

    batch_max: Count = 2000
    linger: Annotated[float, Meta(ge=0)] = 0.02
    http_host: Text = "127.0.0.1"
    http_port: Port = 9100


class Retention(Struct, frozen=True, kw_only=True, rename="upper"):
    """How many days each kind of row is kept: raw, rollups of 1 and 5 minutes, of 15 minutes, and those of loads."""

    raw_retention_days: Count = 30
    fine_rollup_retention_days: Count = 90
    rollup_retention_days: Count = 1095
    load_rollup_retention_days: Count = 365
    dead_letter_retention_days: Count = 30


class Dashboard(Struct, frozen=True, kw_only=True, rename="upper"):
    """The s until a silent VEN is offline, which is also how long a reading speaks; the time zone of the day; which
    VENs the dashboard lists."""

    ven_offline_after: Annotated[float, Meta(gt=0, le=86400)] = 960.0
    dashboard_timezone: Text = "UTC"
    vens_source: Literal["fixtures", "telemetry"] = "fixtures"


class Api(Struct, frozen=True, kw_only=True, rename=_prefixed("api_")):
    """Where the api listens, and which clients it answers. `statement_timeout` in s."""

    host: Text = "127.0.0.1"
    port: Port = 8000
    cors_origins: Text = "*"
    keys: str | None = None
    statement_timeout: Seconds = 10.0


class Log(Struct, frozen=True, kw_only=True, rename=_prefixed("log_")):
    """What is logged, and how: `auto` means sentences on a terminal, otherwise JSON lines."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


# The one setting that may be empty: an empty role means no role.
_MAY_BE_EMPTY = "DB_API_ROLE"

S = TypeVar("S", bound=Struct)


def split_list(value: str | None) -> tuple[str, ...]:
    """The entries of a comma-separated setting, without blanks."""
    return tuple(entry.strip() for entry in (value or "").split(",") if entry.strip())


def environment(directory: Path | None = None) -> dict[str, str]:
    """The process's environment over the .env file in `directory` (default: the working directory).

    An empty variable counts as not set, and hides the one in .env: a compose file or `ecs-backend up` takes a value
    away in this way. Only DB_API_ROLE may be empty.
    """
    file = dotenv_values((directory or Path.cwd()) / ".env")
    merged = {**{name: value for name, value in file.items() if value is not None}, **os.environ}
    return without_unset(merged)


def without_unset(env: Mapping[str, str]) -> dict[str, str]:
    """`env` without the empty variables."""
    return {name: value for name, value in env.items() if value or name == _MAY_BE_EMPTY}


def read(kind: type[S], env: Mapping[str, str]) -> S:
    """The settings of one `kind` in `env`. Raises SettingsError with one line that names what is wrong."""
    names = {field.encode_name for field in msgspec.structs.fields(kind)}
    given = {name: env[name] for name in names if name in env}
    if kind is Log:
        given = {name: value.lower() for name, value in given.items()}
    try:
        settings = msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as exc:
        raise SettingsError(_one_line(str(exc), given)) from exc
    if isinstance(settings, Database):
        _check_database_tls(settings)
    if isinstance(settings, Retention):
        _check_order(settings)
    if isinstance(settings, Dashboard):
        _check_timezone("DASHBOARD_TIMEZONE", settings.dashboard_timezone)
    if isinstance(settings, Mqtt):
        _check_broker_tls(settings)
        if settings.naive_timezone != "refuse":
            _check_timezone("MQTT_NAIVE_TIMEZONE", settings.naive_timezone)
    return settings


def read_all(kind: type[S], env: Mapping[str, str]) -> S:
    """A struct whose fields are kinds of settings, each read out of `env`; raises SettingsError as `read` does."""
    return kind(**{field.name: read(field.type, env) for field in msgspec.structs.fields(kind)})


def _check_database_tls(db: Database) -> None:
    """SettingsError if a certificate would be left unused, or cannot be read."""
    mode = f"DB_SSLMODE={db.sslmode}"
    if db.ca_cert:
        if db.sslmode in ("disable", "allow", "prefer"):
            raise SettingsError(
                f"DB_CA_CERT is set, but {mode} does not check the server: set it to verify-full"
            )
        check_authority("DB_CA_CERT", db.ca_cert)
    elif db.sslmode in ("verify-ca", "verify-full") and system_authorities() is None:
        raise SettingsError(
            f"DB_CA_CERT is missing: {mode} needs it, because this system has no file of trusted certificates"
        )
    if db.client_key and not db.client_cert:
        raise SettingsError("DB_CLIENT_CERT is missing: DB_CLIENT_KEY is the key of a certificate")
    if db.client_cert:
        if db.sslmode == "disable":
            raise SettingsError(f"DB_CLIENT_CERT is set, but {mode} means no TLS: set it to verify-full")
        check_pair("DB_CLIENT_CERT", db.client_cert, db.client_key)


def _check_broker_tls(mqtt: Mqtt) -> None:
    """SettingsError if a certificate or name would be left unused, or a certificate cannot be read."""
    names = ("ca_cert", "client_cert", "client_key", "tls_server_name")
    unused = [f"MQTT_{name.upper()}" for name in names if getattr(mqtt, name)]
    if unused and not mqtt.use_tls:
        raise SettingsError(f"{unused[0]} is set, but MQTT_USE_TLS is not: set it to true")
    if mqtt.client_key and not mqtt.client_cert:
        raise SettingsError("MQTT_CLIENT_CERT is missing: MQTT_CLIENT_KEY is the key of a certificate")
    if mqtt.ca_cert:
        check_authority("MQTT_CA_CERT", mqtt.ca_cert)
    if mqtt.client_cert:
        check_pair("MQTT_CLIENT_CERT", mqtt.client_cert, mqtt.client_key)


def _check_order(keep: Retention) -> None:
    """SettingsError unless each wider tier is kept as long as the narrower one that it is made from, or longer."""
    days = msgspec.structs.asdict(keep)
    names = [
        "raw_retention_days",
        "fine_rollup_retention_days",
        "load_rollup_retention_days",
        "rollup_retention_days",
    ]
    for less, more in itertools.pairwise(names):
        if days[less] > days[more]:
            raise SettingsError(
                f"{less.upper()} is {days[less]}, more than {more.upper()}, which is {days[more]}: lower it"
            )


def _check_timezone(setting: str, name: str) -> None:
    if name not in available_timezones():
        raise SettingsError(f"{setting}: {name!r} is not an IANA time zone, such as Europe/Berlin")


def _one_line(problem: str, given: Mapping[str, Any]) -> str:
    missing = re.fullmatch(r"Object missing required field `(\w+)`", problem)
    if missing:
        return f"{missing[1]} is missing: set it in the environment or in .env"
    at = re.fullmatch(r"(.*) - at `\$\.(\w+)`", problem)
    if not at:
        return problem
    what, name = at.groups()
    shown = "" if "PASSWORD" in name or "KEY" in name else f", not {given.get(name)!r}"
    return f"{name}: {what[0].lower()}{what[1:]}{shown}"
