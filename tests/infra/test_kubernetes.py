"""infra/kubernetes without a cluster: its files among each other, and its fields by the schemas."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from support.kubernetes_schemas import TOOLS, core, kuberay, local


@pytest.fixture(scope="module")
def folder(root):
    return root / "infra/kubernetes"


@pytest.fixture(scope="module")
def objects(folder) -> dict[tuple[str, str], dict]:
    """Every object by kind and name, as the files have it."""
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    found = [thing for name in listed for thing in yaml.safe_load_all((folder / name).read_text())]
    return {(thing["kind"], thing["metadata"]["name"]): thing for thing in found}


@pytest.fixture(scope="module")
def pods(objects) -> dict[str, dict]:
    """Every pod template; the labels that KubeRay gives its pods included."""
    spec = objects["RayCluster", "strive"]["spec"]
    groups = {"head": spec["headGroupSpec"]} | {group["groupName"]: group for group in spec["workerGroupSpecs"]}
    found = {}
    for name, group in groups.items():
        meta = group["template"]["metadata"]
        added = {"ray.io/cluster": "strive", "ray.io/node-type": "head" if name == "head" else "worker"}
        found[name] = {"spec": group["template"]["spec"], "labels": meta["labels"] | added}
    template = objects["Deployment", "runner"]["spec"]["template"]
    return found | {"runner": {"spec": template["spec"], "labels": template["metadata"]["labels"]}}


def test_the_file_for_kustomize_lists_every_file(folder):
    text = yaml.safe_load((folder / "kustomization.yaml").read_text())
    others = {"kustomization.yaml", "prefect-values.yaml"}
    assert set(text["resources"]) == {file.name for file in folder.glob("*.yaml")} - others
    assert text["configMapGenerator"] == [{"name": "settings", "envs": ["settings.env"]}]


def test_no_process_is_root_or_writes_to_the_image(pods, objects):
    locked = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    for pod in pods.values():
        user = pod["spec"]["securityContext"]
        assert user["runAsNonRoot"] is True
        assert user["runAsUser"] == 1000  # the Dockerfile's
        assert all(container["securityContext"] == locked for container in pod["spec"]["containers"])
    assert objects["RayCluster", "strive"]["spec"]["autoscalerOptions"]["securityContext"] == locked


def test_whatever_is_mounted_exists_and_what_ray_and_prefect_write_to_is_mounted(pods, objects):
    for pod in pods.values():
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        for container in pod["spec"]["containers"]:
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            assert set(mounts) == {"/tmp", "/home/strive", "/dev/shm"}
            assert set(mounts.values()) <= set(volumes)
            assert volumes[mounts["/dev/shm"]]["emptyDir"]["medium"] == "Memory"
            assert {"name": "HOME", "value": "/home/strive"} in container["env"]
    head = {volume["name"] for volume in pods["head"]["spec"]["volumes"]}
    options = objects["RayCluster", "strive"]["spec"]["autoscalerOptions"]
    assert {mount["name"] for mount in options["volumeMounts"]} <= head


def test_shared_memory_holds_rays_object_store(pods, objects):
    spec = objects["RayCluster", "strive"]["spec"]
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        store = int(group["rayStartParams"]["object-store-memory"])
        [shm] = [v for v in group["template"]["spec"]["volumes"] if v["name"] == "shm"]
        number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", shm["emptyDir"]["sizeLimit"]).groups()
        assert store < int(number) * {"Mi": 2**20, "Gi": 2**30}[unit]


def test_every_process_is_probed_where_it_listens(pods, objects):
    spec = objects["RayCluster", "strive"]["spec"]
    for name, pod in pods.items():
        for container in pod["spec"]["containers"]:
            for probe in (container["startupProbe"], container["readinessProbe"], container["livenessProbe"]):
                if name == "runner":
                    assert probe["exec"]["command"][:2] == ["python", "infra/alive.py"]
                else:
                    assert probe["tcpSocket"]["port"] == (6379 if name == "head" else 6380)
    for group in spec["workerGroupSpecs"]:
        assert group["rayStartParams"]["node-manager-port"] == "6380"


def test_the_head_trains_nothing_and_workers_come_and_go_with_the_work(objects, pods):
    spec = objects["RayCluster", "strive"]["spec"]
    assert spec["enableInTreeAutoscaling"] is True
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    groups = {group["groupName"]: group for group in spec["workerGroupSpecs"]}
    assert set(groups) == {"cpu", "gpu"}
    assert all(group["minReplicas"] == 0 < group["maxReplicas"] for group in groups.values())
    [container] = pods["gpu"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert pods["gpu"]["spec"]["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]


def test_every_name_leads_somewhere(objects, pods, folder):
    accounts = {name for kind, name in objects if kind == "ServiceAccount"}
    assert {pod["spec"]["serviceAccountName"] for pod in pods.values()} == accounts
    for kind, name in objects:
        if kind == "PodDisruptionBudget":
            wanted = objects[kind, name]["spec"]["selector"]["matchLabels"].items()
            assert [pod for pod, template in pods.items() if wanted <= template["labels"].items()] == [name]
    prefect = yaml.safe_load((folder / "prefect-values.yaml").read_text())
    server = {"app.kubernetes.io/name": "prefect-server"}  # of the chart
    policies = [objects[key] for key in objects if key[0] == "NetworkPolicy"]
    chosen = [labels for policy in policies for labels in _labels_named(policy)]
    assert all(
        labels == server or any(labels.items() <= pod["labels"].items() for pod in pods.values()) for labels in chosen
    )
    settings = dict(_lines(folder / "settings.env"))
    assert settings["PREFECT_API_URL"] == f"http://{prefect['fullnameOverride']}:4200/api"


def _labels_named(policy: dict) -> list[dict]:
    text = json.dumps(policy)
    return [json.loads(found) for found in re.findall(r'"matchLabels": (\{[^}]*\})', text)]


def _lines(file: Path) -> list[tuple[str, str]]:
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return [(line.split("=", 1)[0], line.split("=", 1)[1]) for line in lines]


def test_secrets_are_named_and_never_written_down(objects, folder, root):
    """One secret; the README's command makes exactly the keys that something reads."""
    read = {objects["RayCluster", "strive"]["spec"]["authOptions"]["secretName"]: {"auth_token"}}
    [runner] = objects["Deployment", "runner"]["spec"]["template"]["spec"]["containers"]
    for entry in runner["env"]:
        if "valueFrom" in entry:
            reference = entry["valueFrom"]["secretKeyRef"]
            read.setdefault(reference["name"], set()).add(reference["key"])
    prefect = yaml.safe_load((folder / "prefect-values.yaml").read_text())
    assert prefect["server"]["basicAuth"]["existingSecret"] == prefect["secret"]["name"] == "strive"
    read["strive"] |= {"auth-string", "connection-string"}
    assert set(read) == {"strive"}
    made = re.search(r"create secret generic strive .*?\n\n|create secret generic strive .*?```", _readme(root), re.S)
    assert set(re.findall(r"--from-literal=([\w-]+)=", made.group())) == read["strive"]
    given = {name for name, _ in _lines(folder / "settings.env")}
    assert not any("KEY" in name or "TOKEN" in name or "PASSWORD" in name for name in given)


def _readme(root: Path) -> str:
    return (root / "infra/README.md").read_text()


def test_versions_are_those_of_the_lock(objects, folder, root):
    lock = {package["name"]: package["version"] for package in tomllib.loads((root / "uv.lock").read_text())["package"]}
    assert objects["RayCluster", "strive"]["spec"]["rayVersion"] == lock["ray"]
    prefect = yaml.safe_load((folder / "prefect-values.yaml").read_text())
    assert prefect["global"]["prefect"]["image"]["prefectTag"].startswith(lock["prefect"] + "-")


def test_every_setting_is_in_the_list_of_settings(folder, root):
    listed = set(re.findall(r"^(?:# )?([A-Z_]+)=", (root / "infra/settings.env").read_text(), re.M))
    assert {name for name, _ in _lines(folder / "settings.env")} - {"RAY_USAGE_STATS_ENABLED"} <= listed


@pytest.fixture(scope="module")
def rendered(folder, tmp_path_factory) -> Path:
    if not (TOOLS / "bin/kustomize").exists():
        pytest.skip("no kustomize: .ci/kubernetes build fetches it")
    done = subprocess.run([TOOLS / "bin/kustomize", "build", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    file = tmp_path_factory.mktemp("kubernetes") / "all.yaml"
    file.write_text(done.stdout)
    return file


@pytest.fixture(scope="module")
def kubeconform(rendered):
    """Runs kubeconform on a file; every schema is a file here, no network is asked."""
    if not (TOOLS / "bin/kubeconform").exists():
        pytest.skip("no kubeconform: .ci/kubernetes build fetches it")
    schemas = rendered.parent / "schemas"
    schemas.mkdir()
    (schemas / "raycluster-ray-v1.json").write_text(json.dumps(kuberay()))
    for file in (TOOLS / "core").glob("*.json"):
        if re.fullmatch(
            r"(namespace|serviceaccount|configmap|deployment|poddisr\w+|networkpolicy)(-\w+)?-v1", file.stem
        ):
            schema = local(json.loads(file.read_text())) | {"$defs": core()}
            (schemas / file.name).write_text(json.dumps(schema))

    def run(*files: Path) -> dict:
        """Its report; of each object what is wrong with it."""
        where = str(schemas / "{{.ResourceKind}}{{.KindSuffix}}.json")
        command = [TOOLS / "bin/kubeconform", "-strict", "-summary", "-output", "json", "-schema-location", where]
        return json.loads(subprocess.run([*command, *files], capture_output=True, text=True, check=False).stdout)

    return run


WRONG = {
    "minAvailable:": "minAvailabel:",  # of Kubernetes
    "enableInTreeAutoscaling:": "enableInTreeAutoscalling:",  # of KubeRay
    "tolerations:": "toleration:",  # inside a pod of KubeRay
    "maxReplicas: 16": "maxReplicas: many",
}


def test_kubernetes_and_kuberay_know_every_field_and_find_a_wrong_one(kubeconform, rendered, tmp_path):
    text = rendered.read_text()
    files = []
    for number, (right, wrong) in enumerate(WRONG.items()):
        assert right in text
        files.append(tmp_path / f"{number}.yaml")
        files[-1].write_text(text.replace(right, wrong))
    report = kubeconform(rendered, *files)
    assert {one["filename"] for one in report["resources"] if one["status"] != "statusValid"} == set(map(str, files))
    objects = (1 + len(WRONG)) * len(list(yaml.safe_load_all(text)))
    assert sum(report["summary"].values()) == objects
    assert (report["summary"]["errors"], report["summary"]["skipped"]) == (0, 0)


def test_rendered_objects_have_the_image_the_namespace_and_no_field_lost(rendered, objects):
    found = list(yaml.safe_load_all(rendered.read_text()))
    assert {o["metadata"].get("namespace", "strive") for o in found} == {"strive"}
    images = re.findall(r"image: (\S+)", rendered.read_text())
    assert len(images) == 4
    assert set(images) == {"registry.example.com/strive:main"}
    [cluster] = [o for o in found if o["kind"] == "RayCluster"]
    spec = json.loads(json.dumps(objects["RayCluster", "strive"]["spec"]).replace('"strive"', '"STRIVE"'))
    shown = (
        json.dumps(cluster["spec"])
        .replace("registry.example.com/strive:main", "strive")
        .replace('"strive"', '"STRIVE"')
    )
    assert json.loads(shown) == spec  # its anchors are all resolved
