from __future__ import annotations

import pytest
from appengine_contract.quantities import QuantityError, file_size_bytes, memory_bytes


@pytest.mark.rule("quantity.memory", "quantity.exact")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4Gi", 4 * 2**30),
        ("1.5Gi", 1610612736),
        ("512Mi", 512 * 2**20),
        ("1 Gi", 2**30),
        ("2k", 2000),
        ("3G", 3 * 10**9),
        ("1Ei", 2**60),
        ("0.0000001k", 1),  # rounded up to a byte
        ("0.1Gi", 107374183),  # 107374182.4, and exact: no float is in between
    ],
)
def test_memory_is_read_as_kubernetes_reads_it(text: str, expected: int) -> None:
    assert memory_bytes(text) == expected


@pytest.mark.rule("quantity.memory")
@pytest.mark.parametrize(
    "text",
    [
        "12GiB",
        "12",
        "500m",
        "1e9",
        "1Zi",
        "1Yi",
        "1Z",
        "1Y",
        "1R",
        "1Q",
        "1K",
        "1gi",
        "",
        "-1Gi",
        "0Gi",
        "01Gi",
        "1  Gi",
        "1Gi\n",
        "8Ei",
        "\u0661Gi",
    ],
)
def test_what_is_no_amount_of_memory_is_refused(text: str) -> None:
    with pytest.raises(QuantityError):
        memory_bytes(text)


@pytest.mark.rule("quantity.hint")
def test_the_refusal_says_what_to_write() -> None:
    with pytest.raises(QuantityError, match="write `12Gi`"):
        memory_bytes("12GiB")
    with pytest.raises(QuantityError, match="has no unit"):
        memory_bytes("12")


@pytest.mark.rule("quantity.file-size")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100Mi", 100 * 2**20),
        ("100 MiB", 100 * 2**20),
        ("100MB", 10**8),
        ("4096", 4096),
        ("9b", 2),  # bits, rounded up to bytes
        ("1 kbit", 125),
        ("2Byte", 2),
        ("0", 0),
        ("1Zi", 2**63 - 1),
    ],
)
def test_file_sizes_take_bytes_and_bits(text: str, expected: int) -> None:
    assert file_size_bytes(text) == expected


@pytest.mark.rule("quantity.file-size")
@pytest.mark.parametrize("text", ["", "MB", "10 megabytes", "1,5M", "-1", "1e3", "0x10"])
def test_what_is_no_file_size_is_refused(text: str) -> None:
    with pytest.raises(QuantityError):
        file_size_bytes(text)


@pytest.mark.rule("quantity.exact")
def test_an_endless_number_is_refused_without_being_computed() -> None:
    with pytest.raises(QuantityError):
        memory_bytes("1" * 1_000_000 + "Gi")
