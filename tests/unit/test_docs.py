"""The docs keep up with the code: every setting, every reason, every link."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from appengine.v1 import run_pb2
from appengine_client.cli.errors import ExitCode
from appengine_server.errors import AppEngineError
from appengine_server.scheduling.scheduler import FailureReason, PendingKind
from appengine_server.settings import FaultSettings, Room

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]

_REASON = re.compile(r"[A-Z][A-Z0-9]+(_[A-Z0-9]+)+")
_PYTHON = re.compile(r"^```python.*?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")
_NO_REASONS = {
    # variables of the environment, and names of files
    "DOCKER_CERT_PATH", "DOCKER_HOST", "DOCKER_TLS_VERIFY", "LC_ALL", "PG_GRANDPARENT_PID",
    "PG_VERSION", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "STORAGE_BASE_PATH", "REF_STORAGE_BASE_PATH",
    "SCHEDULER_TASKS_RUNNER_IMAGE", "SCHEDULER_USE_HOST_NETWORK", "APPENGINE_ATTEMPT",
    "APPENGINE_CA_FILE", "APPENGINE_FOLDER", "APPENGINE_RUN_ID", "APPENGINE_SERVER",
    "APPENGINE_TOKEN_FILE", "GRPC_VERBOSITY",
    # effects of the outbox, and targets of uploads
    "REMOVE_ATTEMPT", "REMOVE_PROVISIONED", "REMOVE_RUN", "REMOVE_TASK", "REMOVE_UPLOAD",
    "TASK_BUNDLE", "ATTEMPT_OUTPUTS",
}  # fmt: skip


def _named_in(page: str) -> set[str]:
    text = (DOCS / page).read_text()
    return set(re.findall(r"[A-Z][A-Z0-9_]+", text))


def _subclasses(kind: type[AppEngineError]) -> Iterator[type[AppEngineError]]:
    for one in kind.__subclasses__():
        yield one
        yield from _subclasses(one)


def _reasons_in_code() -> set[str]:
    """Every text of the code that looks like a reason."""
    found: set[str] = set()
    for package in ("contract/appengine_contract", "server/appengine_server"):
        for path in (ROOT / package).rglob("*.py"):
            if path.name == "settings.py":
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
    variables = {
        field.alias for room in Room.__subclasses__() for field in room.model_fields.values()
    }
    return {text for text in found if _REASON.fullmatch(text)} - _NO_REASONS - variables


def test_every_setting_is_in_the_docs() -> None:
    text = (DOCS / "settings.md").read_text()
    rooms = [room for room in Room.__subclasses__() if room is not FaultSettings]
    names = {str(field.alias) for room in rooms for field in room.model_fields.values()}
    assert not {name for name in names if f"| `{name}` |" not in text}


@pytest.mark.parametrize("name", ["settings_docs.py", "api_docs.py"])
def test_pages_that_are_made_of_the_code_are_up_to_date(name: str) -> None:
    script = ROOT / "scripts" / "lib" / name
    checked = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_every_failure_of_a_run_is_explained() -> None:
    of_api = {
        name.removeprefix("FAILURE_REASON_")
        for name in run_pb2.FailureReason.DESCRIPTOR.values_by_name
    }
    ours = {reason.value for reason in FailureReason}
    assert of_api - {"UNSPECIFIED"} == ours
    assert not ours - _named_in("errors.md")


def test_every_reason_to_wait_is_explained() -> None:
    assert not {kind.value for kind in PendingKind} - _named_in("errors.md")


@pytest.mark.rule("report.distinct")
def test_every_refusal_is_explained_with_its_status() -> None:
    named = _named_in("errors.md")
    classes = set(_subclasses(AppEngineError))
    assert not {kind.status.name for kind in classes} - named
    assert not {str(kind.reason) for kind in classes} - named


def test_every_reason_in_the_code_is_explained() -> None:
    assert not _reasons_in_code() - _named_in("errors.md")


def test_every_exit_code_is_explained() -> None:
    text = (DOCS / "errors.md").read_text()
    assert not {code for code in ExitCode if f"| {code.value} |" not in text}


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "README.md").read_text()
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} - {"README.md"}
    assert not {name for name in pages if f"]({name})" not in index}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_examples_in_python_are_python(page: Path) -> None:
    for block in re.findall(
        r"^```python.*?\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE
    ):
        compile(block, page.name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_every_page_has_its_place_on_the_site() -> None:
    site = (ROOT / "mkdocs.yml").read_text()
    assert not {
        page for page in DOCS.rglob("*.md") if page.relative_to(DOCS).as_posix() not in site
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    links = {match[1] for match in _LINK.finditer(page.read_text())}
    local = {link for link in links if "://" not in link}
    assert not {link for link in local if not (page.parent / link).exists()}
