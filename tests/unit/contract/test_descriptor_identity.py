"""Identity, authors, links and configuration of a descriptor."""

from __future__ import annotations

import pytest
from appengine_contract.descriptor import Author, ResourceDefaults, read_descriptor

_REQUIRED = {"$schema", "name", "namespace", "version", "authors", "configuration", "inputs"}


@pytest.mark.rule("identity.required", "report.all-at-once")
def test_every_missing_field_is_reported_at_once(where) -> None:
    checked = read_descriptor(b"description: nothing else\n")
    assert where(checked.errors) == {(field, "FIELD_MISSING") for field in _REQUIRED | {"outputs"}}
    assert all(problem.line == 1 for problem in checked.errors)


@pytest.mark.rule("identity.schema", "identity.description", "configuration.folder-defaults")
def test_what_is_optional_has_its_default(descriptors) -> None:
    descriptor = descriptors.right()
    assert descriptor.schema == "https://example.org/task.v0.json"
    assert (descriptor.name_short, descriptor.description, descriptor.source_code) == ("", "", "")
    assert (descriptor.input_folder, descriptor.output_folder) == ("/inputs", "/outputs")
    assert descriptor.image_file is None
    resources = descriptor.resources
    assert (resources.cpus, resources.ram_bytes, resources.gpus) == (1, 4 * 2**30, 0)
    assert resources.internet is False
    assert descriptor.authors == (
        Author(first_name="Ada", last_name="Lovelace", organization="Lab", email="ada@example.org"),
    )


@pytest.mark.rule(
    "descriptor.whole-match",
    "identity.schema",
    "identity.name",
    "identity.namespace",
    "identity.version",
)
@pytest.mark.parametrize(
    ("field", "text", "reason"),
    [
        ("$schema", "no uri", "FIELD_FORMAT"),
        ("name", "ab", "FIELD_FORMAT"),
        ("name", "n" * 31, "FIELD_FORMAT"),
        ("name", "caf\u00e9 task", "FIELD_FORMAT"),
        ("name", '"name\\u0001"', "FIELD_FORMAT"),
        ("name", "[a]", "FIELD_KIND"),
        ("namespace", "example", "FIELD_FORMAT"),
        ("namespace", ".example", "FIELD_FORMAT"),
        ("namespace", "com..example", "FIELD_FORMAT"),
        ("namespace", "com-x.example", "FIELD_FORMAT"),
        ("namespace", '"com.example\\n"', "FIELD_FORMAT"),
        ("version", "1.0", "FIELD_FORMAT"),
        ("version", "01.0.0", "FIELD_FORMAT"),
        ("version", "1.0.0-01", "FIELD_FORMAT"),
        ("version", "v1.0.0", "FIELD_FORMAT"),
        ("version", '"1.0.0\\n"', "FIELD_FORMAT"),
        ("version", "\u0661.0.0", "FIELD_FORMAT"),
    ],
)
def test_identity_has_its_form(descriptors, field: str, text: str, reason: str) -> None:
    checked = descriptors.head(f"{field}: {text}", without=field)
    assert {(problem.path, problem.reason) for problem in checked.errors} == {(field, reason)}


@pytest.mark.rule("identity.name")
@pytest.mark.parametrize("name", ["abc", "n" * 30, "Count nuclei_2 - fast"])
def test_a_name_has_3_to_30_characters(descriptors, name: str) -> None:
    checked = descriptors.head(f"name: {name}", without="name")
    assert checked.errors == ()
    assert checked.descriptor.name == name


@pytest.mark.rule("identity.version")
@pytest.mark.parametrize("version", ["0.0.0", "1.2.3-rc.1", "1.0.0-alpha-b.0", "1.0.0+build.01"])
def test_versions_are_semantic(descriptors, version: str) -> None:
    checked = descriptors.head(f"version: {version}", without="version")
    assert checked.errors == ()
    assert checked.descriptor.version == version


@pytest.mark.rule("identity.namespace")
def test_namespaces_may_hold_hyphens_after_the_first_dot(descriptors) -> None:
    checked = descriptors.head("namespace: Com_1.my-lab.x", without="namespace")
    assert checked.errors == ()


@pytest.mark.rule("identity.description")
def test_a_description_has_up_to_2048_characters(descriptors) -> None:
    assert descriptors.head(f"description: {'d' * 2048}").errors == ()
    (error,) = descriptors.head(f"description: {'d' * 2049}").errors
    assert (error.path, error.reason) == ("description", "FIELD_RANGE")


@pytest.mark.rule("identity.authors")
@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("[]", "authors", "FIELD_RANGE"),
        ("Ada", "authors", "FIELD_KIND"),
        ("[Ada]", "authors[0]", "FIELD_KIND"),
        ("[{is_contact: true}]", "authors[0]", "FIELD_MISSING"),
        ("[{email: a@b.org, is_contact: maybe}]", "authors[0].is_contact", "FIELD_KIND"),
        ("~", "authors", "FIELD_MISSING"),
    ],
)
def test_authors_are_checked(descriptors, text: str, path: str, reason: str) -> None:
    checked = descriptors.head(f"authors: {text}", without="authors")
    assert [(problem.path, problem.reason) for problem in checked.errors] == [(path, reason)]


@pytest.mark.rule("identity.author-warnings")
def test_absent_author_fields_and_odd_addresses_are_warnings(descriptors, where) -> None:
    checked = descriptors.head("authors: [{last_name: Lovelace, email: ada}]", without="authors")
    assert checked.errors == ()
    assert where(checked.warnings) == {
        ("authors[0].first_name", "FIELD_MISSING"),
        ("authors[0].organization", "FIELD_MISSING"),
        ("authors[0].email", "FIELD_FORMAT"),
    }


@pytest.mark.rule("identity.external")
def test_doi_and_dois_are_merged(descriptors, where) -> None:
    checked = descriptors.head(
        "external: {source_code: 'git://x', doi: 'doi:10.1/a', "
        "dois: ['doi:10.1/b', 'doi:10.1/a', c]}"
    )
    assert checked.errors == ()
    assert checked.descriptor.source_code == "git://x"
    assert checked.descriptor.dois == ("doi:10.1/a", "doi:10.1/b", "c")
    assert where(checked.warnings) == {("external.dois[2]", "FIELD_FORMAT")}


@pytest.mark.rule("configuration.folders")
@pytest.mark.parametrize(
    "folder",
    [
        "inputs",
        "/",
        "//",
        "/./",
        "/a/../b",
        "/proc/x",
        "/sys",
        "/dev/shm",
        '"/a\\u0000"',
        "/outputs/a",
        "/outputs",
    ],
)
def test_unsafe_folders_are_refused(descriptors, folder: str) -> None:
    checked = descriptors.head(
        f"configuration: {{input_folder: {folder}}}", without="configuration"
    )
    assert [problem.reason for problem in checked.errors] == ["FOLDER_UNSAFE"]


@pytest.mark.rule("configuration.folders")
def test_folders_are_normalised(descriptors) -> None:
    checked = descriptors.head(
        "configuration: {input_folder: //data/./in/, output_folder: /data/inner}",
        without="configuration",
    )
    assert checked.errors == ()
    assert checked.descriptor.input_folder == "/data/in"
    assert checked.descriptor.output_folder == "/data/inner"


@pytest.mark.rule("configuration.ram", "configuration.cpus-and-gpus")
def test_resources_are_read(descriptors) -> None:
    checked = descriptors.head(
        "configuration: {image: {file: /image.tar}, "
        "resources: {ram: 1.5Gi, cpus: 2, gpus: 1, internet: true}}",
        without="configuration",
    )
    assert (checked.errors, checked.warnings) == ((), ())
    assert checked.descriptor.image_file == "/image.tar"
    resources = checked.descriptor.resources
    assert (resources.cpus, resources.ram_bytes, resources.gpus) == (2, 1610612736, 1)
    assert resources.internet is True


@pytest.mark.rule("configuration.ram", "configuration.cpus-and-gpus")
@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("ram: 12GiB", "ram", "QUANTITY"),
        ("ram: 12", "ram", "QUANTITY"),
        ("ram: [1Gi]", "ram", "FIELD_KIND"),
        ("cpus: 0", "cpus", "FIELD_RANGE"),
        ("cpus: 0.5", "cpus", "FIELD_KIND"),
        ("gpus: -1", "gpus", "FIELD_RANGE"),
        ("cpus: 3000000000", "cpus", "FIELD_RANGE"),
        ("internet: 1", "internet", "FIELD_KIND"),
    ],
)
def test_resources_have_their_bounds(descriptors, text: str, path: str, reason: str) -> None:
    checked = descriptors.head(f"configuration: {{resources: {{{text}}}}}", without="configuration")
    assert [(problem.path, problem.reason) for problem in checked.errors] == [
        (f"configuration.resources.{path}", reason)
    ]


@pytest.mark.rule("configuration.ram", "configuration.cpus-and-gpus")
def test_an_operator_sets_what_a_silent_task_gets() -> None:
    source = (
        b"$schema: 'a:b'\nname: abc\nnamespace: a.b\nversion: 1.0.0\nauthors: [{email: a@b.org}]\n"
        b"configuration: {resources: {gpus: 0}}\ninputs: {}\noutputs: {}\n"
    )
    defaults = ResourceDefaults(cpus=3, ram_bytes=7, gpus=1)
    descriptor = read_descriptor(source, defaults=defaults).descriptor
    assert descriptor is not None
    resources = descriptor.resources
    assert (resources.cpus, resources.ram_bytes, resources.gpus) == (3, 7, 0)
