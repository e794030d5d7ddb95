"""
Frames are found again whole, whatever happened to others.
"""

from __future__ import annotations

import zlib

from hypothesis import given
from hypothesis import strategies as st

from structlog_activity.write.spool.frames import HEAD, checksum, frame, scan
from structlog_activity.write.spool.rowbytes import encode
from tests.write.doubles import row


SEED = 0x5EED
BODIES = st.lists(st.binary().map(lambda rest: b"\x01" + rest), max_size=8)


def written(bodies: list[bytes], seed: int = SEED) -> bytes:
    return b"".join(frame(body, seed) for body in bodies)


def found(view: bytes, start: int = 0, seed: int = SEED) -> list[bytes | None]:
    return [body for _, _, body in scan(view, start, seed)]


@given(BODIES, st.integers(0, 40))
def test_what_was_written_is_found(bodies: list[bytes], room: int) -> None:
    assert found(written(bodies) + bytes(room)) == bodies


@given(BODIES, st.data())
def test_a_frame_that_is_cut_off_is_damaged_and_those_before_are_whole(
    bodies: list[bytes], data: st.DataObject
) -> None:
    view = written(bodies)
    cut = data.draw(st.integers(0, len(view)))
    intact = [body for body in found(view[:cut]) if body is not None]
    assert bodies[: len(intact)] == intact
    assert sum(map(len, intact)) + len(intact) * HEAD <= cut


@given(BODIES.filter(bool), st.data())
def test_a_flipped_bit_costs_one_frame(bodies: list[bytes], data: st.DataObject) -> None:
    view = bytearray(written(bodies) + bytes(HEAD))
    bit = data.draw(st.integers(0, (len(view) - HEAD) * 8 - 1))
    view[bit // 8] ^= 1 << bit % 8
    ends, at = [], 0
    for body in bodies:
        at += HEAD + len(body)
        ends.append(at)
    struck = next(index for index, end in enumerate(ends) if bit // 8 < end)
    left = [*bodies[:struck], None, *bodies[struck + 1 :]]
    assert found(bytes(view)) == left


@given(st.binary(max_size=2000))
def test_garbage_holds_no_frame_and_ends(garbage: bytes) -> None:
    offsets = [at for at, _, body in scan(garbage, 0, SEED)]
    assert offsets == sorted(set(offsets))
    assert not any(found(garbage))


def test_a_frame_of_another_file_is_damage() -> None:
    assert found(written([b"\x01abc"], seed=1) + written([b"\x01own"])) == [None, b"\x01own"]


def test_a_frame_within_a_record_is_not_found_even_behind_damage() -> None:
    inner = frame(encode(row(2)), 0).decode("latin-1")
    view = bytearray(written([b"\x01" + inner.encode("latin-1"), b"\x01next"]))
    view[0] ^= 4
    assert found(bytes(view)) == [None, b"\x01next"]


def test_a_hostile_file_is_given_up_in_time() -> None:
    """Each of its bytes may start a frame that is nearly as long as the file."""
    view = b"\x01\x00\x38\x00" * 1_000_000
    assert found(view) == [None]


def test_the_checksum_of_a_large_body_is_that_of_its_pieces_together() -> None:
    for size in (1, 5119, 5120, 5121, 10240, 100_001):
        body = bytes(range(256)) * (size // 256 + 1)
        assert checksum(body[:size], SEED) == zlib.crc32(body[:size], SEED)
