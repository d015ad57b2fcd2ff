"""The Helm chart keeps up with the server, and its schema with its values."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from appengine_server.settings import FaultSettings

from tests.checking import variables

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "app-engine"


def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
    return found


def test_the_charts_version_is_the_servers() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert chart["version"] == chart["appVersion"] == project["version"]


def test_the_schema_knows_every_setting_and_no_other() -> None:
    for_tests = {str(field.alias) for field in FaultSettings.model_fields.values()}
    [pattern] = schema()["properties"]["settings"]["patternProperties"]
    known = pattern.removeprefix("^(").removesuffix(")$").split("|")
    assert known == sorted(variables() - for_tests)


def test_values_and_schema_have_the_same_keys() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert sorted(_given(values, schema())) == sorted(_known(schema())) != []


def _given(values: dict[str, Any], known: dict[str, Any], path: str = "") -> Iterator[str]:
    """Paths of values; what is below a free mapping is its user's."""
    for key, value in values.items():
        below = known["properties"].get(key, {})
        yield f"{path}{key}"
        if "properties" in below:
            yield from _given(value, below, f"{path}{key}.")


def _known(known: dict[str, Any], path: str = "") -> Iterator[str]:
    for key, below in known["properties"].items():
        if f"{path}{key}" == "global":  # Helm's own
            continue
        yield f"{path}{key}"
        if "properties" in below:
            yield from _known(below, f"{path}{key}.")
