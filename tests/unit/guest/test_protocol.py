"""What a guest may do to the serial line: noise, floods, replays, lies. Never an exception."""

from __future__ import annotations

import json
import time
import tracemalloc
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from provisioner.guest.listener import KEPT_FRAMES, Listener
from provisioner.guest.protocol import (
    LONGEST_LINE,
    Decoder,
    Frame,
    Noise,
    Numbering,
    decode,
    encode,
)
from tests.fakes.serial import FakeSerialLog
from tests.standin.setup.serial_report import frame as standins_frame

READY = {"event": "ready"}
PAYLOADS = st.dictionaries(
    st.text(max_size=8),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=6,
    ),
    max_size=5,
).map(lambda members: {**members, "event": str(members.get("event", "stage"))})


def fed(data: bytes, *cuts: int) -> list[Frame | Noise]:
    """What a decoder makes of the bytes, cut at these places."""
    decoder, items, start = Decoder(), [], 0
    for cut in (*sorted(cuts), len(data)):
        items += decoder.feed(data[start:cut])
        start = max(start, cut)
    return items


def signed(sequence: str, body: str) -> bytes:
    """A frame whose checksum holds, whatever is in it."""
    crc = zlib.crc32(f"{sequence} {body}".encode())
    return f"PROVISIONER/1 {sequence} {crc:08x} {body}".encode()


@settings(max_examples=60, deadline=None)
@given(
    frames=st.lists(st.tuples(st.integers(1, 10**9), PAYLOADS), min_size=1, max_size=5),
    noise=st.binary(max_size=60).map(lambda data: data.translate(None, b"\r\nP")),
    cuts=st.lists(st.integers(0, 900), max_size=6),
)
def test_frames_survive_noise_and_any_cut(
    frames: list[tuple[int, dict[str, object]]], noise: bytes, cuts: list[int]
) -> None:
    data = b"".join(
        noise + encode(number, payload) + b"\r" + noise + b"\n" for number, payload in frames
    )
    found = [item for item in fed(data, *cuts) if isinstance(item, Frame)]
    assert [(item.sequence, dict(item.payload)) for item in found] == frames


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=200), st.sampled_from([
    b"PROVISIONER/1 ", b"\x1b[", b"\r", b"\n", b"{}", b"\x1b[31m", encode(1, READY),
    signed("1", '{"event":"stage","stage":' + "[" * 40 + "]" * 40 + "}"),
    signed("1", '{"event":"ready","x":NaN}'),
    signed("1", '{"event":"ready","x":1e999}'),
    signed("1", '{"event":"stage","stage":"\\ud800"}'),
    signed("7", '{"event":"failed","stage":{"a":[1]},"message":7}'),
])), max_size=12), st.lists(st.integers(0, 600), max_size=5))  # fmt: skip
def test_nothing_a_guest_writes_raises(pieces: list[bytes], cuts: list[int]) -> None:
    """And how it is cut makes no difference."""
    data = b"".join(pieces)
    assert fed(data, *cuts) == fed(data)
    log = FakeSerialLog()
    listener = Listener(log)
    for piece in pieces:
        log.write(piece)
        for news in listener.hear():
            if news.frame is not None:
                json.dumps(dict(news.frame.payload), allow_nan=True)
                assert len(news.frame.text("stage")) <= 1000
    assert listener.heard.stage


def test_what_the_stand_in_writes_is_understood() -> None:
    """It was written from the same page by other hands."""
    line = standins_frame(3, {"event": "stage", "stage": "image", "x": "ü"})
    (item,) = fed(line.encode() + b"\n")
    assert isinstance(item, Frame)
    assert (item.sequence, item.payload["x"]) == (3, "ü")


@pytest.mark.parametrize(
    "line",
    [
        encode(1, READY).replace(b"ready", b"reody"),
        encode(1, READY).strip()[:-1],
        encode(1, READY).replace(b" 1 ", b" 0 ", 1),
        signed("01", '{"event":"ready"}'),
        signed("1", '{"event":7}'),
        signed("1", "{}"),
        signed("1", '{"event":"ready","x":' + "[" * 3000 + "]" * 3000 + "}"),
        signed("1", '{"event":"ready","x":' + "9" * 5000 + "}"),
        signed("12345678901", '{"event":"ready"}'),
    ],
)
def test_broken_frames_are_noise(line: bytes) -> None:
    assert isinstance(decode(line), Noise)


def test_a_whole_frame_behind_a_broken_one_in_the_same_line() -> None:
    broken = encode(1, {"event": "stage", "stage": "setup"}).strip()[:-5]
    item = decode(broken + encode(2, READY).strip())
    assert isinstance(item, Frame) and item.sequence == 2


def test_a_payload_that_quotes_a_frame() -> None:
    payload = {"event": "output", "text": encode(9, READY).decode()}
    item = decode(encode(1, payload).strip())
    assert isinstance(item, Frame) and item.event == "output"


@pytest.mark.parametrize("size", [1, 7, 4096, 1 << 20])
def test_a_line_without_end_takes_bounded_memory_and_linear_time(size: int) -> None:
    """32 MiB in pieces of any size, less where they are a few bytes."""
    whole = {1: 1 << 16, 7: 1 << 18}.get(size, 1 << 25)
    piece = (b"PROVISIONER/1 1 00000000 {" * (size // 26 + 1))[:size]
    decoder = Decoder()
    tracemalloc.start()
    begun = time.process_time()
    for _ in range(whole // size):
        assert list(decoder.feed(piece)) == []
    taken = time.process_time() - begun
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20
    assert taken < 5
    assert len(decoder.pending) <= LONGEST_LINE
    (item, last) = decoder.feed(b"\n" + encode(1, READY))
    assert isinstance(item, Noise) and isinstance(last, Frame)


def test_a_hostile_line_costs_little() -> None:
    """Many beginnings of a frame in one line are looked at twice, not each to the end."""
    line = (b"PROVISIONER/1 1 00000000 {" * 400)[:LONGEST_LINE] + b"\n"
    begun = time.process_time()
    items = list(Decoder().feed(line * 200))
    assert len(items) == 200
    assert time.process_time() - begun < 2


def test_replays_gaps_and_lies() -> None:
    numbering = Numbering()
    stage = {"event": "stage", "stage": "setup"}
    take = lambda n, payload: numbering.take(Frame(sequence=n, payload=payload))  # noqa: E731
    assert take(1, stage) == (True, 0)
    assert take(1, stage) == (False, 0), "a replay"
    assert take(4, {"event": "stage", "stage": "image"}) == (True, 2), "two lines are lost"
    assert take(2, {"event": "stage", "stage": "disks"}) == (True, 0), "late, or a lie: believed"
    assert take(1, {"event": "stage", "stage": "first-boot"}) == (True, 0), "a new boot"
    assert take(2, READY) == (True, 0)
    assert take(2**31, READY)[0], "a lying number never hides what is said"
    numbering.new_boot()
    assert take(1, stage) == (True, 0), "the same words after a restart are news"


def test_a_flood_of_frames_keeps_memory_bounded() -> None:
    log = FakeSerialLog()
    listener = Listener(log)
    for start in range(1, 20_001, 1000):
        for number in range(start, start + 1000):
            log.write(encode(number, {"event": "stage", "stage": f"s{number}"}))
        listener.hear()
    assert len(listener.heard.frames) == KEPT_FRAMES
    assert listener.heard.reported == "s20000"


def test_where_reading_goes_on() -> None:
    """The position of each frame is right behind its line, however the pieces were cut."""
    log = FakeSerialLog()
    lines = [b"noise\r\n" + encode(n, {"event": "stage", "stage": f"s{n}"}) for n in range(1, 9)]
    data = b"".join(lines)
    listener, found = Listener(log), []
    for start in range(0, len(data), 13):
        log.write(data[start : start + 13])
        found += [n.position.offset for n in listener.hear()]
    ends = [len(b"".join(lines[: n + 1])) for n in range(8)]
    # Where a piece ends between CR and LF, the LF is read again, which is nothing.
    assert all(0 <= end - offset <= 1 for end, offset in zip(ends, found, strict=True))


@example(data=b"PROVISIONER/1 1 00000000 {}\r")
@settings(max_examples=50, deadline=None)
@given(data=st.binary(max_size=400))
def test_behind_counts_the_unfinished_line(data: bytes) -> None:
    decoder = Decoder()
    list(decoder.feed(data))
    assert decoder.behind == len(data) - decoder.position >= 0
