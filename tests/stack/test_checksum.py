"""The Internet checksum against scapy's, which sums word by word."""

from hypothesis import given
from hypothesis import strategies as st
from scapy.utils import checksum as reference

from stack.checksum import checksum, fold, is_valid, pseudo_header, store, sum_of_words


@given(st.binary(max_size=300))
def test_like_scapy(data: bytes) -> None:
    assert checksum(data) == reference(data)
    assert checksum(memoryview(data)) == checksum(bytearray(data)) == checksum(data)


@given(st.binary(max_size=300))
def test_word_by_word(data: bytes) -> None:
    assert 0xFFFF - fold(sum_of_words(data)) == checksum(data)


@given(st.binary(max_size=200), st.binary(max_size=200).filter(lambda head: len(head) % 2 == 0))
def test_initial_sum_continues(data: bytes, head: bytes) -> None:
    assert checksum(data, 0xFFFF - checksum(head)) == reference(head + data)


def test_long_and_edge_cases() -> None:
    assert checksum(b"") == 0xFFFF
    assert checksum(bytes(100)) == 0xFFFF
    assert checksum(b"\xff" * 100) == 0
    assert checksum(b"\xff\xfe\x00\x01") == 0
    assert checksum(bytes(range(256)) * 256) == reference(bytes(range(256)) * 256)
    assert fold(0) == 0
    assert fold(0xFFFF) == fold(0x1FFFE) == 0xFFFF
    assert fold(0x10000) == 1


@given(st.binary(min_size=4, max_size=100), st.integers(0, 0xFFFF), st.integers(0, 7))
def test_valid_until_a_bit_flips(data: bytes, initial: int, bit: int) -> None:
    field = store(data, 2, 0)
    complete = store(field, 2, checksum(field, initial))
    assert is_valid(complete, initial)
    damaged = bytearray(complete)
    damaged[0] ^= 1 << bit
    assert not is_valid(bytes(damaged), initial)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 255), st.integers(0, 65535))
def test_pseudo_header(source: int, destination: int, protocol: int, length: int) -> None:
    packed = source.to_bytes(4, "big") + destination.to_bytes(4, "big") + bytes((0, protocol))
    assert 0xFFFF - pseudo_header(source, destination, protocol, length) == reference(
        packed + length.to_bytes(2, "big")
    )
