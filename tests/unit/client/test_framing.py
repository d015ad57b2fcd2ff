"""What is framed by hand is what the generated classes write and read."""

from __future__ import annotations

import pytest
from appengine.v1 import storage_service_pb2 as pb
from appengine.v1 import transfer_pb2
from appengine_client._transfer import framing
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

places = st.builds(transfer_pb2.Place, bytes=st.integers(0, 2**62), entries=st.integers(0, 2**40))
entries = st.builds(
    transfer_pb2.Entry,
    index=st.integers(0, 2**40),
    path=st.text(max_size=20),
    kind=st.sampled_from([0, 1, 2, 3]),
    size_bytes=st.integers(0, 2**62),
    mode=st.integers(0, 0o777),
    link_target=st.text(max_size=5),
)
ends = st.builds(
    transfer_pb2.FileEnd, index=st.integers(0, 2**40), crc32c=st.integers(0, 2**32 - 1)
)
heads = st.builds(
    transfer_pb2.Chunk,
    place=places,
    crc32c=st.integers(0, 2**32 - 1),
    entries=st.lists(entries, max_size=4),
    ends=st.lists(ends, max_size=4),
)
payloads = st.lists(st.binary(max_size=300), max_size=4)


@given(heads, payloads)
def test_an_upload_is_read_by_generated_classes(head, payload):
    expected = transfer_pb2.Chunk()
    expected.CopyFrom(head)
    expected.data = b"".join(payload)
    message = framing.chunk_message(head, payload)
    assert message == pb.UploadRequest(chunk=expected).SerializeToString()


@given(heads, st.binary(min_size=1, max_size=300), st.integers(0, 2**32 - 1))
def test_an_upload_that_was_read_into_its_place_is_the_same(head, payload, crc):
    head.crc32c = 1
    room = framing.ChunkRoom(head, len(payload))
    room.payload[:] = payload
    head.crc32c = crc
    assert room.close(head) == framing.chunk_message(head, [payload])


@given(heads, st.binary(max_size=300), st.booleans())
def test_a_download_of_generated_classes_is_read(head, data, with_header):
    response = pb.DownloadResponse(chunk=head)
    response.chunk.data = data
    if with_header:
        response.header.etag = "e"
    frame = framing.read_download(response.SerializeToString())
    assert frame.chunk == head
    assert frame.data == data
    assert (frame.header is not None) == with_header


def test_a_header_alone_has_no_chunk():
    response = pb.DownloadResponse(header=pb.DownloadHeader(etag="e"))
    frame = framing.read_download(response.SerializeToString())
    assert frame.chunk is None
    assert frame.header is not None
    assert frame.header.etag == "e"
    assert framing.read_download(b"").chunk is None


def test_fields_of_a_later_version_are_skipped():
    chunk = transfer_pb2.Chunk(crc32c=1, data=b"abc").SerializeToString()
    later = chunk + b"\x80\x01\x05" + b"\x8a\x01\x02hi" + b"\x95\x01abcd" + b"\x99\x01abcdefgh"
    message = b"\x12" + framing.varint(len(later)) + later
    frame = framing.read_download(message)
    assert frame.data == b"abc"
    assert frame.chunk is not None
    assert frame.chunk.crc32c == 1


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_cut_message_is_an_error(cut):
    chunk = transfer_pb2.Chunk(crc32c=1, data=b"abcdef")
    message = pb.DownloadResponse(chunk=chunk).SerializeToString()
    with pytest.raises((ValueError, DecodeError)):
        framing.read_download(message[:-cut])


def test_begin_and_finish():
    begin = pb.UploadRequest.FromString(framing.begin_message("u", "w"))
    assert (begin.begin.upload_id, begin.begin.writer_id) == ("u", "w")
    end = transfer_pb2.Place(bytes=5, entries=1)
    assert pb.UploadRequest.FromString(framing.finish_message(end)).finish.end == end
