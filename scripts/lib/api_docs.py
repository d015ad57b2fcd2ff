"""Writes docs/api/ from the comments of protos/; see scripts/generate-api-docs."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "api"
BUF = ROOT / ".venv" / "bin" / "buf"

PAGES = {
    "tasks": ("Tasks", ("task_service", "task")),
    "runs": ("Runs", ("run_service", "run")),
    "values": ("Values", ("value", "problem")),
    "storage": ("Files", ("storage_service", "transfer")),
    "agents": ("Agents", ("agent_service",)),
}
"""The pages, and whose definitions are on them."""

# Numbers of fields in descriptor.proto, of which the paths of comments are made.
_MESSAGES, _ENUMS, _SERVICES, _FIELDS, _METHODS, _VALUES = 4, 5, 6, 2, 2, 2
_PACKAGE = ".appengine.v1."
_KINDS = {
    FieldDescriptorProto.TYPE_BOOL: "bool",
    FieldDescriptorProto.TYPE_BYTES: "bytes",
    FieldDescriptorProto.TYPE_DOUBLE: "double",
    FieldDescriptorProto.TYPE_FIXED32: "fixed32",
    FieldDescriptorProto.TYPE_INT32: "int32",
    FieldDescriptorProto.TYPE_INT64: "int64",
    FieldDescriptorProto.TYPE_STRING: "string",
    FieldDescriptorProto.TYPE_UINT32: "uint32",
    FieldDescriptorProto.TYPE_UINT64: "uint64",
}


def read_protos() -> dict[str, FileDescriptorProto]:
    """Every file of ours by its short name, with its comments."""
    done = subprocess.run(
        [BUF, "build", ROOT / "protos", "--as-file-descriptor-set", "-o", "-#format=binpb"],
        stdout=subprocess.PIPE,
        check=True,
    )
    files = FileDescriptorSet.FromString(done.stdout).file
    return {Path(file.name).stem: file for file in files if file.package == "appengine.v1"}


class Page:
    """One page: the services of its files first, then their messages."""

    def __init__(self, title: str, names: tuple[str, ...], homes: dict[str, str]) -> None:
        self._title = title
        self._names = names
        self._homes = homes
        self._comments: dict[tuple[int, ...], str] = {}

    def render(self, files: dict[str, FileDescriptorProto]) -> str:
        """The whole page."""
        sources = " and ".join(f"`{name}.proto`" for name in self._names)
        lines = [f"# {self._title}", ""]
        lines += ["This page is made by `scripts/generate-api-docs` from the comments of"]
        lines += [f"{sources} in `protos/appengine/v1`.", ""]
        for name in self._names:
            self._comments = {
                tuple(place.path): place.leading_comments or place.trailing_comments
                for place in files[name].source_code_info.location
            }
            lines += self._of_file(files[name])
        return "\n".join(lines).rstrip() + "\n"

    def _of_file(self, file: FileDescriptorProto) -> Iterator[str]:
        for index, service in enumerate(file.service):
            yield from self._of_service(service, (_SERVICES, index))
        for index, message in enumerate(file.message_type):
            yield from self._of_message(message, (_MESSAGES, index))
        for index, enum in enumerate(file.enum_type):
            yield from self._of_enum(enum, (_ENUMS, index))

    def _of_service(self, service: ServiceDescriptorProto, path: tuple[int, ...]) -> Iterator[str]:
        yield from (f"## {service.name}", "", *self._paragraphs(path), "")
        for index, method in enumerate(service.method):
            takes = self._link(method.input_type, is_stream=method.client_streaming)
            answers = self._link(method.output_type, is_stream=method.server_streaming)
            yield from (f"### {method.name}", "", f"Takes {takes}, answers {answers}.", "")
            yield from (*self._paragraphs((*path, _METHODS, index)), "")

    def _of_message(self, message: DescriptorProto, path: tuple[int, ...]) -> Iterator[str]:
        yield from (f"## {message.name}", "", *self._paragraphs(path), "")
        if message.field:
            yield from ("| field | type | |", "|---|---|---|")
        for index, field in enumerate(message.field):
            told = self._sentence((*path, _FIELDS, index))
            if field.HasField("oneof_index") and not field.proto3_optional:
                choice = message.oneof_decl[field.oneof_index].name
                told = f"One of `{choice}`. {told}".rstrip()
            yield f"| `{field.name}` | {self._kind(field, message)} | {told} |"
        yield ""

    def _of_enum(self, enum: EnumDescriptorProto, path: tuple[int, ...]) -> Iterator[str]:
        yield from (f"## {enum.name}", "", *self._paragraphs(path), "")
        yield from ("| value | |", "|---|---|")
        for index, value in enumerate(enum.value):
            if value.number:
                yield f"| `{value.name}` | {self._sentence((*path, _VALUES, index))} |"
        yield ""

    def _kind(self, field: FieldDescriptorProto, message: DescriptorProto) -> str:
        entries = {nested.name: nested for nested in message.nested_type}
        entry = entries.get(field.type_name.rpartition(".")[2])
        if entry is not None and entry.options.map_entry:
            key, value = (self._kind(one, message) for one in entry.field)
            return f"map of {key} to {value}"
        kind = _KINDS.get(field.type) or self._link(field.type_name)
        is_list = field.label == FieldDescriptorProto.LABEL_REPEATED
        return (
            f"list of {kind}" if is_list else f"optional {kind}" if field.proto3_optional else kind
        )

    def _link(self, name: str, *, is_stream: bool = False) -> str:
        short = name.removeprefix(_PACKAGE)
        home = self._homes.get(short)
        text = f"[{short}]({home}#{short.lower()})" if home else f"`{short.lstrip('.')}`"
        return f"a stream of {text}" if is_stream else text

    def _paragraphs(self, path: tuple[int, ...]) -> list[str]:
        """The comment as it stands; lines that begin a list or table keep their breaks."""
        text = self._comments.get(path, "")
        return [_escaped(line.removeprefix(" ").rstrip()) for line in text.strip("\n").split("\n")]

    def _sentence(self, path: tuple[int, ...]) -> str:
        return _escaped(" ".join(self._comments.get(path, "").split())).replace("|", "\\|")


def _escaped(text: str) -> str:
    """The text without what Markdown would take for a tag or link; code stays as it is."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else _plain(part) for part in parts)


def _plain(text: str) -> str:
    return text.replace("<", "&lt;").replace("[", "&#91;").replace("]", "&#93;")


def render_all() -> dict[str, str]:
    """Every page by its name."""
    files = read_protos()
    homes = {
        one.name: f"{page}.md"
        for page, (_, names) in PAGES.items()
        for name in names
        for one in (*files[name].message_type, *files[name].enum_type)
    }
    return {
        f"{page}.md": Page(title, names, homes).render(files)
        for page, (title, names) in PAGES.items()
    }


def main() -> None:
    """Write the pages, or say that one is out of date."""
    pages = render_all()
    if sys.argv[1:] == ["--check"]:
        for name, text in pages.items():
            path = FOLDER / name
            if not path.exists() or path.read_text() != text:
                sys.exit(f"docs/api/{name} is out of date: run scripts/generate-api-docs.")
        return
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages.items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
