"""Settings: defaults, .env, and one line that names what is wrong."""

from pathlib import Path

import pytest

from shared.config import Dashboard, Database, Ingest, Log, Mqtt, Retention, environment, read, split_list
from shared.errors import SettingsError

DB = {"DB_HOST": "h", "DB_USER": "u", "DB_PASSWORD": "secret", "DB_NAME": "n"}


def test_defaults_are_those_of_the_contract() -> None:
    db, mqtt, ingest = read(Database, DB), read(Mqtt, {"MQTT_HOST": "m"}), read(Ingest, {})
    assert (db.port, db.timeout, db.sslmode, db.pool_max) == (5432, 30.0, "prefer", 10)
    assert (mqtt.broker_port, mqtt.client_id, mqtt.keepalive) == (1883, "ecs-ingest", 60)
    assert (mqtt.session_expiry, mqtt.receive_maximum, mqtt.shared_group) == (86400, 4000, None)
    assert read(Mqtt, {"MQTT_HOST": "m", "MQTT_USE_TLS": "true"}).broker_port == 8883
    assert (ingest.batch_max, ingest.linger, ingest.http_host, ingest.http_port) == (
        2000,
        0.02,
        "127.0.0.1",
        9100,
    )
    assert read(Retention, {}) == Retention()


@pytest.mark.parametrize(
    ("kind", "env", "line"),
    [
        (Database, {k: v for k, v in DB.items() if k != "DB_NAME"}, "DB_NAME is missing"),
        (Database, {**DB, "DB_PORT": "many"}, "DB_PORT: .*'many'"),
        (Database, {**DB, "DB_PORT": "70000"}, "DB_PORT: .*<= 65535.*'70000'"),
        (Database, {**DB, "DB_SSLMODE": "maybe"}, "DB_SSLMODE: .*'maybe'"),
        (Mqtt, {"MQTT_HOST": "m", "MQTT_USE_TLS": "perhaps"}, "MQTT_USE_TLS"),
        (Dashboard, {"DASHBOARD_TIMEZONE": "Mars/Base"}, "DASHBOARD_TIMEZONE: 'Mars/Base'"),
        (Retention, {"RAW_RETENTION_DAYS": "0"}, "RAW_RETENTION_DAYS"),
        (Log, {"LOG_LEVEL": "loud"}, "LOG_LEVEL"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(kind: type, env: dict[str, str], line: str) -> None:
    with pytest.raises(SettingsError, match=line) as caught:
        read(kind, env)
    assert "\n" not in str(caught.value)


KEY = "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"DB_CA_CERT": "none.pem", "DB_SSLMODE": "verify-full"}, "DB_CA_CERT: none.pem cannot be read"),
        ({"DB_CA_CERT": KEY, "DB_SSLMODE": "verify-ca"}, "DB_CA_CERT: the PEM text is not"),
        ({"DB_CA_CERT": "any.pem"}, "DB_SSLMODE=prefer does not check the server: set it to verify-full"),
        ({"DB_CLIENT_KEY": KEY}, "DB_CLIENT_CERT is missing"),
        ({"DB_CLIENT_CERT": "none.pem"}, "DB_CLIENT_CERT .*none.pem cannot be read"),
        ({"DB_CLIENT_CERT": KEY, "DB_CLIENT_KEY": KEY}, "DB_CLIENT_CERT and its key, the PEM text"),
        ({"DB_CLIENT_CERT": "any.pem", "DB_SSLMODE": "disable"}, "DB_SSLMODE=disable means no TLS"),
    ],
)
def test_certificates_that_would_not_be_used_are_named(given: dict[str, str], line: str) -> None:
    with pytest.raises(SettingsError, match=line) as caught:
        read(Database, {**DB, **given})
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_no_error_shows_a_secret() -> None:
    with pytest.raises(SettingsError) as caught:
        read(Database, {**DB, "DB_PORT": "x"})
    assert "secret" not in str(caught.value)


def test_the_environment_wins_and_an_empty_variable_hides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("DB_HOST=file\nDB_USER=file\nDB_NAME=file\n")
    monkeypatch.setenv("DB_HOST", "environment")
    monkeypatch.setenv("DB_USER", "")
    env = environment(tmp_path)
    assert (env["DB_HOST"], env["DB_NAME"], "DB_USER" in env) == ("environment", "file", False)


def test_only_the_role_of_the_api_may_be_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in DB.items():
        monkeypatch.setenv(name, value)
    assert read(Database, environment(tmp_path)).api_role == "ecs_api"
    monkeypatch.setenv("DB_API_ROLE", "")
    assert read(Database, environment(tmp_path)).api_role == ""


def test_lists_are_split_at_commas() -> None:
    assert split_list(" a, b ,,c ") == ("a", "b", "c")
    assert split_list(None) == ()
