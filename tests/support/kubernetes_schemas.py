"""The schemas of Kubernetes and of KubeRay as kubeconform reads them."""

import functools
import json
from pathlib import Path
from typing import Any

import yaml

TOOLS = Path.home() / ".cache/strive/kubernetes"  # .ci/kubernetes puts them there


@functools.cache
def core() -> dict:
    """Every definition of Kubernetes itself."""
    definitions = json.loads((TOOLS / "core/_definitions.json").read_text())["$defs"]
    return local(definitions)


def local(thing: Any) -> Any:
    """A schema whose references lead to its own $defs."""
    if isinstance(thing, dict):
        kept = {name: local(value) for name, value in thing.items() if not isinstance(value, str) or name != "$id"}
        if isinstance(kept.get("$ref"), str):
            kept["$ref"] = "#/$defs/" + kept["$ref"].rsplit("/", 1)[1]
        return kept
    return [local(item) for item in thing] if isinstance(thing, list) else thing


def _strict(thing: Any) -> Any:
    """KubeRay's schema, refusing what it does not name."""
    if isinstance(thing, dict):
        closed = {name: _strict(value) for name, value in thing.items()}
        if isinstance(closed.get("properties"), dict) and "x-kubernetes-preserve-unknown-fields" not in closed:
            closed.setdefault("additionalProperties", False)
        return closed
    return [_strict(item) for item in thing] if isinstance(thing, list) else thing


def kuberay() -> dict:
    """A cluster of Ray."""
    loaded = yaml.load((TOOLS / "rayclusters.yaml").read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    [schema] = [v["schema"]["openAPIV3Schema"] for v in loaded["spec"]["versions"] if v["name"] == "v1"]
    schema = _strict(schema)
    schema["properties"]["metadata"] = {"type": "object"}
    return schema
