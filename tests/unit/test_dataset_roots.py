"""REF_STORAGE_PROJECT_ROOTS: which folders of the datasets projects may use."""

from __future__ import annotations

import pytest
from appengine_server.settings import StorageSettings, project_roots
from pydantic import ValidationError


def test_projects_and_their_folders() -> None:
    assert project_roots("") == {}
    assert project_roots(" alpha = alpha , shared/x ;; *= ;beta=.") == {
        "alpha": ("alpha", "shared/x"), "*": (), "beta": (".",),
    }  # fmt: skip


@pytest.mark.parametrize(
    "text", ["alpha", "=a", "a=b;a=c", "a=/data", "a=../b", "a=b/../c", "a=b,;c"]
)
def test_what_is_unclear_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="must"):
        StorageSettings(REF_STORAGE_PROJECT_ROOTS=text)
