"""Every rule of the task contract has a test, and its page keeps up with both."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

_ROOT = Path(__file__).parents[2]
_SCRIPT = _ROOT / "scripts" / "lib" / "contract_rules.py"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("contract_rules", _SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_every_rule_has_a_test_and_the_page_is_up_to_date() -> None:
    checked = subprocess.run(
        [sys.executable, _SCRIPT, "--check"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_rules_have_ids_and_sentences(generator: ModuleType) -> None:
    chapters = generator.read_catalogue(generator.CATALOGUE)
    for chapter in chapters:
        assert len({rule.partition(".")[0] for rule in chapter.rules}) == 1, chapter.title
        assert all(sentence.endswith(".") for sentence in chapter.rules.values()), chapter.title


def _found(generator: ModuleType, folder: Path, source: str) -> list[str]:
    """What is wrong with a file of tests, where the contract has one rule, `a.b`."""
    (folder / "test_it.py").write_text(source)
    chapters = [generator.Chapter("A", {"a.b": "B."})]
    found: list[str] = generator.faults(chapters, generator.marked_tests(folder, folder))
    return found


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("@pytest.mark.rule('a.b')\ndef test_b(): ...", []),
        ("@other\n@pytest.mark.rule('a.b')\nasync def test_b(): ...", []),
        ("class TestB:\n  @pytest.mark.rule('a.b')\n  def test_b(self): ...", []),
        ("# @pytest.mark.rule('a.b')\ndef test_b(): ...", ["No test shows the rule a.b."]),
        (
            "@pytest.mark.rule('a.b', 'a.c')\ndef test_b(): ...",
            ["test_it.py::test_b names the rule a.c, which is not in contract_rules.yml."],
        ),
        (
            "@pytest.mark.rule('a.b')\ndef helper(): ...",
            ["test_it.py::helper is no test, and has a rule.", "No test shows the rule a.b."],
        ),
        (
            "@pytest.mark.rule(NAME)\ndef test_b(): ...",
            ["test_it.py::test_b must name its rules as texts.", "No test shows the rule a.b."],
        ),
    ],
)
def test_what_is_wrong_is_told(
    generator: ModuleType, tmp_path: Path, source: str, expected: list[str]
) -> None:
    assert _found(generator, tmp_path, source) == expected


def test_an_id_is_used_once(generator: ModuleType, tmp_path: Path) -> None:
    catalogue = tmp_path / "rules.yml"
    catalogue.write_text("[{chapter: A, rules: {a.b: B.}}, {chapter: C, rules: {a.b: D.}}]")
    with pytest.raises(SystemExit, match=r"a\.b twice"):
        generator.read_catalogue(catalogue)
