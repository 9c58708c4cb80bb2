"""Three pods over PostgreSQL: what the overlay makes of the base is valid, and keeps no data."""

from __future__ import annotations

from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from contract.test_deploy import BASE, DOCKERFILE, KUBERNETES

OVERLAY = Path(BASE).parent / "overlays" / "postgres"


def loaded(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def patched(manifest, operations):
    """JSON Patch, RFC 6902, as far as the overlay uses it."""
    for operation in operations:
        *parents, last = operation["path"].strip("/").split("/")
        place = manifest
        for name in parents:
            place = place[int(name) if isinstance(place, list) else name]
        key = int(last) if isinstance(place, list) else last
        if operation["op"] in {"replace", "remove"}:
            assert place[key] is not None  # else kustomize refuses it
        if operation["op"] == "remove":
            del place[key]
        else:
            place[key] = operation["value"]
    return manifest


@pytest.fixture
def deployment():
    return patched(loaded(BASE / "statefulset.yaml"), loaded(OVERLAY / "deployment.yaml"))


def test_what_it_makes_is_valid(deployment):
    policy = patched(loaded(BASE / "networkpolicy.yaml"), loaded(OVERLAY / "egress.yaml"))
    for manifest in (deployment, policy, loaded(OVERLAY / "poddisruptionbudget.yaml")):
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_every_file_is_used():
    told = loaded(OVERLAY / "kustomization.yaml")
    files = {*told["resources"], *(patch["path"] for patch in told["patches"])} - {"../../base"}
    assert files == {path.name for path in OVERLAY.iterdir()} - {"kustomization.yaml"}


def test_the_pods_keep_nothing_on_a_volume_of_their_own(deployment):
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"] for volume in deployment["spec"]["template"]["spec"]["volumes"]}
    assert mounted == volumes
    assert (deployment["kind"], deployment["spec"]["replicas"]) == ("Deployment", 3)


def test_the_store_comes_from_a_secret_and_the_image_has_its_driver(deployment):
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (only,) = container["env"]
    assert only["name"] == "EXEMPLAR_STORE_URL"
    assert "secretKeyRef" in only["valueFrom"]
    assert "exemplar[server,postgres]" in DOCKERFILE.read_text(encoding="utf-8")
