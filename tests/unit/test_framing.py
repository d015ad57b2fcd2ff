"""Hand-framed messages are what the generated classes read and write."""

from __future__ import annotations

import pytest
from appengine.v1 import storage_service_pb2 as storage_pb
from appengine.v1 import transfer_pb2 as pb
from appengine_server.rpc.framing import (
    DownloadFrame,
    DownloadHead,
    UploadBegin,
    UploadFrame,
    parse_upload_request,
    serialize_download_response,
)
from appengine_server.storage.tree import (
    Chunk,
    Digest,
    DigestAlgorithm,
    Entry,
    EntryKind,
    FileEnd,
    Place,
)
from hypothesis import given
from hypothesis import strategies as st

int64 = st.integers(-(2**63), 2**63 - 1)
uint32 = st.integers(0, 2**32 - 1)
text = st.text(st.characters(codec="utf-8"), max_size=30)

places = st.builds(Place, bytes=int64, entries=int64)
entries = st.builds(
    Entry,
    index=int64,
    path=text,
    kind=st.sampled_from(EntryKind),
    size_bytes=int64,
    mode=uint32,
    link_target=text,
)
digests = st.builds(
    Digest, algorithm=st.sampled_from(DigestAlgorithm), value=st.binary(max_size=40)
)
ends = st.builds(FileEnd, index=int64, crc32c=uint32, digest=st.none() | digests)
# Longer than what a length of two bytes can say.
long_data = st.binary(min_size=1, max_size=40).map(lambda part: (part * 20_000)[:20_000])
chunks = st.builds(
    Chunk,
    place=places,
    crc32c=uint32,
    entries=st.lists(entries, max_size=4).map(tuple),
    ends=st.lists(ends, max_size=4).map(tuple),
    data=st.binary(max_size=300) | long_data,
)


def to_message(chunk: Chunk) -> pb.Chunk:
    message = pb.Chunk(crc32c=chunk.crc32c, data=bytes(chunk.data))
    message.place.bytes, message.place.entries = chunk.place.bytes, chunk.place.entries
    for entry in chunk.entries:
        message.entries.add(
            index=entry.index,
            path=entry.path,
            kind=int(entry.kind),
            size_bytes=entry.size_bytes,
            mode=entry.mode,
            link_target=entry.link_target,
        )
    for end in chunk.ends:
        added = message.ends.add(index=end.index, crc32c=end.crc32c)
        if end.digest is not None:
            added.digest.algorithm = int(end.digest.algorithm)
            added.digest.value = end.digest.value
    return message


@given(chunks)
def test_a_chunk_is_read_as_the_generated_class_wrote_it(chunk):
    message = storage_pb.UploadRequest(chunk=to_message(chunk)).SerializeToString()
    assert parse_upload_request(message) == UploadFrame(chunk=chunk)


@given(chunks.filter(lambda chunk: len(chunk.data) > 0))
def test_the_payload_is_a_view_into_the_message(chunk):
    message = storage_pb.UploadRequest(chunk=to_message(chunk)).SerializeToString()
    frame = parse_upload_request(message)
    assert frame.chunk is not None
    assert isinstance(frame.chunk.data, memoryview)
    assert frame.chunk.data.obj is message


@given(st.none() | st.tuples(text, text), st.none() | chunks, st.none() | places)
def test_any_mix_of_fields_is_read(begin, chunk, finish):
    message = storage_pb.UploadRequest()
    if begin is not None:
        message.begin.upload_id, message.begin.writer_id = begin
        message.begin.SetInParent()
    if chunk is not None:
        message.chunk.CopyFrom(to_message(chunk))
    if finish is not None:
        message.finish.end.bytes, message.finish.end.entries = finish.bytes, finish.entries
        message.finish.SetInParent()
    assert parse_upload_request(message.SerializeToString()) == UploadFrame(
        begin=UploadBegin(upload_id=begin[0], writer_id=begin[1]) if begin is not None else None,
        chunk=chunk,
        finish=finish,
    )


@given(st.none() | st.tuples(text, places), st.none() | chunks)
def test_the_generated_class_reads_what_is_written(head, chunk):
    frame = DownloadFrame(
        head=DownloadHead(etag=head[0], end=head[1]) if head is not None else None, chunk=chunk
    )
    message = storage_pb.DownloadResponse.FromString(serialize_download_response(frame))
    assert message.HasField("header") == (head is not None)
    if head is not None:
        assert message.header.etag == head[0]
        assert (message.header.end.bytes, message.header.end.entries) == (
            head[1].bytes,
            head[1].entries,
        )
    assert message.HasField("chunk") == (chunk is not None)
    if chunk is not None:
        assert message.chunk == to_message(chunk)


@given(chunks, st.permutations(range(5)))
def test_fields_may_come_in_any_order(chunk, order):
    whole = to_message(chunk)
    fields = [
        pb.Chunk(place=whole.place),
        pb.Chunk(crc32c=whole.crc32c),
        pb.Chunk(entries=whole.entries),
        pb.Chunk(ends=whole.ends),
        pb.Chunk(data=whole.data),
    ]
    body = b"".join(fields[index].SerializeToString() for index in order)
    assert parse_upload_request(framed(body)) == UploadFrame(chunk=chunk)


@given(chunks, st.integers(6, 14), st.binary(max_size=20))
def test_unknown_fields_are_skipped(chunk, number, value):
    unknown = bytes([number << 3 | 2, len(value)]) + value
    varint = bytes([number << 3, 0x96, 0x01])
    fixed = bytes([number << 3 | 1]) + b"12345678"
    known = to_message(chunk).SerializeToString()
    for body in (unknown + known, known + unknown, varint + known, known + fixed):
        assert parse_upload_request(framed(body)) == UploadFrame(chunk=chunk)


@given(chunks, chunks)
def test_a_field_sent_twice_is_merged_as_protobuf_does(first, second):
    message = b"".join(
        storage_pb.UploadRequest(chunk=to_message(chunk)).SerializeToString()
        for chunk in (first, second)
    )
    merged = storage_pb.UploadRequest.FromString(message).chunk
    frame = parse_upload_request(message)
    assert frame.chunk is not None
    assert to_message(frame.chunk) == merged


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(message):
    try:
        frame = parse_upload_request(message)
    except ValueError:
        return
    storage_pb.UploadRequest.FromString(message)
    assert isinstance(frame, UploadFrame)


@given(chunks, st.data())
def test_a_damaged_message_is_refused_or_read_as_protobuf_does(chunk, data):
    message = bytearray(storage_pb.UploadRequest(chunk=to_message(chunk)).SerializeToString())
    where = data.draw(st.integers(0, min(len(message), 200) - 1))
    message[where] = data.draw(st.integers(0, 255))
    try:
        frame = parse_upload_request(bytes(message))
    except ValueError:
        return
    expected = storage_pb.UploadRequest.FromString(bytes(message))
    assert expected.HasField("chunk") == (frame.chunk is not None)
    if frame.chunk is not None:
        assert to_message(frame.chunk).data == expected.chunk.data
        assert frame.chunk.place.entries == expected.chunk.place.entries
        assert [entry.path for entry in frame.chunk.entries] == [
            entry.path for entry in expected.chunk.entries
        ]


@given(chunks, st.data())
def test_a_cut_message_is_refused_or_read_as_protobuf_does(chunk, data):
    message = storage_pb.UploadRequest(chunk=to_message(chunk)).SerializeToString()
    cut = message[: data.draw(st.integers(1, len(message) - 1))]
    with pytest.raises(ValueError, match="not an UploadRequest"):
        parse_upload_request(cut)


@pytest.mark.parametrize(
    "message",
    [
        pb.Chunk(entries=[pb.Entry(path="x", kind=pb.ENTRY_KIND_UNSPECIFIED)]),
        pb.Chunk(entries=[pb.Entry(path="x", kind=9)]),
        pb.Chunk(ends=[pb.FileEnd(digest=pb.Digest(algorithm=7, value=b"x"))]),
    ],
)
def test_unknown_kinds_are_refused(message):
    with pytest.raises(ValueError, match="unknown"):
        parse_upload_request(storage_pb.UploadRequest(chunk=message).SerializeToString())


def framed(body: bytes) -> bytes:
    size, length = len(body), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return b"\x12" + bytes(length) + body
