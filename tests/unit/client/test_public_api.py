"""What users of the library import: which names, how they are typed, and what it costs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import appengine_client
import pytest
from appengine_client import errors, sync, transfer
from appengine_client._api import client as asynchronous

PROGRAMS = Path(__file__).with_name("user_programs")
# Beside that of our own code, which has other options.
CACHE = Path(os.environ.get("MYPY_CACHE_DIR", Path(__file__).parents[3] / ".mypy_cache")) / "users"


def public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_the_public_names_are_these():
    assert sorted(appengine_client.__all__) == [
        "AppEngineError", "Client", "Each", "Geometry", "InputPython", "LocalFile", "Outcome",
        "Problem", "Progress", "Reference", "ReferencePattern", "Result", "RunFailed", "connect",
        "to_python",
    ]  # fmt: skip
    for name in appengine_client.__all__:
        assert getattr(appengine_client, name) is not None
    assert dir(appengine_client) == sorted(appengine_client.__all__)
    assert sorted(sync.__all__) == ["Client", "Runs", "Tasks", "Uploads", "connect"]
    assert not hasattr(appengine_client, "nothing")


def test_the_errors_are_these():
    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert {kind for kind in kinds if issubclass(getattr(errors, kind), Exception)} == {
        "Aborted", "AlreadyExists", "AppEngineError", "BrokenTransfer", "CutTransfer", "DataLoss",
        "FailedPrecondition", "InvalidArgument", "InvalidValue", "LocalFileError", "NotFound",
        "OutOfRange", "PermissionDenied", "Refused", "ResourceExhausted", "RunFailed",
        "ServerError", "ServerFailed", "Unauthenticated", "Unavailable",
    }  # fmt: skip


def test_the_names_for_transfers_are_these():
    assert sorted(transfer.__all__) == [
        "Backoff", "Connection", "ConnectionSettings", "Digest", "DownloadRemote",
        "DownloadState", "EntryHead", "Fetched", "Kind", "LinkRule", "OnProgress",
        "Outline", "Patience", "Place", "Progress", "Pull", "Push", "Source",
        "SourceEntry", "UnaryRetries", "UploadRemote", "UploadState", "following_links",
        "keeping_links", "link_may_be_absolute", "link_stays_inside", "pull", "push",
        "read_settings",
    ]  # fmt: skip
    for name in transfer.__all__:
        assert getattr(transfer, name) is not None


def test_the_blocking_client_mirrors_the_asynchronous_one():
    assert public(sync.Tasks) == public(asynchronous.Tasks)
    assert public(sync.Runs) == public(asynchronous.Runs)
    assert public(sync.Uploads) == public(asynchronous.Uploads)
    assert public(asynchronous.Client) == {"capabilities", "close", "map", "result", "run"}
    assert public(sync.Client) == public(asynchronous.Client)


def checked(name: str) -> list[str]:
    """What mypy says of a program that a user wrote, line by line."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file=",
         "--cache-dir", str(CACHE),
         "--hide-error-context", str(PROGRAMS / name)],
        capture_output=True, text=True, check=False, cwd=PROGRAMS,
        env={**os.environ, "MYPYPATH": ""},
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    return [line.partition(": error: ")[0] for line in done.stdout.splitlines() if "error" in line]


@pytest.mark.timeout(120)  # mypy reads every stub once
def test_a_users_program_is_typed():
    assert checked("right.py") == []
    wrong = (PROGRAMS / "wrong.py").read_text().splitlines()
    expected = [number for number, line in enumerate(wrong, 1) if line.endswith("# wrong")]
    assert len(expected) == 7
    assert checked("wrong.py") == [f"wrong.py:{number}" for number in expected]


def loaded_by(code: str) -> set[str]:
    """The modules that a program has loaded in the end."""
    told = "\nimport sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code + told], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


# Counted, for the time that imports take says more of the machine than of us.
BARE = loaded_by("")


def test_the_package_costs_nothing_until_it_is_used():
    loaded = loaded_by("import appengine_client") - BARE
    assert len(loaded) < 60, "0.02 s on an idle machine"
    assert not {"asyncio", "grpc", "google.protobuf", "typing_extensions"} & loaded


def test_a_client_loads_grpc_and_none_of_the_slow_libraries():
    loaded = loaded_by("from appengine_client import connect") - BARE
    assert len(loaded) < 330, "0.2 s on an idle machine"
    assert not {"pydantic", "shapely", "numpy", "typer", "rich", "yaml"} & loaded
    assert not [name for name in loaded if name.startswith(("appengine_contract", "aiohttp"))]
