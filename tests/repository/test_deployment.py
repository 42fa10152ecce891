"""docker-compose.yml, .env.example and the image agree with the settings."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from shared import config

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load(COMPOSE_TEXT)
SETTINGS = {
    field.encode_name: field.default
    for kind in vars(config).values()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    for field in msgspec.structs.fields(kind)
}


def documented() -> dict[str, str]:
    return dict(re.findall(r"^#?([A-Z][A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))


@pytest.mark.parametrize("name", SETTINGS)
def test_env_example_shows_every_setting_with_its_default(name: str) -> None:
    default = SETTINGS[name]
    shown = documented()[name]
    if default is None:
        assert shown in ("", "1883")
    elif isinstance(default, bool):
        assert shown == str(default).lower()
    elif isinstance(default, int | float):
        assert float(shown) == default
    elif default is not msgspec.NODEFAULT:
        assert shown == default


def test_env_example_names_no_setting_that_does_not_exist() -> None:
    assert documented().keys() - SETTINGS.keys() == {"BROKER_PORT"}


def test_a_copy_of_env_example_keeps_the_embedded_servers(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(EXAMPLE, encoding="utf-8")
    assert not {"DB_HOST", "MQTT_HOST"} & config.environment(tmp_path).keys()


def test_every_variable_of_compose_is_documented_with_default() -> None:
    variables = re.findall(r"(?<!\$)\$\{([A-Z_]+)([^}]*)\}", COMPOSE_TEXT)
    assert variables
    for name, rest in variables:
        assert rest.startswith(":-"), name
        assert name in documented()


def services() -> dict[str, Any]:
    return dict(COMPOSE["services"])


def test_compose_gives_the_services_valid_settings() -> None:
    needs: dict[str, list[type[msgspec.Struct]]] = {
        "migrate": [config.Database],
        "ingest": [config.Database, config.Mqtt, config.Ingest],
        "api": [config.Database, config.Api],
        "fleet": [config.Mqtt],
    }
    for name, kinds in needs.items():
        env = {
            key: re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", value)
            for key, value in services()[name]["environment"].items()
        }
        for kind in kinds:
            config.read(kind, env)


def test_ingest_and_api_start_once_the_migrations_have_succeeded() -> None:
    for name in ("ingest", "api"):
        assert services()[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert services()["migrate"]["restart"] == "no"


def test_data_outlives_the_containers() -> None:
    assert "postgres:/var/lib/postgresql" in services()["postgres"]["volumes"]
    assert "broker:/mosquitto/data" in services()["broker"]["volumes"]
    mapped = services()["broker"]["volumes"][0].split(":")[0]
    assert "persistence_location /mosquitto/data/" in (ROOT / mapped).read_text(encoding="utf-8")


def test_every_server_has_a_health_check_and_time_to_stop() -> None:
    for name in ("postgres", "broker", "ingest", "api"):
        assert services()[name]["healthcheck"]["test"]
        assert services()[name]["stop_grace_period"]


def test_the_image_holds_what_its_dockerfile_copies() -> None:
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    kept = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line[0] == "!"
    }
    assert {name for names in copied for name in names.split()} == kept
