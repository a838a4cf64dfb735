"""sk_buff: clones share bytes and nothing else."""

import pytest

from stack.skbuff import SkBuff


def test_a_clone_has_its_own_headers_and_the_same_payload() -> None:
    freed: list[SkBuff] = []
    payload = bytes(100)
    skb = SkBuff(payload, head=b"tcp", cb=7, gso_size=50, destructor=freed.append, tstamp_tx=lambda stage, now: None)
    clone = skb.clone()
    clone.push(b"ip")
    skb.pull(10)
    assert (skb.head, len(skb.data)) == (b"tcp", 90)
    assert clone.head == b"iptcp"
    assert clone.data is payload
    assert (clone.cb, clone.gso_size) == (7, 50)
    assert clone.tstamp_tx is None, "a copy's way is not the packet's"
    clone.consume()
    assert freed == [], "the memory of the sender's socket is counted once"
    skb.consume()
    skb.consume()
    assert freed == [skb]


def test_linearize_keeps_the_bytes() -> None:
    skb = SkBuff(b"data", head=b"head")
    skb.linearize()
    assert (skb.head, skb.data, len(skb)) == (b"", b"headdata", 8)
    skb.linearize()
    assert skb.data == b"headdata"


def test_no_more_is_pulled_than_there_is() -> None:
    skb = SkBuff(b"data")
    with pytest.raises(ValueError, match="pull of 5 bytes from 4"):
        skb.pull(5)
    assert bytes(skb.pull(4)) == b"data"
    assert len(skb) == 0
