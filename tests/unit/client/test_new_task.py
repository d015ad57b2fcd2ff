"""A task to start from, and how an image and a descriptor become a bundle."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from datetime import datetime
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import yaml
from appengine_client.cli.errors import ExitCode
from appengine_client.cli.main import main
from appengine_contract.descriptor import read_descriptor

# Of each type a value, and what lies on disk for it.
VALUES = {
    "integer": (-3, b"-3"),
    "number": (0.1, b"0.1"),
    "boolean": (True, b"true"),
    "string": ("two\nlines\n", b"two\nlines\n"),
    "datetime": (
        datetime.fromisoformat("2024-02-29T23:59:59+02:00"),
        b"2024-02-29T23:59:59+02:00",
    ),
    "geometry": (
        {"type": "Point", "coordinates": [1, 2]},
        b'{"type": "Point", "coordinates": [1, 2]}',
    ),
}


def appengine(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        main(list(map(str, arguments)))
    code = left.value.code
    assert isinstance(code, int)
    return code


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_new_task_has_a_right_descriptor_and_its_test_passes(here):
    assert appengine("task", "init", "cells", "--namespace", "com.example.my-cells") == 0
    descriptor = read_descriptor((here / "cells/descriptor.yml").read_bytes())
    assert (descriptor.errors, descriptor.warnings) == ((), ())
    assert descriptor.descriptor.namespace == "com.example.my-cells"
    assert "com.example.my-cells-0.1.0.zip" in (here / "cells/README.md").read_text()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(command, cwd=here / "cells", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_a_folder_that_is_there_is_left_alone(here, capsys):
    (here / "cells").mkdir()
    (here / "cells/task.py").write_text("mine")
    assert appengine("task", "init", "cells") == ExitCode.USAGE
    assert "cells is there already: take another name" in capsys.readouterr().err
    assert [file.name for file in (here / "cells").iterdir()] == ["task.py"]


@pytest.mark.parametrize("name", ["", "a", "../up", "with space", "9cells", "x" * 31])
def test_a_name_that_no_descriptor_takes_is_refused(here, name, capsys):
    assert appengine("task", "init", name) == ExitCode.USAGE
    assert "cannot name a task" in capsys.readouterr().err
    assert not list(here.iterdir())


def test_a_namespace_that_no_descriptor_takes_is_refused(here, capsys):
    assert appengine("task", "init", "cells", "--namespace", "cells") == ExitCode.USAGE
    assert "'cells' is no namespace" in capsys.readouterr().err
    assert not list(here.iterdir())


@pytest.fixture
def parameters(here):
    assert appengine("task", "init", "cells") == 0
    spec = spec_from_file_location("parameters_of_a_task", here / "cells/parameters.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def declared(folder: Path, types: dict[str, object]) -> Path:
    one = {name: {"type": kind} for name, kind in types.items()}
    path = folder / "types.yml"
    path.write_text(yaml.safe_dump({"inputs": one, "outputs": one}))
    return path


def test_every_type_is_read_and_written_as_it_lies_on_disk(here, parameters):
    types = {name: {"id": name} for name in VALUES}
    both = parameters.Parameters(declared(here, types))
    values = {name: value for name, (value, _) in VALUES.items()}
    both.write(here, values)
    assert {name: (here / name).read_bytes() for name in VALUES} == {
        name: content for name, (_, content) in VALUES.items()
    }
    assert both.read(here) == values


def test_arrays_files_and_what_is_not_given(here, parameters):
    rows = {"id": "array", "subtype": {"id": "array", "subtype": "integer"}}
    both = parameters.Parameters(declared(here, {"rows": rows, "table": "file", "plain": "file"}))
    (here / "source").write_bytes(b"from a file")
    both.write(here, {"rows": [[1, 2], []], "table": here / "source", "plain": b"bytes"})
    assert (here / "rows/array.yml").read_bytes() == b"size: 2\n"
    assert (here / "rows/0/1").read_bytes() == b"2"
    assert (here / "table").read_bytes() == b"from a file"
    (here / "plain").unlink()
    assert both.read(here) == {
        "rows": [[1, 2], []], "table": here / "table", "plain": None,
    }  # fmt: skip
    with pytest.raises(KeyError, match="outputs are"):
        both.write(here, {"rows": []})


@pytest.fixture
def image(here):
    with tarfile.open(here / "image.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("manifest.json"))
    return here / "image.tar"


def test_descriptor_logo_and_image_become_a_bundle(here, image, capsys):
    assert appengine("task", "init", "cells") == 0
    (here / "cells/logo.png").write_bytes(b"logo")
    assert appengine("task", "pack", "cells", "--image", image) == 0
    assert capsys.readouterr().out == "org.example.cells-0.1.0.zip\n"
    with zipfile.ZipFile(here / "org.example.cells-0.1.0.zip") as bundle:
        names = ["descriptor.yml", "logo.png", "org.example.cells-0.1.0.tar"]
        assert bundle.namelist() == names
        assert bundle.read(names[0]) == (here / "cells/descriptor.yml").read_bytes()
        assert bundle.read(names[2]) == image.read_bytes()
    assert {file.name for file in here.iterdir()} == {
        "cells", "image.tar", "org.example.cells-0.1.0.zip",
    }  # fmt: skip


def test_what_is_no_image_or_no_descriptor_makes_no_bundle(here, image, capsys):
    assert appengine("task", "init", "cells") == 0
    pack = ("task", "pack", "cells", "-o", "out.zip", "--image")
    assert appengine(*pack, "cells/task.py") == ExitCode.USAGE
    assert "cells/task.py is no image archive" in capsys.readouterr().err
    assert appengine(*pack, "gone.tar") == ExitCode.USAGE
    assert "gone.tar: No such file" in capsys.readouterr().err
    (here / "cells/descriptor.yml").write_text("name: no\n")
    assert appengine(*pack, image) == ExitCode.FAILED
    assert "error: " in capsys.readouterr().out
    assert {file.name for file in here.iterdir()} == {"cells", "image.tar"}
