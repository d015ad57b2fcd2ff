"""The command line reads its inputs, shows problems in sentences, and ends with the right code."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from appengine.v1 import run_service_pb2, task_pb2, value_pb2
from appengine_client import LocalFile, Reference, errors
from appengine_client._api.folders import complete_folder
from appengine_client.cli.app import with_options_first
from appengine_client.cli.errors import ExitCode, exit_code_of, show_error_as_json
from appengine_client.cli.inputs import read_inputs
from appengine_client.cli.interrupts import Interrupted, Interrupts, Wish
from appengine_client.cli.main import main
from appengine_client.cli.reporting import LogLines
from appengine_client.cli.results import print_results
from appengine_client.cli.words import size

from tests.unit.client.declared import typed

POINT = '{"type": "Point", "coordinates": [1, 2]}'


TYPES = {
    name: typed(kind)
    for name, kind in {
        "b": "boolean",
        "i": "integer",
        "n": "number",
        "s": "string",
        "e": "enumeration",
        "g": "geometry",
        "f": "file",
        "image": "image",
        "ints": "array/integer",
        "rows": "array/array/integer",
        "shapes": "array/geometry",
        "slides": "array/image",
    }.items()
}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("b=TRUE", True),
        ("i=-5", -5),
        ("n=2", 2.0),
        ("n=-inf", -math.inf),
        ("s=", ""),
        ("s=a=b", "a=b"),
        ("s=@home", "@home"),
        ("s=5", "5"),
        ("e=HED", "HED"),
        (f"g={POINT}", POINT),
        ("ints=[1, 2]", [1, 2]),
        ("rows=[[1], []]", [[1], []]),
        ("image=@a.png", LocalFile(path=Path("a.png"))),
        ("slides=@a.png", [LocalFile(path=Path("a.png"))]),
        (f"shapes=[{POINT}]", [json.loads(POINT)]),
    ],
)
def test_values_on_the_command_line(option, value):
    assert read_inputs(TYPES, [option], None) == {option.partition("=")[0]: value}


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("b=1", "b: expected true or false, found '1'"),
        ("i=5.0", "i: expected an integer, found '5.0'"),
        ("i=٣", "i: expected an integer"),
        ("n=x", "n: expected a number, found 'x'"),
        ("image=a.png", "image takes a file: write image=@a.png"),
        ("x=1", "the task has no input 'x'; its inputs are: b, i, "),
        ("i", "expected NAME=VALUE"),
        ("=1", "expected NAME=VALUE"),
        ("ints=1", "ints: expected a list"),
        ("ints=x", "ints: expected a JSON list"),
        ("g=@/none", "g: /none cannot be read: No such file"),
        ("image.geojson=@c", "goes with an image"),
        ("image=@", "image=@ names no file: write image=@FILE"),
        ("ints=@", "ints=@ names no file"),
    ],
)
def test_wrong_values_are_explained(option, message):
    with pytest.raises(errors.InvalidValue) as caught:
        read_inputs(TYPES, [option], None)
    assert message in str(caught.value)


def test_a_folder_is_sent_only_where_one_is_taken(tmp_path):
    image = task_pb2.ParameterType(image=task_pb2.ImageType())
    pngs = task_pb2.ParameterType(image=task_pb2.ImageType(formats=["png"]))
    assert read_inputs({"a": image}, [f"a=@{tmp_path}"], None) == {"a": LocalFile(path=tmp_path)}
    with pytest.raises(errors.InvalidValue, match=r"a takes one file, and .* is a folder"):
        read_inputs({"a": pngs}, [f"a=@{tmp_path}"], None)


@pytest.mark.parametrize("name", ["i", "ints", "rows", "image", "slides", "g"])
def test_null_in_a_list_of_inputs_means_not_given(name, tmp_path):
    listed = tmp_path / "inputs.json"
    listed.write_text(json.dumps([{"parameterName": name, "value": None}]))
    assert read_inputs(TYPES, [], listed) == {name: None}


def test_inputs_given_twice():
    with pytest.raises(errors.InvalidValue, match="--input i is given 2 times"):
        read_inputs(TYPES, ["i=1", "i=2"], None)
    inputs = read_inputs(TYPES, ["slides=@a", "slides=@b"], None)
    assert inputs == {"slides": [LocalFile(path=Path("a")), LocalFile(path=Path("b"))]}


def test_a_companion_goes_with_its_image():
    inputs = read_inputs(TYPES, ["image.geojson=@c", "image=@a"], None)
    assert inputs == {"image": LocalFile(path=Path("a"), companion=Path("c"))}


def test_a_folder_is_an_array_in_natural_order(tmp_path):
    for name in ("10.png", "9.png", "9.geojson", "b2.png", "b10.png", ".hidden"):
        (tmp_path / name).write_text("x")
    slides = read_inputs(TYPES, [f"slides=@{tmp_path}"], None)["slides"]
    assert [item.path.name for item in slides] == ["9.png", "10.png", "b2.png", "b10.png"]
    assert slides[0].companion == tmp_path / "9.geojson"
    assert slides[1].companion is None


@pytest.mark.rule("array.command-line")
def test_a_folder_is_an_array_of_values_and_of_arrays_too(tmp_path):
    for row, numbers in enumerate(([7, 8], [], [9])):
        (tmp_path / str(row)).mkdir()
        (tmp_path / str(row) / "array.yml").write_text(f"size: {len(numbers)}")
        for index, number in enumerate(numbers):
            (tmp_path / str(row) / str(index)).write_text(f" {number}\n")
    assert read_inputs(TYPES, [f"rows=@{tmp_path}"], None) == {"rows": [[7, 8], [], [9]]}
    assert read_inputs(TYPES, [f"ints=@{tmp_path}/0"], None) == {"ints": [7, 8]}
    (tmp_path / "0" / "2").write_text("0x10")
    with pytest.raises(errors.InvalidValue, match=r"^ints\[2\]: expected an integer"):
        read_inputs(TYPES, [f"ints=@{tmp_path}/0"], None)


@pytest.mark.rule("array.command-line")
def test_an_array_is_given_by_its_items_in_any_order(tmp_path):
    options = ["rows[1]=[9]", "rows[0][1]=8", "slides[1]=ref:/d/a.png", "rows[0][0]=7",
               "slides[0]=@b.png"]  # fmt: skip
    assert read_inputs(TYPES, options, None) == {
        "rows": [[7, 8], [9]],
        "slides": [LocalFile(path=Path("b.png")), Reference("/d/a.png")],
    }


@pytest.mark.rule("array.command-line")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["rows[0][0]=1", "rows[0][2]=1"], "rows[0][1] is missing"),
        (["ints[1]=1"], "ints[0] is missing"),
        (["ints[0]=1", "ints[0]=2"], "ints[0] is given 2 times"),
        (["rows[0]=[1]", "rows[0][1]=2"], "rows[0] is given whole and by its items"),
        (["ints=[1]", "ints[0]=2"], "ints is given whole and by its items"),
        (["i[0]=1"], "i is no array"),
        (["ints[0][0]=1"], "ints[0] is no array"),
    ],
)
def test_items_that_make_no_array_are_explained(options, message):
    with pytest.raises(errors.InvalidValue) as caught:
        read_inputs(TYPES, options, None)
    assert message in str(caught.value)


def test_geometries_and_arrays_from_files(tmp_path):
    (tmp_path / "one.geojson").write_text(POINT)
    (tmp_path / "all.json").write_text("[1, 2]")
    (tmp_path / "many.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "features": [1]})
    )
    assert read_inputs(TYPES, [f"g=@{tmp_path}/one.geojson"], None) == {"g": POINT}
    assert read_inputs(TYPES, [f"ints=@{tmp_path}/all.json"], None) == {"ints": [1, 2]}
    shapes = read_inputs(TYPES, [f"shapes=@{tmp_path}/many.geojson"], None)["shapes"]
    assert shapes == '{"type": "FeatureCollection", "features": [1]}'


def test_the_list_of_cytomine(tmp_path):
    document = tmp_path / "inputs.json"
    document.write_text(
        json.dumps(
            [
                {"parameterName": "i", "value": 3},
                {"param_name": "n", "value": "nan"},
                {"parameterName": "b", "value": None},
                {
                    "parameterName": "ints",
                    "value": [{"index": 1, "value": 8}, {"index": 0, "value": 7}],
                },
                {"parameterName": "image", "value": "/data/a.tif"},
                {"parameterName": "slides", "value": ["/data/b.tif", "@c.tif"]},
                {"parameterName": "s", "value": "from the file"},
            ]
        )
    )
    inputs = read_inputs(TYPES, ["s=wins"], document)
    assert math.isnan(inputs.pop("n"))
    assert inputs == {
        "i": 3,
        "b": None,
        "ints": [7, 8],
        "image": Reference("/data/a.tif"),
        "slides": [Reference("/data/b.tif"), LocalFile(path=tmp_path / "c.tif")],
        "s": "wins",
    }


def test_a_local_file_in_a_document_is_not_taken_for_a_dataset(tmp_path):
    (tmp_path / "a.tif").touch()
    document = tmp_path / "inputs.json"
    document.write_text('{"image": "a.tif"}')
    with pytest.raises(errors.InvalidValue, match=r'write "@a\.tif" for that one, or "ref:a\.tif"'):
        read_inputs(TYPES, [], document)
    document.write_text('{"image": "ref:a.tif"}')
    assert read_inputs(TYPES, [], document) == {"image": Reference("a.tif")}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "is no JSON"),
        ("5", "expected a list of inputs"),
        ("[5]", "item 0: expected an object with parameterName and value"),
        ('[{"parameterName": "i"}]', "item 0: expected"),
        ('[{"parameterName": "x", "value": 1}]', "no input 'x'"),
        (
            '[{"parameterName": "i", "value": 1}, {"parameterName": "i", "value": 1}]',
            "gives 'i' twice",
        ),
        (
            '[{"parameterName": "ints", "value": [{"index": 1, "value": 1}]}]',
            "the indexes are not 0 to 0, each once",
        ),
    ],
)
def test_wrong_documents_are_explained(tmp_path, document, message):
    path = tmp_path / "inputs.json"
    path.write_text(document)
    with pytest.raises(errors.InvalidValue) as caught:
        read_inputs(TYPES, [], path)
    assert message in str(caught.value)


def output(name: str, **value: object) -> run_service_pb2.ParameterValue:
    return run_service_pb2.ParameterValue(parameter=name, value=value_pb2.Value(**value))


def reference(path: str, format: str = "") -> value_pb2.FileReference:
    return value_pb2.FileReference(path=path, size_bytes=2048, format=format)


def test_outputs_as_people_open_them(tmp_path, capsys):
    types = {
        "count": typed("integer"),
        "mean": typed("number"),
        "outline": typed("geometry"),
        "overlay": typed("image"),
        "photo": typed("image"),
        "large": typed("geometry"),
        "shapes": typed("array/geometry"),
        "tiles": typed("array/image"),
        "missing": typed("string"),
    }
    (tmp_path / "outline").write_text(POINT)
    (tmp_path / "overlay").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "photo").write_bytes(b"\xff\xd8\xff\xe0")
    (tmp_path / "photo.jpg").write_bytes(b"an extra of the task")
    (tmp_path / "large").write_text(POINT)
    (tmp_path / "tiles").mkdir()
    (tmp_path / "tiles" / "0").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "shapes").mkdir()
    geometry = value_pb2.Value(geometry=POINT)
    outputs = [
        output("count", integer=17),
        output("mean", number=math.nan),
        output("outline", geometry=POINT),
        output("overlay", file=reference("overlay", "png")),
        output("photo", file=reference("photo")),
        output("large", file=reference("large", "geojson")),
        output("shapes", array=value_pb2.ArrayValue(items=[geometry] * 2)),
        output(
            "tiles",
            array=value_pb2.ArrayValue(items=[value_pb2.Value(file=reference("tiles/0"))]),
        ),
        run_service_pb2.ParameterValue(parameter="missing"),
    ]
    for _ in range(2):
        complete_folder(tmp_path, types, outputs)
    assert json.loads((tmp_path / "outputs.json").read_text()) == {
        "count": 17,
        "mean": "nan",
        "outline": json.loads(POINT),
        "overlay": "overlay",
        "photo": "photo",
        "large": json.loads(POINT),
        "shapes": [json.loads(POINT)] * 2,
        "tiles": ["tiles/0"],
        "missing": None,
    }
    links = {
        str(path.relative_to(tmp_path)): os.readlink(path)
        for path in tmp_path.rglob("*")
        if path.is_symlink()
    }
    assert links == {
        "outline.geojson": "outline",
        "overlay.png": "overlay",
        "large.geojson": "large",
        "tiles/0.png": "0",
    }
    assert (tmp_path / "photo.jpg").read_bytes() == b"an extra of the task"
    print_results(types, outputs, tmp_path)
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["OUTPUT", "TYPE", "VALUE"]
    assert table[1].split() == ["count", "integer", "17"]
    assert f"{tmp_path}/overlay.png (2.0 KiB)" in table[4]
    assert f"2 items in {tmp_path}/shapes" in table[7]


def test_logs_as_lines():
    lines = LogLines()
    assert lines.feed(b"a\r\nb 10%\rb 20%\nc\xc3") == ["a", "b 20%"]
    assert lines.feed(b"\xa9\n\x1b[31mred\x1b[0m\x07\n") == ["cé", "red�"]
    assert lines.feed(b"no end \xff") == []
    assert lines.end() == ["no end �"]
    assert lines.end() == []


@pytest.mark.parametrize(
    ("given", "sorted_"),
    [
        (["task", "list", "--json"], ["--json", "task", "list"]),
        (["run", "a:1", "--server", "h:1"], ["--server", "h:1", "run", "a:1"]),
        (["run", "--project=p", "a:1"], ["--project=p", "run", "a:1"]),
        (["run", "--", "--json"], ["run", "--", "--json"]),
        (["run", "--server"], ["run", "--server"]),
    ],
)
def test_common_options_may_stand_anywhere(given, sorted_):
    assert with_options_first(given) == sorted_


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidValue("x"), 2),
        (errors.LocalFileError("x"), 2),
        (errors.Unavailable("x", errors.Details(status="UNAVAILABLE")), 3),
        (errors.NotFound("x", errors.Details(status="NOT_FOUND")), 4),
        (errors.BrokenTransfer("x"), 4),
    ],
)
def test_exit_codes(error, code):
    assert exit_code_of(error) == code


def exit_of(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return int(caught.value.code or 0)


def test_an_unreachable_server_is_one_sentence(capsys):
    assert exit_of("task", "list", "--server", "127.0.0.1:1") == ExitCode.UNREACHABLE
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        "Error: the server 127.0.0.1:1 cannot be reached: Connection refused. See whether it runs, "
        "and whether this is its address (--server or APPENGINE_SERVER)\n"
    )


def test_errors_may_be_read_by_programs(capsys):
    assert exit_of("--json", "task", "list", "--server", "127.0.0.1:1") == ExitCode.UNREACHABLE
    said = capsys.readouterr()
    assert said.out == ""
    error = json.loads(said.err)["error"]
    assert error["status"] == "UNAVAILABLE"
    assert error["message"].startswith("the server 127.0.0.1:1 cannot be reached")
    assert exit_of("runs", "list", "--state", "ASLEEP", "--json") == ExitCode.USAGE
    assert "no state ASLEEP" in json.loads(capsys.readouterr().err)["error"]["message"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runs", "list", "--fast"], "No such option: --fast"),
        (["runs", "lst"], "No such command 'lst'"),
        (["run", "a:1"], "Missing option '--output-dir'"),
    ],
)
def test_wrong_usage_may_be_read_by_programs(arguments, message, capsys):
    assert exit_of("--json", *arguments) == ExitCode.USAGE
    last = capsys.readouterr().err.splitlines()[-1]
    assert message in json.loads(last)["error"]["message"]


def test_a_refusal_for_programs_has_every_problem(capsys):
    problem = errors.Problem(path="inputs.a", reason="NOT_INTEGER", message="no integer")
    details = errors.Details(
        status="INVALID_ARGUMENT", reason="VALUES", problems=[problem], problem_count=2
    )
    show_error_as_json(errors.InvalidArgument("wrong", details))
    assert json.loads(capsys.readouterr().err)["error"] == {
        "message": "wrong",
        "status": "INVALID_ARGUMENT",
        "reason": "VALUES",
        "problems": [{"path": "inputs.a", "reason": "NOT_INTEGER", "message": "no integer"}],
        "problemCount": 2,
        "requestId": "",
    }


def test_the_version(capsys):
    assert exit_of("--version") == ExitCode.SUCCESS
    assert capsys.readouterr().out.strip() == metadata.version("appengine-client")


def test_help_is_short_for_those_who_type(capsys):
    assert exit_of("runs", "list", "-h") == ExitCode.SUCCESS
    assert "List runs, newest first." in capsys.readouterr().out
    assert exit_of("--json", "runs", "--help") == ExitCode.SUCCESS


ON_A_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 1), (b"\x03", 130)])
def test_what_is_not_agreed_to_is_not_deleted(answer, code):
    command = [sys.executable, "-m", "appengine_client.cli", "runs", "delete", "00000000"]
    with subprocess.Popen(
        # A test run that was put into the background passes on that Ctrl-C is ignored.
        ["env", "--default-signal=INT", sys.executable, "-c", ON_A_TERMINAL, *command],
        env={**os.environ, "APPENGINE_SERVER": "127.0.0.1:1"},  # asking it would be another code
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    ) as asking:
        assert asking.stdin is not None
        assert asking.stdout is not None
        shown = b""
        while b"[y/N]" not in shown and (more := asking.stdout.read(1000)):
            shown += more
        asking.stdin.write(answer)
        while asking.poll() is None:  # readline may miss a Ctrl-C in the moment it begins to wait
            with contextlib.suppress(subprocess.TimeoutExpired):
                asking.wait(timeout=2)
                break
            asking.stdin.write(answer)
        assert asking.returncode == code


def test_wrong_usage(capsys):
    assert exit_of("runs", "list", "--state", "ASLEEP") == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "there is no state ASLEEP; the states are: CREATED, " in said
    assert said.endswith(", CANCELLED\n")
    assert exit_of("runs", "show", "mine") == ExitCode.USAGE
    assert "'mine' is no run: give its id, or the first 8" in capsys.readouterr().err
    assert exit_of("run") == ExitCode.USAGE
    assert exit_of("run", "a:1", "--output-dir", "o", "--label", "x") == ExitCode.USAGE
    assert exit_of("no-such-command") == ExitCode.USAGE


DESCRIPTOR = """\
$schema: https://cytomine.com/schema
name: Example
namespace: com.example
version: 1.0.0
authors: [{first_name: A, last_name: B, organization: C, email: a@b.org}]
configuration: {}
inputs:
  threshold:
    display_name: Threshold
    description: above it
    type: {id: integer, geq: 3, leq: 1}
outputs: {}
"""


def test_a_wrong_descriptor_is_shown_like_by_a_compiler(tmp_path, capsys):
    path = tmp_path / "descriptor.yml"
    path.write_text(DESCRIPTOR.replace("1.0.0", "one"))
    assert exit_of("task", "check", str(path)) == ExitCode.FAILED
    said = capsys.readouterr()
    assert f"{path}:4: error: version: " in said.out
    assert "error" in said.err


def test_a_bundle_is_checked(tmp_path, capsys):
    fine = DESCRIPTOR.replace("leq: 1", "leq: 5")
    bundle = tmp_path / "bundle.zip"
    with zipfile.ZipFile(bundle, "w") as zipped:
        zipped.writestr("descriptor.yml", fine)
    assert exit_of("task", "check", str(bundle)) == ExitCode.FAILED
    assert "holds no image" in capsys.readouterr().out
    with zipfile.ZipFile(bundle, "a") as zipped:
        zipped.writestr("image.tar", b"")
    assert exit_of("task", "check", str(bundle)) == ExitCode.SUCCESS
    assert "is fine: com.example:1.0.0, 1 input, 0 outputs" in capsys.readouterr().err
    with zipfile.ZipFile(bundle, "w") as zipped:
        zipped.writestr("folder/descriptor.yml", fine)
    assert exit_of("task", "check", str(bundle)) == ExitCode.USAGE
    assert "not as folder/descriptor.yml" in capsys.readouterr().err


def test_a_check_may_be_read_by_programs(tmp_path, capsys):
    path = tmp_path / "descriptor.yml"
    path.write_text(DESCRIPTOR.replace("1.0.0", "one"))
    assert exit_of("task", "check", str(path), "--json") == ExitCode.FAILED
    said = capsys.readouterr()
    shown = json.loads(said.out)
    assert said.err == ""
    assert (shown["path"], shown["task"]) == (str(path), "")
    assert ("version", 4) in {(problem["path"], problem["line"]) for problem in shown["problems"]}
    path.write_text(DESCRIPTOR.replace("leq: 1", "leq: 5"))
    assert exit_of("--json", "task", "check", str(path)) == ExitCode.SUCCESS
    shown = json.loads(capsys.readouterr().out)
    assert (shown["task"], shown["problems"]) == ("com.example:1.0.0", [])


def test_a_folder_is_checked_by_the_descriptor_in_it(tmp_path, capsys):
    assert exit_of("task", "check", str(tmp_path)) == ExitCode.USAGE
    assert f"{tmp_path} holds no descriptor.yml" in capsys.readouterr().err
    (tmp_path / "descriptor.yml").write_text(DESCRIPTOR.replace("1.0.0", "one"))
    assert exit_of("task", "check", str(tmp_path)) == ExitCode.FAILED
    assert f"{tmp_path}/descriptor.yml:4: error: version: " in capsys.readouterr().out


def test_what_is_neither_bundle_nor_descriptor_is_said_to_be_so(tmp_path, capsys):
    path = tmp_path / "image.tar"
    path.write_bytes(b"layer\0")
    assert exit_of("task", "check", str(path)) == ExitCode.USAGE
    assert f"{path} is neither a bundle (a zip" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"name: Example\n", b"PK\x03\x04 cut"])
def test_a_broken_zip_is_not_read_as_a_descriptor(tmp_path, capsys, content):
    path = tmp_path / "bundle.zip"
    path.write_bytes(content)
    assert exit_of("task", "check", str(path)) == ExitCode.USAGE
    assert f"{path} is no zip, or not the whole of one" in capsys.readouterr().err


async def test_ctrl_c_is_a_question():
    with Interrupts() as interrupts:
        assert await interrupts.unless_pressed(asyncio.sleep(0, "done")) == "done"
        lasting = asyncio.create_task(asyncio.sleep(60))
        asyncio.get_running_loop().call_later(0.01, os.kill, os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted):
            await interrupts.unless_pressed(lasting)
        assert not lasting.done()
        lasting.cancel()
        assert interrupts.ask() is Wish.LEAVE  # there is no terminal


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 * 2**30, "3.0 GiB")]
)
def test_sizes(count, text):
    assert size(count) == text


def test_help_loads_nothing_that_takes_long():
    code = (
        "import sys\nfrom appengine_client.cli.main import main\n"
        "try:\n    main(['run', '--help'])\nexcept SystemExit:\n    pass\n"
        "assert not {'asyncio', 'grpc', 'rich', 'google.protobuf'} & set(sys.modules), 'slow'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
