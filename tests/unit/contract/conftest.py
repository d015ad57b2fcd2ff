from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from appengine_contract.descriptor import CheckedDescriptor, Descriptor, read_descriptor
from appengine_contract.parameters.type import ParameterType
from appengine_contract.problems import Problem
from appengine_contract.reading import Direction, Reading, ReadOptions

HEAD = """\
$schema: https://example.org/task.v0.json
name: Count nuclei
namespace: com.example.nuclei
version: 1.0.0
authors:
  - {first_name: Ada, last_name: Lovelace, organization: Lab, email: ada@example.org}
configuration: {}
"""


class DescriptorReader:
    """Reads descriptors made of a right head and the parts that a test is about."""

    def parameters(
        self, inputs: str = "inputs: {}", outputs: str = "outputs: {}"
    ) -> CheckedDescriptor:
        return read_descriptor(f"{HEAD}{inputs}\n{outputs}\n".encode())

    def right(self, inputs: str = "inputs: {}", outputs: str = "outputs: {}") -> Descriptor:
        checked = self.parameters(inputs, outputs)
        assert checked.errors == ()
        assert checked.descriptor is not None
        return checked.descriptor

    def head(self, line: str, *, without: str = "") -> CheckedDescriptor:
        """The right head with the field `without` replaced by `line`."""
        kept = [
            each for each in HEAD.splitlines() if not without or not each.startswith(f"{without}:")
        ]
        if without == "authors":
            kept = [each for each in kept if not each.startswith("  -")]
        return read_descriptor("\n".join([*kept, line, "inputs: {}", "outputs: {}", ""]).encode())

    def type_of(self, text: str) -> ParameterType:
        """The type that an input with this type has."""
        return self.right(f"inputs: {{x: {{description: d, type: {text}}}}}").inputs[0].type


@pytest.fixture
def descriptors() -> DescriptorReader:
    return DescriptorReader()


ReadBytes = Callable[..., Reading]


@pytest.fixture
def read_bytes(tmp_path: Path) -> ReadBytes:
    """Reads bytes as the parameter `x` of a type, as a task's output unless told otherwise."""

    def read(kind: ParameterType, data: bytes, direction: Direction = "output") -> Reading:
        (tmp_path / "x").write_bytes(data)
        return kind.read(tmp_path / "x", "x", ReadOptions(root=tmp_path, direction=direction))

    return read


Where = Callable[..., set[tuple[str, str]]]


@pytest.fixture
def where() -> Where:
    """Problems as (path, reason), which is what clients rely on."""

    def pairs(problems: tuple[Problem, ...] | list[Problem]) -> set[tuple[str, str]]:
        assert all(problem.message for problem in problems)
        return {(problem.path, problem.reason) for problem in problems}

    return pairs
