"""Settings, retries and errors of the connection."""

from __future__ import annotations

import grpc
import pytest
import trustme
from appengine.v1 import problem_pb2
from appengine.v1.storage_service_pb2 import GetUploadRequest
from appengine.v1.storage_service_pb2_grpc import add_StorageServiceServicer_to_server
from appengine_client import connect, errors, sync
from appengine_client._api.names import task_name
from appengine_client._api.refusals import with_all_problems
from appengine_client._rpc.retries import Backoff, UnaryRetries, call_with_retries
from appengine_client._rpc.settings import parse_address, read_settings
from appengine_client._rpc.statuses import from_rpc_error
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2


@pytest.mark.parametrize(
    ("address", "target", "tls"),
    [
        ("host:1", "host:1", False),
        ("host", "host:8080", False),
        ("http://host:1/path", "host:1", False),
        ("grpc://host:1", "host:1", False),
        ("https://host", "host:443", True),
        ("GRPCS://host:9/", "host:9", True),
        ("[::1]:1", "[::1]:1", False),
        ("[::1]", "[::1]:8080", False),
    ],
)
def test_addresses(address, target, tls):
    assert parse_address(address) == (target, tls)


@pytest.mark.parametrize(
    "address", ["ftp://host:1", "http://", "https:///x", "host:x", "host:", "host:99999"]
)
def test_wrong_addresses(address):
    with pytest.raises(errors.InvalidValue, match="server address"):
        parse_address(address)


@pytest.mark.parametrize("content", ["abc\ndef\n", "abc alice lab", "abç", "a\x00b"])
def test_a_token_that_no_header_can_carry_is_refused(tmp_path, content):
    (tmp_path / "token").write_text(content)
    for given in (
        {"environment": {"APPENGINE_TOKEN_FILE": str(tmp_path / "token")}},
        {"environment": {"APPENGINE_TOKEN": content}},
        {"environment": {}, "token": content},
    ):
        with pytest.raises(errors.InvalidValue, match="one token alone"):
            read_settings(**given)


PEM = b"-----BEGIN CERTIFICATE-----\n"


def test_a_file_without_a_certificate_is_named(tmp_path):
    (tmp_path / "slide.png").write_bytes(b"\x89PNG")
    with pytest.raises(errors.InvalidValue, match=r"slide.png .* holds no PEM certificate"):
        read_settings(ca_certificate=tmp_path / "slide.png")


def test_the_environment_completes_settings(tmp_path):
    (tmp_path / "token").write_text("abc\n")
    (tmp_path / "ca.pem").write_bytes(PEM)
    environment = {
        "APPENGINE_SERVER": "host:1",
        "APPENGINE_TOKEN_FILE": str(tmp_path / "token"),
        "APPENGINE_CA_FILE": str(tmp_path / "ca.pem"),
        "APPENGINE_PROJECT": "p",
    }
    settings = read_settings(environment=environment)
    assert (settings.target, settings.token, settings.project) == ("host:1", "abc", "p")
    assert (settings.tls, settings.ca_certificate) == (True, PEM)
    given = read_settings(server="other:2", token="t", project="", environment=environment)
    assert (given.target, given.token, given.project) == ("other:2", "t", "")
    with pytest.raises(errors.InvalidValue, match="token file /none cannot be read"):
        read_settings(environment={"APPENGINE_TOKEN_FILE": "/none"})


@pytest.mark.parametrize("wrong", ["", ":1", "ns:", "nuclei"])
def test_names_of_tasks(wrong):
    assert task_name("com.x:1.0.0", "p").namespace == "com.x"
    assert task_name("0190a3c0-0000-7000-8000-000000000000").id
    with pytest.raises(errors.InvalidValue, match="NAMESPACE:VERSION"):
        task_name(wrong)


def refusal(code: grpc.StatusCode, text: str, *details: object) -> grpc.aio.AioRpcError:
    status = status_pb2.Status(code=code.value[0], message=text)
    for detail in details:
        status.details.add().Pack(detail)
    trailers = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, text)


def test_errors_carry_what_the_server_told():
    violation = error_details_pb2.BadRequest.FieldViolation(
        field="probs[17]", reason="NOT_NUMBER", description="found 'x'"
    )
    error = from_rpc_error(
        refusal(
            grpc.StatusCode.INVALID_ARGUMENT,
            "two values are wrong",
            error_details_pb2.ErrorInfo(
                reason="VALUES", metadata={"more_problems": "1", "run": "r"}
            ),
            error_details_pb2.BadRequest(field_violations=[violation]),
            error_details_pb2.RetryInfo(retry_delay=Duration(seconds=2)),
        ),
        "host:1",
        "id",
    )
    assert isinstance(error, errors.InvalidArgument)
    assert error.message == "two values are wrong"
    assert (error.status, error.reason, error.fields) == (
        "INVALID_ARGUMENT",
        "VALUES",
        {"run": "r"},
    )
    assert error.problems == (
        errors.Problem(path="probs[17]", reason="NOT_NUMBER", message="found 'x'"),
    )
    assert error.details.problem_count == 2
    assert error.retry_after_seconds == 2
    assert error.details.request_id == "id"


def test_what_the_network_says_names_the_server():
    unreachable = from_rpc_error(
        grpc.aio.AioRpcError(
            grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "refused"
        ),
        "host:1",
    )
    assert isinstance(unreachable, errors.Unavailable)
    assert str(unreachable).startswith("the server host:1 cannot be reached: refused. See whether")


async def test_problems_that_did_not_fit_are_asked_for():
    shown = errors.Problem(path="a", reason="R", message="m")
    details = errors.Details(status="INVALID_ARGUMENT", problems=(shown,), problem_count=3)

    async def call():
        raise errors.InvalidArgument("three are wrong", details)

    async def validate():
        return [problem_pb2.Problem(path=name, message="m") for name in "abc"]

    with pytest.raises(errors.InvalidArgument) as caught:
        await with_all_problems(call, validate)
    assert [problem.path for problem in caught.value.problems] == ["a", "b", "c"]
    assert str(caught.value) == "three are wrong\n  a: m\n  b: m\n  c: m"


def test_an_error_as_text_lists_the_problems_it_does_not_say_itself():
    problems = [errors.Problem(path="a", reason="R", message=text) for text in ("wrong", "m")]
    details = errors.Details(status="INVALID_ARGUMENT", problems=problems, problem_count=4)
    assert str(errors.InvalidArgument("wrong", details)) == "wrong\n  a: m\n  … and 2 more"


def failing(*errors_to_raise):
    left = list(errors_to_raise)
    timeouts = []

    async def call(timeout_seconds):
        timeouts.append(timeout_seconds)
        if left:
            raise left.pop(0)
        return "done"

    return call, timeouts


def of_status(status: str, retry_after: float | None = None) -> errors.ServerError:
    details = errors.Details(status=status, retry_after_seconds=retry_after)
    kind = errors.Unavailable if status == "UNAVAILABLE" else errors.ServerFailed
    return kind(status, details)


QUICK = UnaryRetries(backoff=Backoff(first_seconds=0.001, cap_seconds=0.002))


@pytest.mark.parametrize(
    ("raised", "tries", "succeeds"),
    [
        ([], 1, True),
        (["UNAVAILABLE"] * 3, 4, True),
        (["UNAVAILABLE"] * 4, 4, False),
        (["INTERNAL"], 2, True),
        (["INTERNAL"] * 2, 2, False),
        (["DEADLINE_EXCEEDED"], 2, True),
        (["NOT_FOUND"], 1, False),
        (["RESOURCE_EXHAUSTED"], 1, False),
        (["ABORTED"], 1, False),
    ],
)
async def test_what_is_tried_again(raised, tries, succeeds):
    call, timeouts = failing(*map(of_status, raised))
    if succeeds:
        assert await call_with_retries(call, QUICK) == "done"
    else:
        with pytest.raises(errors.ServerError):
            await call_with_retries(call, QUICK)
    assert len(timeouts) == tries
    assert timeouts == sorted(timeouts, reverse=True)


async def test_the_servers_hint_is_followed():
    call, timeouts = failing(of_status("RESOURCE_EXHAUSTED", retry_after=0.05))
    assert await call_with_retries(call, QUICK) == "done"
    assert timeouts[0] - timeouts[1] >= 0.05
    call, timeouts = failing(of_status("UNAVAILABLE", retry_after=60))
    with pytest.raises(errors.Unavailable):
        await call_with_retries(call, QUICK)
    assert len(timeouts) == 1


def test_pauses_grow_and_are_capped():
    backoff = Backoff()
    longest = [max(backoff.pause_seconds(n) for _ in range(200)) for n in (1, 2, 3, 10, 10_000)]
    assert longest[0] <= 0.1
    assert longest[1] <= 0.2
    assert longest[2] <= 0.4
    assert 3 < longest[3] <= 5
    assert 3 < longest[4] <= 5


def test_the_blocking_client_calls_and_closes(free_port_server):
    with sync.connect(free_port_server) as client:
        assert client.uploads.get("u").id == "u"
        with pytest.raises(errors.ServerFailed):
            client.capabilities()
        with pytest.raises(errors.ServerFailed):
            list(client.runs.list())


async def test_tls_is_used_with_a_ca(storage, tmp_path):
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    server = grpc.aio.server()
    credentials = grpc.ssl_server_credentials(
        [(certificate.private_key_pem.bytes(), certificate.cert_chain_pems[0].bytes())]
    )
    add_StorageServiceServicer_to_server(storage, server)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    pem = authority.cert_pem.bytes()
    async with connect(f"127.0.0.1:{port}", ca_certificate=pem) as client:
        assert (await client.uploads.get("u")).id == "u"
    assert "is not trusted: give the PEM file" in await refusal_of(f"https://127.0.0.1:{port}")
    assert f"use https://127.0.0.1:{port}" in await refusal_of(f"127.0.0.1:{port}")
    assert "is no PEM certificate" in await refusal_of(f"https://127.0.0.1:{port}", b"nonsense")
    named = await refusal_of(f"https://localhost:{port}", pem)
    assert "is not for this name: call the server by the name" in named
    await server.stop(0)


async def test_a_wrong_certificate_is_told_though_the_name_has_other_addresses(storage):
    certificate = trustme.CA().issue_cert("localhost")
    server = grpc.aio.server()
    pair = (certificate.private_key_pem.bytes(), certificate.cert_chain_pems[0].bytes())
    add_StorageServiceServicer_to_server(storage, server)
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    await server.start()
    async with connect(f"https://localhost:{port}") as client:  # ::1 refuses
        with pytest.raises(errors.Unavailable, match="is not trusted") as caught:
            await client.capabilities()
    assert caught.value.reason == "TLS"
    await server.stop(0)


async def refusal_of(server: str, ca_certificate: bytes | None = None) -> str:
    """What one call says that does not come through."""
    request = GetUploadRequest(upload_id="u")
    async with connect(server, ca_certificate=ca_certificate) as client:
        with pytest.raises(errors.Unavailable) as caught:
            await client.connection.call(
                client.uploads._stub.GetUpload, request, retries=UnaryRetries(attempts=1)
            )
    return caught.value.message


async def test_a_name_that_nobody_knows():
    said = await refusal_of("engine.invalid:8080")
    assert "the server engine.invalid:8080 cannot be reached: nobody knows this name. See" in said


async def test_tls_towards_a_server_without_it(connection):
    said = await refusal_of(f"https://{connection.target}")
    assert f"does not speak TLS: use http://{connection.target}" in said
