"""docs/metrics.md and docs/monitoring agree with what both services really show, and with the runbook."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.metrics import documented, families, sample_names, shown

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "docs" / "monitoring"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
RULES = yaml.safe_load((MONITORING / "alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))
# What every target has beside its own labels, and what a rule about targets asks.
OF_TARGETS = {"job", "instance"}
UP = "up"

promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="needs promtool, of Debian's package prometheus"
)


def expressions() -> list[str]:
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [*panels, *(rule["expr"] for rule in RULES)]


def section_anchors() -> set[str]:
    """The sections of the runbook, as GitHub names them in links."""
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


async def test_every_family_is_documented_as_it_is() -> None:
    of_ingest, of_api = await shown()
    assert families(of_ingest) | families(of_api) == documented()


async def test_every_expression_asks_for_what_is_shown() -> None:
    of_ingest, of_api = await shown()
    names = {**sample_names(of_ingest), **sample_names(of_api)}
    for expression in expressions():
        asked = re.findall(r"\b(ecs_\w+|up)\b(?:\{([^}]*)\})?", expression)
        assert asked, expression
        labels = set().union(*(names.get(name, set()) for name, _ in asked)) | OF_TARGETS
        for name, selectors in asked:
            assert name == UP or name in names, expression
            assert set(re.findall(r"(\w+)=", selectors)) <= labels, expression
        for grouped in re.findall(r"by \(([^)]*)\)", expression):
            assert {label.strip() for label in grouped.split(",")} <= labels, expression


async def test_the_dashboard_shows_every_family() -> None:
    text = " ".join(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"])
    assert [family.name for family in documented() if family.name not in text] == []


def test_panels_do_not_overlap() -> None:
    def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
        at = panel["gridPos"]
        return {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}

    taken = [cell for panel in DASHBOARD["panels"] for cell in cells(panel)]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_every_alert_has_a_test_and_a_section_of_the_runbook(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["alert"] in (MONITORING / "alerts_test.yml").read_text(encoding="utf-8")
    page, anchor = rule["annotations"]["runbook"].split("#")
    assert page == "docs/operations.md"
    assert anchor in section_anchors()


@promtool
@pytest.mark.parametrize(
    "arguments", [("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")], ids=" ".join
)
def test_promtool_agrees(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=MONITORING, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_offers_both_on_this_machine_only() -> None:
    for name, port in (("prometheus", 9090), ("grafana", 3000)):
        service = COMPOSE["services"][name]
        assert service["profiles"] == ["observability"]
        assert service["ports"] == [f"127.0.0.1:{port}:{port}"]
        mounted = [volume.split(":")[0] for volume in service["volumes"] if volume.startswith("./")]
        assert mounted
        assert all((ROOT / path).exists() for path in mounted)


def test_prometheus_scrapes_the_services_of_compose() -> None:
    settings = yaml.safe_load((MONITORING / "prometheus.yml").read_text(encoding="utf-8"))
    targets = {
        scraped["job_name"]: scraped["static_configs"][0]["targets"] for scraped in settings["scrape_configs"]
    }
    environment = {name: COMPOSE["services"][name]["environment"] for name in targets}
    assert targets == {
        "ingest": [f"ingest:{environment['ingest']['INGEST_HTTP_PORT']}"],
        "api": [f"api:{environment['api']['API_PORT']}"],
    }
