"""Rows that are inflated by compiled loops, against zlib."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isal import isal_zlib

from seaice.sources.bremen import _kernels

COLUMNS = 4000
STRATEGIES = {
    "usual": zlib.Z_DEFAULT_STRATEGY,
    "fixed": zlib.Z_FIXED,
    "huffman": zlib.Z_HUFFMAN_ONLY,
    "runs": zlib.Z_RLE,
}


def inflate(streams, columns=COLUMNS, *, before=b"ahead", after=b"behind"):
    """Words of the rows, and whether each is one; the streams lie one after the other."""
    content = before + b"".join(streams) + after
    ends = len(before) + np.cumsum([len(stream) for stream in streams], dtype=np.int64)
    begins = ends - np.array([len(stream) for stream in streams], np.int64)
    words, is_row = np.zeros((len(streams), columns), np.uint32), np.zeros(len(streams), bool)
    octets = np.frombuffer(content, np.uint8)
    _kernels.inflate_rows(0, len(streams), octets, begins, ends, words, is_row)
    return words, is_row


def inflate_slowly(stream, columns=COLUMNS):
    """The words of one row, by zlib and numpy; None if it is not exactly a row."""
    inflater = zlib.decompressobj()
    try:
        octets = inflater.decompress(stream)
    except zlib.error:
        return None
    if len(octets) != 4 * columns or not inflater.eof or inflater.unused_data:
        return None
    return np.ascontiguousarray(np.frombuffer(octets, np.uint8).reshape(4, -1).T).view("<u4")[:, 0]


def deflate(octets, *, level=6, strategy=zlib.Z_DEFAULT_STRATEGY, pieces=1, flush=zlib.Z_FULL_FLUSH):
    """A zlib stream, in blocks of their own for every piece."""
    deflater = zlib.compressobj(level, zlib.DEFLATED, 15, 8, strategy)
    size = -(-len(octets) // pieces)
    parts = [octets[i : i + size] for i in range(0, len(octets), size)]
    stored = [deflater.compress(part) + deflater.flush(flush) for part in parts[:-1]]
    return b"".join(stored) + deflater.compress(parts[-1]) + deflater.flush()


def make_contents():
    random = np.random.default_rng(3)
    size = 4 * COLUMNS
    # Fibonacci numbers as frequencies need the longest codes that there are.
    often = [1, 1]
    while len(often) < 20:
        often.append(often[-1] + often[-2])
    uneven = np.repeat(np.arange(17), often[:17])
    # Distances of 8, 12, 16, 24, 32, ... bytes, so often.
    far = random.permutation(
        np.repeat([2 ** (k // 2) * (8 + 4 * (k % 2)) for k in range(20)], often[:20])
    )
    copied = random.integers(0, 256, 2100).tolist()
    for distance in far:
        copied += [*copied[len(copied) - distance :][:4], random.integers(0, 256)]
    copied = np.resize(copied, size)
    return {
        "noise": random.integers(0, 256, size),
        "zeros": np.zeros(size),
        "ramp": np.arange(size) % 251,
        "long codes": random.permutation(np.resize(uneven, size)),
        "long codes of distances": copied,
        "few values": random.choice([0, 7, 200], size, p=[0.9, 0.09, 0.01]),
        **{f"period {n}": np.resize(random.integers(0, 256, n), size) for n in (2, 3, 5, 8, 258, 3000)},
        "concentrations": np.frombuffer(
            random.choice(np.float32([0, 100, 55.5, np.nan]), COLUMNS).tobytes(), np.uint8
        )
        .reshape(-1, 4)
        .T.ravel(),
    }


CONTENTS = {name: values.astype(np.uint8).tobytes() for name, values in make_contents().items()}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("level", [0, 1, 6, 9])
def test_rows_are_those_of_zlib(level, strategy):
    streams = [
        deflate(content, level=level, strategy=STRATEGIES[strategy], pieces=pieces, flush=flush)
        for content in CONTENTS.values()
        for pieces, flush in ((1, zlib.Z_FULL_FLUSH), (7, zlib.Z_SYNC_FLUSH), (3, zlib.Z_BLOCK))
    ]
    words, is_row = inflate(streams)
    assert is_row.all()
    np.testing.assert_array_equal(words, [inflate_slowly(stream) for stream in streams])


def test_rows_of_another_library_are_read():
    streams = [isal_zlib.compress(content, level) for content in CONTENTS.values() for level in range(4)]
    words, is_row = inflate(streams)
    assert is_row.all()
    np.testing.assert_array_equal(words, [inflate_slowly(stream) for stream in streams])


def test_the_contents_have_long_codes():
    literals, _ = find_code_lengths(deflate(CONTENTS["long codes"], strategy=zlib.Z_HUFFMAN_ONLY))
    _, distances = find_code_lengths(deflate(CONTENTS["long codes of distances"], level=9))
    assert max(literals) > _kernels.FAST
    assert max(distances) > _kernels.FAST


def find_code_lengths(stream):
    """Lengths of the codes of literals and of distances of a stream, in its first block."""
    content = np.frombuffer(stream, np.uint8)
    lengths = np.zeros(_kernels.LITERALS + _kernels.DISTANCES, np.uint8)
    tables = (
        np.zeros((2, 1 << _kernels.FAST), np.uint16),
        np.zeros((2, _kernels.LITERALS), np.uint16),
        np.zeros((3, _kernels.LONGEST_CODE + 1), np.int64),
    )
    at, bits, count = _kernels._refill(content, 2, len(stream), np.uint64(0), 0)
    assert int(bits) >> 1 & 3 == 2
    where = (content, at, len(stream), np.uint64(int(bits) >> 3), count - 3)
    *_, literals = _kernels._read_lengths(*where, lengths, *tables)
    return lengths[:literals].tolist(), lengths[literals:].tolist()


@settings(deadline=None)  # the first example compiles
@given(
    st.lists(
        st.tuples(st.binary(min_size=1, max_size=20), st.integers(1, 300)), min_size=1, max_size=40
    ),
    st.sampled_from([0, 1, 2, 6, 9]),
    st.sampled_from(sorted(STRATEGIES)),
    st.integers(1, 4),
)
def test_any_row_is_that_of_zlib(runs, level, strategy, pieces):
    octets = b"".join(octets * times for octets, times in runs)
    octets += b"\0" * (-len(octets) % 4)
    columns = len(octets) // 4
    stream = deflate(octets, level=level, strategy=STRATEGIES[strategy], pieces=pieces)
    words, is_row = inflate([stream], columns)
    assert is_row[0]
    np.testing.assert_array_equal(words[0], inflate_slowly(stream, columns))


@pytest.mark.parametrize("strategy", ["usual", "fixed"])
@pytest.mark.parametrize("level", [0, 6])
def test_damage_is_what_zlib_calls_damage(level, strategy):
    columns = 60
    content = CONTENTS["long codes"][: 2 * columns] + CONTENTS["period 5"][: 2 * columns]
    stream = deflate(content, level=level, strategy=STRATEGIES[strategy], pieces=2)
    damaged = [stream[:n] for n in range(len(stream))] + [stream + b"\0", stream + stream]
    for i in range(len(stream)):
        for bit in range(8):
            octets = bytearray(stream)
            octets[i] ^= 1 << bit
            damaged.append(bytes(octets))
    words, is_row = inflate(damaged, columns)
    slow = [inflate_slowly(one, columns) for one in damaged]
    assert is_row.tolist() == [row is not None for row in slow]
    # The levels of the header are no part of the content.
    for k in np.flatnonzero(is_row):
        np.testing.assert_array_equal(words[k], slow[k])
    assert inflate([stream], columns)[1].all()


def test_noise_is_no_row():
    random = np.random.default_rng(5)
    # A sound head of the stream and of a block of each kind, then noise.
    noise = [
        b"\x78\x9c" + bytes([random.integers(0, 32) * 8 + kind]) + random.bytes(random.integers(1, 400))
        for _ in range(3000)
        for kind in (0, 1, 2, 3, 4, 5, 6, 7)
    ]
    _, is_row = inflate(noise, 8)
    assert not is_row.any()


def test_rows_outside_of_the_content_are_none():
    stream = deflate(CONTENTS["ramp"])
    content = np.frombuffer(stream, np.uint8)
    begins = np.array([-4, 0, len(stream) + 9, 0], np.int64)
    ends = np.array([len(stream), len(stream) + 1, len(stream), len(stream)], np.int64)
    words, is_row = np.zeros((4, COLUMNS), np.uint32), np.zeros(4, bool)
    _kernels.inflate_rows(0, 4, content, begins, ends, words, is_row)
    assert is_row.tolist() == [False, False, False, True]


class BitStream:
    """A zlib stream written bit by bit, as no library writes it."""

    def __init__(self, head=b"\x78\x9c"):
        self.head, self.bits = head, []

    def number(self, value, count):
        """Bits of a number, the lowest first."""
        self.bits += [(value >> k) & 1 for k in range(count)]
        return self

    def code(self, value, count):
        """Bits of a code, the highest first."""
        self.bits += [(value >> k) & 1 for k in reversed(range(count))]
        return self

    def fixed(self, *symbols):
        """Symbols of literals and lengths in the fixed code."""
        for symbol in symbols:
            if symbol < 144:
                self.code(0x30 + symbol, 8)
            elif symbol < 256:
                self.code(0x190 + symbol - 144, 9)
            elif symbol < 280:
                self.code(symbol - 256, 7)
            else:
                self.code(0xC0 + symbol - 280, 8)
        return self

    def close(self, row):
        """The stream with the checksum of a row."""
        octets = np.packbits(np.array(self.bits, np.uint8), bitorder="little").tobytes()
        return self.head + octets + zlib.adler32(bytes(row)).to_bytes(4, "big")


FIXED_BLOCK = (0b011, 3)  # the last block, fixed codes


def test_a_stream_written_by_hand_is_read():
    stream = BitStream().number(*FIXED_BLOCK).fixed(7, 200, 257).code(1, 5).fixed(256)
    stream = stream.close([7, 200, 7, 200, 7])
    assert zlib.decompress(stream) == bytes([7, 200, 7, 200, 7])
    stream = BitStream().number(*FIXED_BLOCK).fixed(7, 257).code(0, 5).fixed(256).close([7] * 4)
    words, is_row = inflate([stream], 1)
    assert is_row[0]
    assert words[0, 0] == 0x07070707


def test_a_copy_of_what_is_not_there_is_no_row():
    # One of these is the checksum, whatever lies before the row in memory.
    streams = [
        BitStream().number(*FIXED_BLOCK).fixed(9, 257).code(1, 5).fixed(256).close([9, octet, 9, octet])
        for octet in range(256)
    ]
    assert not inflate(streams, 1)[1].any()


@pytest.mark.parametrize("symbol", [286, 287])
def test_symbols_without_a_length_are_none(symbol):
    stream = BitStream().number(*FIXED_BLOCK).fixed(1, 2, 3, 4, symbol).code(0, 5).fixed(256)
    assert not inflate([stream.close([1, 2, 3, 4])], 1)[1].any()


def test_symbols_without_a_distance_are_none():
    row = [0] * 32800 + [5] * 4
    begin = BitStream().number(*FIXED_BLOCK).fixed(*row[:-7])
    good = BitStream().number(*FIXED_BLOCK).fixed(*row).fixed(256).close(row)
    zeros = [0] * len(row)
    bad = begin.fixed(257).code(30, 5).fixed(0, 0, 0, 0, 256).close(zeros)
    assert inflate([good, bad], len(row) // 4)[1].tolist() == [True, False]


@pytest.mark.parametrize("first", [0x78, 0x79, 0x88])
@pytest.mark.parametrize("has_dictionary", [False, True])
def test_other_heads_are_no_rows(first, has_dictionary):
    second = next(k for k in range(has_dictionary * 32, 256) if (256 * first + k) % 31 == 0)
    assert bool(second & 32) == has_dictionary
    stream = bytes([first, second]) + zlib.compress(b"abcd")[2:]
    is_sound = first == 0x78 and not has_dictionary
    assert (inflate_slowly(stream, 1) is not None) == is_sound
    assert inflate([stream], 1)[1][0] == is_sound


def number_codes(lengths):
    """The code of every symbol, from the lengths of the codes."""
    codes, code = {}, 0
    for length in range(1, max(lengths) + 1):
        code <<= 1
        for symbol, own in enumerate(lengths):
            if own == length:
                codes[symbol] = code, length
                code += 1
    return codes


# All 19 symbols: 13 codes of 4 bits and 6 of 5 bits.
OF_LENGTHS = number_codes([4] * 13 + [5] * 6)


def open_block(literals, distances, lengths):
    """A last block with codes of its own: their numbers, and the symbols of their lengths."""
    stream = (
        BitStream().number(0b101, 3).number(literals - 257, 5).number(distances - 1, 5).number(15, 4)
    )
    for symbol in _kernels.ORDER:
        stream.number(OF_LENGTHS[int(symbol)][1], 3)
    for symbol, *more in lengths:
        stream.code(*OF_LENGTHS[symbol])
        if more:
            stream.number(*more)
    return stream


# No codes for symbols 1 to 255.
NO_MORE = [(18, 127, 7), (18, 96, 7), (17, 7, 3)]


@pytest.mark.parametrize(
    ("literals", "distances", "lengths", "is_sound"),
    [
        (257, 1, [(1,), *NO_MORE, (1,), (0,)], True),
        # A copy of the length before the first.
        (257, 1, [(16, 0, 2), (1,), *NO_MORE[:2], (17, 4, 3), (1,), (0,)], False),
        # More symbols than there are.
        (287, 1, [(1,), *NO_MORE, (1,), (18, 19, 7), (0,)], False),
        (257, 31, [(1,), *NO_MORE, (1,), (18, 20, 7)], False),
        # Bits without a symbol.
        (257, 1, [(2,), *NO_MORE, (2,), (0,)], False),
        # More lengths than symbols.
        (257, 1, [(1,), *NO_MORE, (1,), (18, 127, 7)], False),
    ],
)
def test_codes_that_are_none_are_refused(literals, distances, lengths, is_sound):
    stream = open_block(literals, distances, lengths)
    length = 1 if (2,) not in lengths else 2
    for code in (0, 0, 0, 0, 1):
        stream.code(code, length)
    first_symbol = 3 if lengths[0] == (16, 0, 2) else 0
    stream = stream.close([first_symbol] * 4)
    assert (inflate_slowly(stream, 1) is not None) == is_sound
    assert inflate([stream], 1)[1][0] == is_sound
