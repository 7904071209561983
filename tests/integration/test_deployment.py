"""What is deployed names what there is: figures in alerts and panels, settings in manifests, images without rights."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_sanitizer import settings
from tests.api import in_process

DEPLOY = Path(__file__).parents[2] / "deploy"
SETTINGS = {
    settings.variable(field.name)
    for kind in (settings.StorageSettings, settings.ServiceSettings, settings.ApiSettings)
    for field in dataclasses.fields(kind)
}


def _documents(folder: str) -> Iterator[Any]:
    for path in sorted((DEPLOY / folder).rglob("*.yaml")):
        yield from filter(None, yaml.safe_load_all(path.read_text("utf-8")))


def _expressions() -> list[str]:
    rules = yaml.safe_load((DEPLOY / "observability" / "rules.yaml").read_text("utf-8"))
    found = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    for path in (DEPLOY / "observability" / "grafana" / "dashboards").glob("*.json"):
        found += [target["expr"] for panel in json.loads(path.read_text("utf-8"))["panels"] for target in panel["targets"]]
    return found


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The figures that a service tells after a job, name -> kind."""
    with in_process(tmp_path_factory.mktemp("api")) as api:
        api.finished(api.key("a"))
        text = api.get("/metrics", api.key("o", "metrics:read")).text
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))


def test_alerts_and_panels_ask_for_figures_that_the_service_tells(figures: dict[str, str]) -> None:
    parts = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}
    told = {name + ending for name, kind in figures.items() for ending in parts.get(kind, ("",))}
    asked = {name for expression in _expressions() for name in re.findall(r"\bdata_sanitizer_\w+", expression)}
    assert len(asked) > 8
    assert asked - told == set()


def test_counters_are_never_asked_for_their_height(figures: dict[str, str]) -> None:
    counters = [name for name, kind in figures.items() if kind == "counter"]
    bare = [e for e in _expressions() for name in counters if re.search(rf"(?<!rate\()(?<!increase\()\b{name}\b", e)]
    assert bare == []


def test_manifests_set_only_variables_that_are_read() -> None:
    text = "\n".join(p.read_text("utf-8") for p in DEPLOY.rglob("*") if p.suffix in {".yaml", ".tf", ".sh"} or p.name == "Dockerfile")
    assert set(re.findall(r"\bDATA_SANITIZER_[A-Z_]+\b", text)) - SETTINGS == set()


def test_every_pod_is_restricted() -> None:
    pods = [d["spec"]["template"]["spec"] for d in _documents("kubernetes") if d.get("kind") in {"Deployment", "Job"}]
    assert len(pods) >= 3
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            held = container["securityContext"]
            assert (held["readOnlyRootFilesystem"], held["allowPrivilegeEscalation"], held["capabilities"]) == (
                True,
                False,
                {"drop": ["ALL"]},
            )
            assert set(container["resources"]) == {"requests", "limits"}


def test_our_containers_have_no_rights_and_cannot_write_their_root() -> None:
    services = yaml.safe_load((DEPLOY / "docker" / "compose.yaml").read_text("utf-8"))["services"]
    for name in ("api", "worker", "worker-small", "worker-woken", "prepare", "proxy"):
        assert (services[name]["read_only"], services[name]["cap_drop"]) == (True, ["ALL"]), name
    assert [name for name, s in services.items() if "ports" in s] == ["proxy", "grafana"]
