from __future__ import annotations

import json
import re

import pytest
from appengine_server.errors import FailedPrecondition
from appengine_server.tasks.registry import pull_secret, registry_of, repository_of
from hypothesis import given
from hypothesis import strategies as st

# the grammar of github.com/distribution/reference
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LEGAL = re.compile(rf"{_PART}(?:/{_PART})*")


@pytest.mark.rule("bundle.registry-name")
@pytest.mark.parametrize(
    ("project", "namespace", "expected"),
    [
        ("shared", "com.example.nuclei", "shared/com/example/nuclei"),
        ("Lab", "ch.Uni-Geneva.Cell_Count", "lab/ch/uni-geneva/cell_count"),
        ("shared", "a.b-.-c.__d___e", "shared/a/b/c/d-e"),
        ("shared", "a.-_-", "shared/a/x"),
    ],
)
def test_namespaces_become_paths(project: str, namespace: str, expected: str) -> None:
    assert repository_of(project, namespace) == expected


@pytest.mark.rule("bundle.registry-name")
@given(
    project=st.text(min_size=1, max_size=20),
    namespace=st.from_regex(r"[a-zA-Z0-9_]{1,9}(\.[a-zA-Z0-9_-]{1,9}){1,5}", fullmatch=True),
)
def test_repositories_are_always_legal(project: str, namespace: str) -> None:
    assert _LEGAL.fullmatch(repository_of(project, namespace))


def test_a_name_that_no_registry_takes_is_refused() -> None:
    with pytest.raises(FailedPrecondition):
        repository_of("shared", "a." + "b" * 300)


def test_passwords_are_not_shown() -> None:
    assert "s3cret" not in repr(registry_of("https://registry.example", None, "u", "s3cret"))


def test_nodes_get_the_credentials_for_the_name_by_which_they_pull() -> None:
    registry = registry_of("https://push.example:5000/", "pull.example/path", "u", "s3cret")
    secret = json.loads(pull_secret(registry) or "")
    assert secret == {
        "auths": {"pull.example": {"username": "u", "password": "s3cret", "auth": "dTpzM2NyZXQ="}}
    }
    assert pull_secret(registry_of("https://push.example", None, "", "")) is None


def test_a_registry_is_known_by_both_of_its_names() -> None:
    registry = registry_of("https://push.example:5000/", "http://pull.example/path/", "u", "p")
    assert (registry.push_host, registry.pull_host) == ("push.example:5000", "pull.example/path")
    assert registry.place("pull.example/path/a@b").image == "push.example:5000/a@b"
    assert registry.place("push.example:5000/a@b").image == "push.example:5000/a@b"
    assert not registry.holds("push.example:50001/a@b")
