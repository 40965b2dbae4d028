"""`deploy/k8s/`: against the published schemas, as written and as rendered, and what the schemas don't know."""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from tests.deploy.monitoring import DEPLOY, exported_names, metrics_in

if TYPE_CHECKING:
    from collections.abc import Iterable

FOLDER = DEPLOY / "k8s"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text(encoding="utf-8"))
VERSIONS = ("1.30", "1.34")
"""The oldest Kubernetes that is asked for, and a newer one."""
CUSTOM = {"PodMonitor", "ScaledObject"}
"""Kinds of operators, whose schemas are not among those of Kubernetes."""
PODS = {"Deployment", "Job", "StatefulSet"}
"""Kinds that have a template of pods."""
HASH = "-hash"
TOOLS = [command for command in (("kubectl", "kustomize"), ("kustomize", "build")) if shutil.which(command[0])]
"""On this machine; where there is none, nothing is lost: what is applied is checked either way."""


def _documents() -> list[dict[str, Any]]:
    return [
        document
        for name in KUSTOMIZATION["resources"]
        for document in yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8"))
    ]


DOCUMENTS = _documents()


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [document for document in DOCUMENTS if document["kind"] == kind]


def name_of(document: dict[str, Any]) -> str:
    return f"{document['kind']}-{document['metadata']['name']}"


WORKLOADS = [d for d in DOCUMENTS if d["kind"] in PODS]


def validate(document: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


def test_every_file_of_the_folder_is_used() -> None:
    files = {path.name for path in FOLDER.glob("*.yaml")}
    assert files == {*KUSTOMIZATION["resources"], "kustomization.yaml"}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", [d for d in DOCUMENTS if d["kind"] not in CUSTOM], ids=name_of)
def test_each_document_fits_the_published_schema(document: dict[str, Any], version: str) -> None:
    validate(document, version)


def containers(workload: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = workload["spec"]["template"]["spec"]["containers"]
    return found


def by_name(documents: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name_of(document): document for document in documents}


def rendered() -> dict[str, dict[str, Any]]:
    """Return what is applied, by what `kustomization.yaml` says: as kustomize does, which CI has not.

    The name of a generated map ends with a hash of its content in kustomize, and with HASH here.
    """
    assert KUSTOMIZATION.keys() <= {
        *("apiVersion", "kind", "resources"),
        *("namespace", "labels", "configMapGenerator", "images"),
    }, "say here what the new field does"
    documents = copy.deepcopy(DOCUMENTS)
    assert all(generator["files"] == [] for generator in KUSTOMIZATION["configMapGenerator"])
    generated = [generator["name"] for generator in KUSTOMIZATION["configMapGenerator"]]
    documents += [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}} for name in generated]
    (labels,), (image,) = KUSTOMIZATION["labels"], KUSTOMIZATION["images"]
    assert labels.keys() == {"pairs"}, "neither selectors nor pods are labelled"
    for document in documents:
        metadata = document["metadata"]
        metadata["labels"] = {**metadata.get("labels", {}), **labels["pairs"]}
        if document["kind"] != "Namespace":
            metadata["namespace"] = KUSTOMIZATION["namespace"]
        if document["kind"] == "ConfigMap" and metadata["name"] in generated:
            metadata["name"] += HASH
        if document["kind"] in PODS:
            for volume in document["spec"]["template"]["spec"]["volumes"]:
                if volume.get("configMap", {}).get("name") in generated:
                    volume["configMap"]["name"] += HASH
            for container in containers(document):
                assert container["image"] == image["name"]
                container["image"] = f"{image['newName']}:{image['newTag']}"
    return by_name(documents)


def rendered_by(command: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return what a tool of Kubernetes makes of the folder."""
    done = subprocess.run([*command, str(FOLDER)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = re.sub(r"\b(festivals|maps)-[a-z0-9]{10}\b", rf"\1{HASH}", done.stdout)
    return by_name(yaml.safe_load_all(text))


RENDERED = rendered()


@pytest.mark.parametrize("name", RENDERED)
def test_what_is_applied_fits_the_published_schema(name: str) -> None:
    if RENDERED[name]["kind"] not in CUSTOM:
        validate(RENDERED[name], VERSIONS[-1])


def test_whatever_tool_this_machine_has_renders_the_same() -> None:
    for command in TOOLS:
        assert rendered_by(command) == RENDERED, command


def test_pods_read_the_generated_map_under_its_own_name() -> None:
    maps = {
        volume["configMap"]["name"]
        for document in RENDERED.values()
        if document["kind"] in PODS
        for volume in document["spec"]["template"]["spec"]["volumes"]
        if "configMap" in volume
    }
    assert maps == {f"festivals{HASH}", f"maps{HASH}"}
    assert {f"ConfigMap-{name}" for name in maps} <= RENDERED.keys()


@pytest.mark.parametrize("workload", WORKLOADS, ids=name_of)
def test_pods_may_do_little_and_say_what_they_need(workload: dict[str, Any]) -> None:
    pod = workload["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["automountServiceAccountToken"] is False
    maps = {d["metadata"]["name"] for d in of_kind("ConfigMap")}
    generated = {generator["name"] for generator in KUSTOMIZATION["configMapGenerator"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert {v["configMap"]["name"] for v in volumes.values() if "configMap" in v} <= generated
    for container in containers(workload):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"]
        assert context["capabilities"]["drop"] == ["ALL"]
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "cpu" not in container["resources"]["limits"]
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes.keys()
        assert {source["configMapRef"]["name"] for source in container["envFrom"]} <= maps


def test_a_worker_keeps_its_place_in_the_group_through_a_restart() -> None:
    workers = by_name(DOCUMENTS)["StatefulSet-worker"]
    (worker,) = containers(workers)
    assert worker["args"] == ["worker", "--name", "$(POD_NAME)"]
    assert worker["env"][0]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert workers["spec"]["serviceName"] in {s["metadata"]["name"] for s in of_kind("Service")}
    for probe, path in (("livenessProbe", "/livez"), ("startupProbe", "/livez"), ("readinessProbe", "/readyz")):
        assert worker[probe]["httpGet"]["path"] == path


def test_no_bridge_runs_before_it_has_a_map() -> None:
    bridge = by_name(DOCUMENTS)["StatefulSet-bridge"]
    assert bridge["spec"]["replicas"] == 0
    assert all(generator["files"] == [] for generator in KUSTOMIZATION["configMapGenerator"])
    (container,) = containers(bridge)
    assert container["args"] == ["bridge", "--map", "/maps/map.toml", "--name", "$(POD_NAME)"]


def test_whoever_selects_pods_selects_ours() -> None:
    labels = [workload["spec"]["template"]["metadata"]["labels"] for workload in WORKLOADS]
    for document in DOCUMENTS:
        spec = document.get("spec", {})
        selector = spec.get("podSelector", {}) if document["kind"] == "NetworkPolicy" else spec.get("selector", {})
        wanted = selector if document["kind"] == "Service" else selector.get("matchLabels", {})
        if selector:
            assert wanted, name_of(document)
            assert any(wanted.items() <= found.items() for found in labels), name_of(document)
    assert {d["metadata"]["name"] for d in of_kind("PodDisruptionBudget")} == {"board", "worker"}


def test_the_pods_are_scraped_under_the_jobs_the_alerts_know() -> None:
    (monitor,) = of_kind("PodMonitor")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    server = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    assert endpoint["interval"] == server["global"]["scrape_interval"]
    components = monitor["spec"]["selector"]["matchExpressions"][0]["values"]
    jobs = {endpoint["relabelings"][0]["replacement"].replace("$1", component) for component in components}
    assert jobs == {config["job_name"] for config in server["scrape_configs"]}
    assert endpoint["port"] == containers(of_kind("StatefulSet")[0])[0]["ports"][0]["name"]


def test_workers_are_scaled_before_midnight_slowly_on_lag_and_never_beyond_the_partitions() -> None:
    (scaled,) = of_kind("ScaledObject")
    spec = scaled["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "worker"}
    (topics,) = of_kind("Job")
    assert str(spec["maxReplicaCount"]) == containers(topics)[0]["args"][-1]
    cron, lag = spec["triggers"]
    assert cron["type"] == "cron"
    assert cron["metadata"]["start"].split()[1] == "23"
    assert spec["minReplicaCount"] <= int(cron["metadata"]["desiredReplicas"]) <= spec["maxReplicaCount"]
    assert metrics_in(lag["metadata"]["query"]) <= exported_names()
    behaviour = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behaviour["scaleUp"]["stabilizationWindowSeconds"] >= 300
    assert behaviour["scaleDown"]["stabilizationWindowSeconds"] == 3600
    assert all(isinstance(v, str) for trigger in spec["triggers"] for v in trigger["metadata"].values())
