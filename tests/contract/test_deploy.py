"""What is deployed agrees with the server, and has no more rights than it needs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from exemplar_server.cli import ONE_THREAD
from exemplar_server.settings import PREFIX, Settings, host_and_port, read_settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
BASE = ROOT / "deploy" / "k8s" / "base"
MANIFESTS = sorted(set(BASE.glob("*.yaml")) - {BASE / "kustomization.yaml"})
KUBERNETES = "1.31"  # the oldest that has everything the manifests use: preStop's sleep is on in it
SETTINGS = {PREFIX + name.upper() for name in Settings.model_fields}


def loaded(name):
    return yaml.safe_load((BASE / name).read_text(encoding="utf-8"))


@pytest.fixture
def configured():
    return loaded("configmap.yaml")["data"]


@pytest.fixture
def pod():
    return loaded("statefulset.yaml")["spec"]["template"]["spec"]


@pytest.fixture
def container(pod):
    (only,) = pod["containers"]
    return only


def dockerfile_environment():
    """KEY=VALUE of all ENV instructions; their lines are joined."""
    text = DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^ENV (.+)$", text, flags=re.MULTILINE)
    return dict(pair.split("=", 1) for line in lines for pair in line.split())


def ports(listing, key):
    return {port["name"]: port[key] for port in listing}


def test_hadolint_has_nothing_to_say_about_the_dockerfile():
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_the_dockerfile_copies_passes_the_dockerignore():
    copied = re.findall(
        r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    allowed = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    assert {source for line in copied for source in line.split()} == allowed


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_a_manifest_is_valid(manifest):
    kubernetes_validate.validate(loaded(manifest.name), KUBERNETES, strict=True)


def test_the_kustomization_lists_every_manifest():
    assert loaded("kustomization.yaml")["resources"] == [path.name for path in MANIFESTS]


def test_the_image_sets_only_settings_that_exist():
    assert {n for n in dockerfile_environment() if n.startswith(PREFIX)} <= SETTINGS


def test_the_image_runs_one_thread_a_library_as_the_command_line_does():
    environment = dockerfile_environment()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        assert environment[name] == ONE_THREAD[name]


def test_the_server_accepts_what_the_pod_sets(configured, container):
    environment = {n: v for n, v in dockerfile_environment().items() if n.startswith(PREFIX)}
    environment |= configured | {
        entry["name"]: entry["value"] for entry in container.get("env", [])
    }
    assert not read_settings(environment).insecure


def test_the_ports_are_the_ones_the_server_listens_on(configured, container):
    expected = {
        "grpc": host_and_port(configured["EXEMPLAR_LISTEN"])[1],
        "metrics": host_and_port(configured["EXEMPLAR_METRICS_LISTEN"])[1],
    }
    exposed = re.search(r"^EXPOSE (.+)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    allowed = {
        port["port"]
        for rule in loaded("networkpolicy.yaml")["spec"]["ingress"]
        for port in rule["ports"]
    }
    assert ports(container["ports"], "containerPort") == expected
    assert ports(loaded("service.yaml")["spec"]["ports"], "port") == expected
    assert set(map(int, exposed[1].split())) == allowed == set(expected.values())


def test_every_path_that_is_configured_is_mounted_or_in_the_image(configured, container):
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    files = {str(Path(v).parent) for n, v in configured.items() if n.endswith("_FILE")}
    store = str(Path(configured["EXEMPLAR_STORE_URL"].removeprefix("sqlite:///")).parent)
    assert files | {store} <= mounts
    assert configured["EXEMPLAR_BACKBONE_DIR"] == dockerfile_environment()["EXEMPLAR_BACKBONE_DIR"]


def test_probes_ask_the_plain_http_port_of_its_own_paths(container):
    asked = {
        name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")
    }
    assert asked == {
        "startup": {"path": "/readyz", "port": "metrics"},
        "readiness": {"path": "/readyz", "port": "metrics"},
        "liveness": {"path": "/livez", "port": "metrics"},
    }


def test_the_grace_period_outlasts_the_drain(configured, pod, container):
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = float(configured["EXEMPLAR_DRAIN_SECONDS"])
    assert pod["terminationGracePeriodSeconds"] > before + drain


def test_no_second_pod_can_write_the_store():
    spec = loaded("statefulset.yaml")["spec"]
    (claim,) = spec["volumeClaimTemplates"]
    assert spec["replicas"] == 1
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]


def test_no_variable_of_a_service_reaches_the_server(pod):
    assert pod["enableServiceLinks"] is False


def test_the_image_and_the_pod_run_as_the_same_user_that_is_not_root(pod):
    user = re.search(r"^USER (\d+):(\d+)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    security = pod["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"]) == (int(user[1]), int(user[2]))
    assert security["runAsUser"] > 0
    assert security["runAsNonRoot"] is True
    assert security["fsGroup"] == security["runAsGroup"]


def test_the_pod_meets_the_restricted_pod_security_standard(pod, container):
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_services_and_policies_select_the_pod():
    labels = loaded("statefulset.yaml")["spec"]["template"]["metadata"]["labels"].items()
    selectors = (
        loaded("service.yaml")["spec"]["selector"],
        loaded("networkpolicy.yaml")["spec"]["podSelector"]["matchLabels"],
        loaded("statefulset.yaml")["spec"]["selector"]["matchLabels"],
    )
    for selector in selectors:
        assert selector.items() <= labels
