"""`appengine task init`: a task to start from, made of the files in `task_template`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from string import Template

from appengine_contract.descriptor import NAMESPACE

from appengine_client.errors import InvalidValue, LocalFileError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{2,29}", re.ASCII)
_FILLED_IN = ("descriptor.yml", "README.md")
_AS_THEY_ARE = ("Dockerfile", "task.py", "parameters.py", "test_task.py")


def make_task(name: str, namespace: str | None, parent: Path) -> Path:
    """Write the files of a new task into the folder `parent / name`, and answer it.

    The namespace is `org.example.NAME` where None is given. Raises InvalidValue for names that no
    descriptor takes, LocalFileError where the folder is there or cannot be made.
    """
    if not _NAME.fullmatch(name):
        raise InvalidValue(
            f"{name!r} cannot name a task: take 3 to 30 letters, digits, - and _, a letter first"
        )
    namespace = namespace or f"org.example.{name}"
    if not NAMESPACE.fullmatch(namespace):
        raise InvalidValue(
            f"{namespace!r} is no namespace: join names by dots, such as com.example.{name}"
        )
    folder = parent / name
    try:
        folder.mkdir()
        for file, content in _contents(name, namespace):
            (folder / file).write_bytes(content)
    except FileExistsError:
        raise LocalFileError(f"{folder} is there already: take another name") from None
    except OSError as error:
        raise LocalFileError(f"{folder} cannot be made: {error.strerror or error}") from error
    return folder


def _contents(name: str, namespace: str) -> Iterator[tuple[str, bytes]]:
    templates = files("appengine_client.cli") / "task_template"
    for file in _AS_THEY_ARE:
        yield file, templates.joinpath(file).read_bytes()
    for file in _FILLED_IN:
        template = Template(templates.joinpath(file).read_text("utf-8"))
        yield file, template.substitute(name=name, namespace=namespace).encode()
