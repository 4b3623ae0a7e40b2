"""The rules and the dashboard against the /metrics of a running service: every name there is, and is looked at."""

import json
import re
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from backend import migrations
from backend.database import Database
from backend.operations.codes import CATALOGUE_OF_CODES, Code, Severity
from tests.deploy.promql import Named, labels_shown, named
from tests.metric_rows import fill
from tests.service import ADMIN_TOKEN, ROOT, running_service

DEPLOY = ROOT / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "quantum-trader.json").read_text(encoding="utf-8"))
RULES = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text(encoding="utf-8"))
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
PROMETHEUS_ADDS = {"job", "instance"}
METRICS_TOKEN = "a-metrics-token-for-tests-only"
FAMILIES_WITHOUT_USE = {
    "process_virtual_memory_bytes": "address space says nothing about what is used",
    "python_info": "build_info has the version of Python",
    "python_gc_objects_collected": "for whoever looks for a leak",
    "python_gc_objects_uncollectable": "for whoever looks for a leak",
    "python_gc_collections": "for whoever looks for a leak",
    "quantum_trader_active_model_trades": "the trades panel shows all; a version's own are in GET /ai/models",
}


@dataclass(frozen=True)
class Exposed:
    """What a service told: the series by name, each with its sets of labels, and the names of the families."""

    series: dict[str, list[dict[str, str]]]
    families: dict[str, set[str]]

    def labels_of(self, name: str) -> set[str]:
        return {label for labels in self.series[name] for label in labels} | PROMETHEUS_ADDS


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> Exposed:
    """A real service over a database in which everything there is to count has happened."""
    folder = tmp_path_factory.mktemp("watched")
    url = f"sqlite:///{folder / 'quantum_trader.db'}"
    migrations.upgrade(url)
    database = Database(url)
    database.write(fill)
    database.close()
    with running_service(folder, QT_METRICS_TOKEN=METRICS_TOKEN, QT_AI_RETRAIN_SCHEDULE="0 0 1 * *") as service:
        service.ok("GET", "/ai/status")
        request = urllib.request.Request(f"{service.url}/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read().decode()
    assert ADMIN_TOKEN not in text
    series: dict[str, list[dict[str, str]]] = {"up": [{}]}
    families: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        families[family.name] = {sample.name for sample in family.samples}
        for sample in family.samples:
            series.setdefault(sample.name, []).append(sample.labels)
    return Exposed(series, families)


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def queries() -> list[tuple[str, str, str]]:
    """Where it stands, the expression, and what it prints of the labels."""
    found = [(rule["alert"], rule["expr"], json.dumps(rule["annotations"])) for rule in ALERTS]
    found += [
        (panel["title"], target["expr"], target["legendFormat"]) for panel in panels() for target in panel["targets"]
    ]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"]).groups()  # type: ignore[union-attr]
            found.append((variable["name"], f"sum by ({label}) ({metric})", ""))
    shown = [one for one in DASHBOARD["annotations"]["list"] if "expr" in one]
    return [*found, *((one["name"], one["expr"], one["titleFormat"]) for one in shown)]


EXPRESSIONS = pytest.mark.parametrize(
    ("place", "expression", "prints"),
    [pytest.param(*query, id=f"{number} {query[0]}") for number, query in enumerate(queries())],
)


def known_names() -> set[str]:
    return {name for _, expression, _ in queries() for name in named(expression).metrics}


@EXPRESSIONS
def test_every_metric_and_label_that_is_asked_for_is_told(
    exposed: Exposed, place: str, expression: str, prints: str
) -> None:
    found: Named = named(expression)

    assert found.metrics, place
    assert found.metrics <= set(exposed.series), place
    known = set().union(*(exposed.labels_of(name) for name in found.metrics))
    assert found.labels <= known, place
    assert labels_shown(prints) <= known, place
    for metric, label, _, _ in found.matched:
        assert label in exposed.labels_of(metric), (place, metric, label)


@EXPRESSIONS
def test_every_value_that_a_label_is_compared_with_can_be(
    exposed: Exposed, place: str, expression: str, prints: str
) -> None:
    for metric, label, how, value in named(expression).matched:
        told = {labels.get(label, "") for labels in exposed.series[metric]}
        if label in PROMETHEUS_ADDS or value.startswith("$") or metric == "quantum_trader_http_requests_total":
            continue
        if how == "=" and label == "code":
            told |= set(CATALOGUE_OF_CODES)
        pattern = re.compile(value if how == "=~" else re.escape(value))
        assert any(pattern.fullmatch(one) for one in told), (place, metric, label, value)


def test_every_figure_that_is_told_is_looked_at_or_left_out_on_purpose(exposed: Exposed) -> None:
    used = known_names()

    unused = {family for family, series in exposed.families.items() if not series & used}
    assert unused == set(FAMILIES_WITHOUT_USE)


def test_every_family_has_something_to_show(exposed: Exposed) -> None:
    assert [family for family, series in exposed.families.items() if not series] == []


def test_an_expression_with_a_name_that_is_not_there_would_be_seen(exposed: Exposed) -> None:
    assert not named('rate(quantum_trader_decision_total{job="a"}[5m])').metrics <= set(exposed.series)
    assert "kind" not in exposed.labels_of("quantum_trader_decisions_total")


# --- The rules ---


def test_every_rule_waits_says_what_it_is_and_what_to_do() -> None:
    names = [rule["alert"] for rule in ALERTS]
    assert len(names) == len(set(names))
    for rule in ALERTS:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}, rule["alert"]
        assert re.fullmatch(r"[1-9]\d*m", rule["for"]), rule["alert"]
        assert rule["labels"]["severity"] in set(Severity), rule["alert"]
        assert {"summary", "description", "runbook"} == set(rule["annotations"]), rule["alert"]
        assert all(text.endswith(".") for name, text in rule["annotations"].items() if name != "runbook")


def test_every_rule_leads_to_a_paragraph_of_the_manual() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    headings = set(re.findall(r"^### `(\w+)`$", page, re.MULTILINE))

    for rule in ALERTS:
        file, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert file == "docs/troubleshooting.md"
        assert anchor in headings or (anchor == "{{ $labels.code }}" and set(Code) <= headings), rule["alert"]


def test_every_rule_is_tried_by_a_unit_test() -> None:
    tests = yaml.safe_load((DEPLOY / "prometheus" / "rules_test.yml").read_text(encoding="utf-8"))
    tried = [case for test in tests["tests"] for case in test["alert_rule_test"]]

    fired = {case["alertname"] for case in tried if case["exp_alerts"]}
    quiet = {case["alertname"] for case in tried if not case["exp_alerts"]}
    assert fired == {rule["alert"] for rule in ALERTS}
    assert len(quiet) >= len(fired) / 2


def test_the_scrape_reads_its_token_from_a_file() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    (scrape,) = config["scrape_configs"]

    assert scrape["metrics_path"] == "/metrics"
    assert set(scrape["authorization"]) == {"type", "credentials_file"}
    assert (DEPLOY / "prometheus" / config["rule_files"][0]).exists()
    jobs = {value for rule in ALERTS for _, label, _, value in named(rule["expr"]).matched if label == "job"}
    assert jobs == {scrape["job_name"]}


# --- The dashboard ---


def test_every_panel_says_what_it_shows_from_the_chosen_source() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in panels():
        assert panel["description"].endswith("."), panel["title"]
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"]), panel["title"]
        letters = [target["refId"] for target in panel["targets"]]
        assert len(letters) == len(set(letters)), panel["title"]


def test_no_panel_lies_on_another_or_beside_the_page() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, (panel["title"], taken.get((x, y)))
                taken[(x, y)] = panel["title"]


def test_figures_of_the_database_are_not_added_up_over_processes() -> None:
    """Every process tells the same of one database: a sum over processes would count everything twice."""
    own = ("http_", "database_up", "build_info", "snapshot_duration")
    for place, expression, _ in queries():
        for name in named(expression).metrics:
            short = name.removeprefix("quantum_trader_")
            if name.startswith("quantum_trader_") and not short.startswith(own) and place not in ("strategy", "job"):
                inner = expression[: expression.index(name)]
                compared = f"unless on (strategy) {name}" in expression
                assert compared or re.search(r"max(?: by \([^)]*\))? ?\([^)]*$", inner), (place, name)


def test_its_variables_are_those_that_its_expressions_use() -> None:
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(DASHBOARD)))

    assert used == variables


def test_the_provisioned_source_and_folder_fit_the_compose_file() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    provisioning = DEPLOY / "grafana" / "provisioning"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "quantum-trader.yaml").read_text())["providers"]
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]

    mounts = [Path(volume.split(":")[1]) for volume in compose["services"]["grafana"]["volumes"]]
    assert Path(provider["options"]["path"]) / "quantum-trader.json" in mounts
    assert source["url"] == "http://prometheus:9090"
    assert source["type"] == "prometheus"
