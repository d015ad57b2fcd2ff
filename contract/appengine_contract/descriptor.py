"""Descriptors: the YAML file that declares a task's identity, resources, inputs and outputs."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import Literal

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from appengine_contract.dependencies import Link, check_derived, check_matching
from appengine_contract.parameters.catalogue import read_type
from appengine_contract.parameters.type import ParameterType
from appengine_contract.problems import Problem
from appengine_contract.quantities import QuantityError, memory_bytes
from appengine_contract.values import Value
from appengine_contract.yaml_document import compose
from appengine_contract.yaml_tree import Fields, Report, as_text, describe

_NAME = re.compile(r"[a-zA-Z0-9_\s\-]{3,30}", re.ASCII)
NAMESPACE = re.compile(r"[a-zA-Z0-9_]+(\.[a-zA-Z0-9_-]+)+", re.ASCII)
"""The form of a task's namespace, matched whole."""
_VERSION = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
    r"(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?",
    re.ASCII,
)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s\x00-\x1f]+", re.ASCII)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PARAMETER_NAME = re.compile(r"[a-zA-Z0-9_]{1,200}", re.ASCII)
_LONGEST_DESCRIPTION = 2048
_LONGEST_EMAIL = 320
_SYSTEM_FOLDERS = ("/proc", "/sys", "/dev")
_MOST_DEVICES = 2**31 - 1
_AUTHOR_TEXTS = ("first_name", "last_name", "organization", "email")

Side = Literal["inputs", "outputs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceDefaults:
    """What a task gets that does not say what it needs."""

    cpus: int = 1
    ram_bytes: int = 4 << 30
    gpus: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResources:
    """What one execution of a task may use."""

    cpus: int
    ram_bytes: int
    gpus: int
    internet: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who wrote the task."""

    first_name: str = ""
    last_name: str = ""
    organization: str = ""
    email: str = ""
    is_contact: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One named, typed input or output."""

    name: str
    display_name: str
    description: str
    type: ParameterType
    optional: bool
    default: Value | None
    """Applies at the start to an optional input that was not provisioned."""
    derived_from: str | None
    """`inputs/<name>`: the input whose coordinate frame this output uses."""
    matching: tuple[str, ...]
    """`inputs/<name>` or `outputs/<name>`: arrays of the same length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A checked descriptor. Parameters are in the order of the file."""

    schema: str
    name: str
    name_short: str
    namespace: str
    version: str
    description: str
    authors: tuple[Author, ...]
    source_code: str
    dois: tuple[str, ...]
    input_folder: str
    output_folder: str
    image_file: str | None
    """The entry of the bundle that is the image archive, if it says."""
    resources: TaskResources
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...]

    def input(self, name: str) -> Parameter | None:
        """The input of that name, compared exactly."""
        return _named(self.inputs, name)

    def output(self, name: str) -> Parameter | None:
        """The output of that name, compared exactly."""
        return _named(self.outputs, name)


def _named(parameters: tuple[Parameter, ...], name: str) -> Parameter | None:
    return next((each for each in parameters if each.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedDescriptor:
    """What reading a descriptor gave: `descriptor` is None if and only if there are errors."""

    descriptor: Descriptor | None
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def read_descriptor(
    source: bytes, *, defaults: ResourceDefaults = ResourceDefaults()
) -> CheckedDescriptor:
    """Read and check a descriptor. All errors and warnings are collected; none is raised."""
    report = Report()
    root = compose(source, report)
    descriptor = None if root is None else _read_root(root, defaults)
    return CheckedDescriptor(
        descriptor=None if report.errors else descriptor,
        errors=tuple(report.errors),
        warnings=tuple(report.warnings),
    )


def _read_root(root: Fields, defaults: ResourceDefaults) -> Descriptor:
    source_code, dois = _read_external(root)
    configuration = _read_configuration(root, defaults)
    identity = _read_identity(root)
    authors = _read_authors(root)
    parameters = _read_parameters(root)
    root.warn_unknown()
    return Descriptor(
        schema=identity.schema,
        name=identity.name,
        name_short=identity.name_short,
        namespace=identity.namespace,
        version=identity.version,
        description=identity.description,
        authors=authors,
        source_code=source_code,
        dois=dois,
        input_folder=configuration.input_folder,
        output_folder=configuration.output_folder,
        image_file=configuration.image_file,
        resources=configuration.resources,
        inputs=tuple(parameters.inputs),
        outputs=tuple(parameters.outputs),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Identity:
    schema: str
    name: str
    name_short: str
    namespace: str
    version: str
    description: str


def _read_identity(root: Fields) -> _Identity:
    description = root.text("description") or ""
    if len(description) > _LONGEST_DESCRIPTION:
        message = f"{len(description)} characters are more than {_LONGEST_DESCRIPTION}"
        root.error("description", "FIELD_RANGE", message)
    return _Identity(
        schema=_formatted(root, "$schema", _URI, "a URI"),
        name=_formatted(
            root, "name", _NAME, "3 to 30 letters, digits, spaces, hyphens or underscores"
        ),
        name_short=root.text("name_short") or "",
        namespace=_formatted(
            root, "namespace", NAMESPACE, "names joined by dots, such as `com.example.lab`"
        ),
        version=_formatted(root, "version", _VERSION, "a semantic version such as `1.0.0`"),
        description=description,
    )


def _formatted(fields: Fields, key: str, form: re.Pattern[str], expected: str) -> str:
    text = fields.required_text(key)
    if text is not None and not form.fullmatch(text):
        fields.error(key, "FIELD_FORMAT", f"expected {expected}, found {text[:80]!r}")
    return text or ""


def _read_authors(root: Fields) -> tuple[Author, ...]:
    items = root.items("authors")
    if root.take("authors") is None:
        root.missing("authors")
    if items is None:
        return ()
    if not items:
        root.error("authors", "FIELD_RANGE", "at least one author is required")
    authors = []
    for path, node in items:
        if isinstance(node, MappingNode):
            authors.append(_read_author(Fields(node, path, root.report)))
        else:
            message = f"expected a mapping, found {describe(node)}"
            root.report.error(path, "FIELD_KIND", message, node)
    return tuple(authors)


def _read_author(fields: Fields) -> Author:
    absent = [key for key in _AUTHOR_TEXTS if fields.take(key) is None]
    first_name, last_name, organization, email = (fields.text(key) or "" for key in _AUTHOR_TEXTS)
    if len(absent) == len(_AUTHOR_TEXTS):
        message = f"an author needs one of {', '.join(_AUTHOR_TEXTS)}"
        fields.report.error(fields.path, "FIELD_MISSING", message, fields.node)
    else:
        for key in absent:
            fields.warning(key, "FIELD_MISSING", f"the author has no `{key}`")
    if email and not (len(email) <= _LONGEST_EMAIL and _EMAIL.fullmatch(email)):
        fields.warning("email", "FIELD_FORMAT", f"{email[:80]!r} is an odd e-mail address")
    is_contact = fields.boolean("is_contact", default=False)
    fields.warn_unknown()
    return Author(
        first_name=first_name,
        last_name=last_name,
        organization=organization,
        email=email,
        is_contact=is_contact,
    )


def _read_external(root: Fields) -> tuple[str, tuple[str, ...]]:
    fields = root.mapping("external")
    if fields is None:
        return "", ()
    source_code = fields.text("source_code") or ""
    if source_code and not _URI.fullmatch(source_code):
        fields.warning("source_code", "FIELD_FORMAT", f"{source_code[:80]!r} is no URI")
    dois = dict.fromkeys([*_read_dois(fields, "doi"), *_read_dois(fields, "dois")])
    fields.warn_unknown()
    return source_code, tuple(dois)


def _read_dois(fields: Fields, key: str) -> list[str]:
    node = fields.take(key)
    if node is None:
        return []
    if isinstance(node, SequenceNode):
        texts = fields.texts(key) or []
    else:
        text = as_text(node, fields.at(key), fields.report)
        texts = [] if text is None else [(fields.at(key), text, node)]
    for path, text, item in texts:
        if not _URI.fullmatch(text):
            fields.report.warning(path, "FIELD_FORMAT", f"{text[:80]!r} is no URI", item)
    return [text for _, text, _ in texts]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Configuration:
    input_folder: str
    output_folder: str
    image_file: str | None
    resources: TaskResources


def _read_configuration(root: Fields, defaults: ResourceDefaults) -> _Configuration:
    fields = root.mapping("configuration")
    if fields is None:
        if root.take("configuration") is None:
            root.missing("configuration")
        fields = Fields(_no_fields(root), "configuration", root.report)
    input_folder = _read_folder(fields, "input_folder", "/inputs")
    output_folder = _read_folder(fields, "output_folder", "/outputs")
    if _overlap(input_folder, output_folder):
        message = f"`{input_folder}` and `{output_folder}` overlap; give each its own folder"
        fields.error("output_folder", "FOLDER_UNSAFE", message)
    image = fields.mapping("image")
    image_file = image.text("file") if image is not None else None
    if image is not None:
        image.warn_unknown()
    resources = fields.mapping("resources")
    if resources is None:
        resources = Fields(_no_fields(root), "configuration.resources", root.report)
    read = _read_resources(resources, defaults)
    resources.warn_unknown()
    fields.warn_unknown()
    return _Configuration(
        input_folder=input_folder,
        output_folder=output_folder,
        image_file=image_file or None,
        resources=read,
    )


def _no_fields(root: Fields) -> MappingNode:
    return MappingNode(root.node.tag, [], root.node.start_mark, root.node.end_mark)


def _read_folder(fields: Fields, key: str, default: str) -> str:
    text = fields.text(key)
    if text is None:
        return default
    folder = "/" + posixpath.normpath(text).lstrip("/")
    if not text.startswith("/"):
        problem = "is not absolute"
    elif ".." in text.split("/"):
        problem = "holds `..`"
    elif not text.isprintable():
        problem = "holds control characters"
    elif folder == "/":
        problem = "is the root of the container"
    elif any(_is_inside(folder, system) for system in _SYSTEM_FOLDERS):
        problem = "belongs to the system"
    else:
        return folder
    fields.error(key, "FOLDER_UNSAFE", f"{text[:80]!r} {problem}; write for example `{default}`")
    return default


def _is_inside(folder: str, outer: str) -> bool:
    return folder == outer or folder.startswith(f"{outer}/")


def _overlap(first: str, second: str) -> bool:
    return _is_inside(first, second) or _is_inside(second, first)


def _read_resources(fields: Fields, defaults: ResourceDefaults) -> TaskResources:
    return TaskResources(
        cpus=_read_count(fields, "cpus", least=1, default=defaults.cpus),
        ram_bytes=_read_ram(fields, defaults.ram_bytes),
        gpus=_read_count(fields, "gpus", least=0, default=defaults.gpus),
        internet=fields.boolean("internet", default=False),
    )


def _read_count(fields: Fields, key: str, *, least: int, default: int) -> int:
    value = fields.integer(key)
    if value is None:
        return default
    if not least <= value <= _MOST_DEVICES:
        message = f"must be between {least} and {_MOST_DEVICES}, found {value}"
        fields.error(key, "FIELD_RANGE", message)
    return value


def _read_ram(fields: Fields, default: int) -> int:
    node = fields.take("ram")
    if node is None:
        return default
    if not isinstance(node, ScalarNode):
        fields.error("ram", "FIELD_KIND", f"expected a quantity, found {describe(node)}")
        return default
    try:
        return memory_bytes(node.value)
    except QuantityError as error:
        fields.error("ram", "QUANTITY", str(error))
        return default


@dataclass(slots=True)
class _Parameters:
    inputs: list[Parameter] = field(default_factory=list)
    outputs: list[Parameter] = field(default_factory=list)
    declared: dict[str, ParameterType | None] = field(default_factory=dict)
    """By `inputs/<name>` and `outputs/<name>`; None where the type is wrong."""
    derived: list[Link] = field(default_factory=list)
    matching: list[Link] = field(default_factory=list)


def _read_parameters(root: Fields) -> _Parameters:
    parameters = _Parameters()
    _read_side(root, "inputs", parameters)
    _read_side(root, "outputs", parameters)
    check_derived(parameters.derived, parameters.declared, root.report)
    check_matching(parameters.matching, parameters.declared, root.report)
    return parameters


def _read_side(root: Fields, side: Side, parameters: _Parameters) -> None:
    fields = root.mapping(side)
    if fields is None:
        if not any(name == side for name, _, _ in root):
            root.missing(side)
        return
    for name, key, node in fields:
        at = fields.at(name)
        if not _PARAMETER_NAME.fullmatch(name):
            message = "a name has 1 to 200 letters, digits or underscores"
            root.report.error(at, "FIELD_FORMAT", message, key)
        if not isinstance(node, MappingNode):
            parameters.declared[f"{side}/{name}"] = None
            message = f"expected a mapping, found {describe(node)}"
            root.report.error(at, "FIELD_KIND", message, node)
            continue
        _read_parameter(Fields(node, at, root.report), side, name, parameters)


def _read_parameter(fields: Fields, side: Side, name: str, parameters: _Parameters) -> None:
    description = fields.required_text("description") or ""
    display_name = fields.text("display_name")
    if display_name == "":
        fields.warning("display_name", "FIELD_EMPTY", "the name of the parameter is shown instead")
    kind = read_type(fields, "type")
    parameters.declared[f"{side}/{name}"] = kind
    optional = fields.boolean("optional", default=False)
    default = _read_default(fields, side, kind)
    derived_from, matching = _read_dependencies(fields, side, name, parameters)
    fields.warn_unknown()
    if kind is None:
        return
    made = Parameter(
        name=name,
        display_name=display_name or name,
        description=description,
        type=kind,
        optional=optional,
        default=default,
        derived_from=derived_from,
        matching=matching,
    )
    (parameters.inputs if side == "inputs" else parameters.outputs).append(made)


def _read_default(fields: Fields, side: Side, kind: ParameterType | None) -> Value | None:
    node = fields.take("default")
    if node is None or kind is None:
        return None
    if side == "outputs" or not kind.takes_default:
        owner = "an output" if side == "outputs" else f"an input of type {kind.id}"
        fields.warning("default", "DEFAULT_IGNORED", f"{owner} has no default; it is ignored")
        return None
    value = kind.default(node, fields.at("default"), fields.report)
    if value is None:
        return None
    problems = kind.check(value, fields.at("default"))
    for problem in problems:
        fields.warning("default", "DEFAULT_DROPPED", f"the default is dropped: {problem.message}")
    return None if problems else value


def _read_dependencies(
    fields: Fields, side: Side, name: str, parameters: _Parameters
) -> tuple[str | None, tuple[str, ...]]:
    dependencies = fields.mapping("dependencies")
    if dependencies is None:
        return None, ()
    owner = f"{side}/{name}"
    derived_from = dependencies.text("derived_from")
    if derived_from is not None and side == "inputs":
        message = "only outputs are derived from inputs; it is ignored"
        dependencies.warning("derived_from", "DEPENDENCY_IGNORED", message)
        derived_from = None
    if derived_from is not None:
        node, at = dependencies.line_node("derived_from"), dependencies.at("derived_from")
        parameters.derived.append(Link(owner=owner, target=derived_from, path=at, node=node))
    links = _read_matching(dependencies, owner)
    parameters.matching += links
    dependencies.warn_unknown()
    return derived_from, tuple(dict.fromkeys(link.target for link in links))


def _read_matching(fields: Fields, owner: str) -> list[Link]:
    node = fields.take("matching")
    texts: list[tuple[str, str, Node]] = []
    if isinstance(node, ScalarNode):
        text = fields.text("matching")
        fields.warning("matching", "LIST_EXPECTED", "it is taken as a list of one")
        texts = [] if text is None else [(fields.at("matching"), text, node)]
    elif node is not None:
        texts = fields.texts("matching") or []
    return [Link(owner=owner, target=text, path=path, node=item) for path, text, item in texts]
