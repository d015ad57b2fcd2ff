"""Takes the camel-case names out of a descriptor set on stdin; see scripts/build-protoset.

Without them tools print the names of protos/, as they do with the server's reflection.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorSet


def clear_json_names(messages: Iterable[DescriptorProto]) -> None:
    """In these messages, and in those that are declared in them."""
    for message in messages:
        for field in message.field:
            field.ClearField("json_name")
        clear_json_names(message.nested_type)


descriptors = FileDescriptorSet.FromString(sys.stdin.buffer.read())
for file in descriptors.file:
    clear_json_names(file.message_type)
sys.stdout.buffer.write(descriptors.SerializeToString())
