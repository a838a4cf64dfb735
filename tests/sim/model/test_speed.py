"""What the benchmarks of the model's speed rest on: all frames come through, and memory does not grow with time."""

from sim.minimum_frames import held_memory, receive_minimum_frames, send_minimum_frames


def test_all_frames_are_received() -> None:
    result = receive_minimum_frames(2_000)
    assert result.frames == 2048
    assert result.simulated == 16 * (128 * 84 * 8 + 30_000)


def test_frames_are_sent() -> None:
    result = send_minimum_frames(500)
    assert result.frames >= 500
    # As many as the transmit buffer holds, and the one on the wire, may still be inside.
    assert result.simulated >= (500 - 66) * 84 * 8


def test_memory_does_not_grow_with_simulated_time() -> None:
    held = held_memory(12, 300)
    assert max(held[6:]) <= max(held[:6]) + 20_000
