"""Compiled loops that inflate chunks of one row: many small ones, at which the calls cost most.

A day of Bremen has thousands of rows. A library takes and gives back Python's interpreter lock for each
of them, and other threads hardly get on; a loop over all of them does without.

Deflate is decoded as in RFC 1951, in the wrapping of RFC 1950. Nothing in a file is trusted: every index
is bounded by the size of its array, and what is not exactly one row is none.

The tables of a code are rows of three arrays, row 0 for literals and lengths, row 1 for distances.
``fast`` (uint16) has 16 x symbol + length for every :data:`FAST` bits that begin with a code of at most
so many, else 0. ``symbols``, in the order of their codes, and ``counts`` of codes by length serve for
longer codes.
"""

from __future__ import annotations

import numpy as np

from seaice.runtime.compiled_kernels import compile_loop

FAST = 10
# Symbols of literals and lengths, of distances, and of the code in which their code lengths are stored.
LITERALS, DISTANCES, LENGTHS = 288, 32, 19
LONGEST_CODE = 15
END_OF_BLOCK = 256
# Order in which the lengths of the code of lengths are stored.
ORDER = np.array([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15], np.uint8)
# Smallest length of a symbol above END_OF_BLOCK and smallest distance, and bits that are added to it.
LENGTH_BITS = np.array([0] * 8 + [k // 4 for k in range(4, 24)] + [0] * 4, np.uint8)
LENGTH = 3 + np.append([0], np.cumsum(1 << LENGTH_BITS.astype(np.int64)))[:32]
LENGTH[28:] = 258, 0, 0, 0
DISTANCE_BITS = np.array([0, 0, *(k // 2 for k in range(28)), 0, 0], np.uint8)
DISTANCE = 1 + np.append([0], np.cumsum(1 << DISTANCE_BITS.astype(np.int64)))[:32]
# The lowest bits of every number, the last one first: codes are stored that way.
REVERSED = np.array([int(f"{k:0{FAST}b}"[::-1], 2) for k in range(1 << FAST)], np.int64)
ADLER, ADLER_SUMMANDS = 65521, 5552

# A mixture of signed and unsigned integers would become a float.
BITS = np.uint64
INDEX = np.uintp  # an index that cannot be negative: loops over it handle many elements at once
MASK = BITS((1 << FAST) - 1)


@compile_loop
def inflate_rows(i0, i1, content, begins, ends, words, is_row):  # type: ignore[no-untyped-def]
    """Inflate rows of 4-byte values and undo HDF5's shuffle filter.

    Row i is the zlib stream from byte ``begins[i]`` to ``ends[i]`` of ``content`` (uint8). Of a shuffled
    row come the lowest bytes of all its values first, then the next ones, and so on; ``words``
    (rows, columns) uint32 receives the values. ``is_row[i]`` tells whether it is whole and sound.
    """
    columns = words.shape[1]
    row = np.empty(4 * columns, np.uint8)
    fast = np.empty((2, 1 << FAST), np.uint16)
    symbols, counts = np.empty((2, LITERALS), np.uint16), np.empty((3, LONGEST_CODE + 1), np.int64)
    for i in range(i0, i1):
        is_row[i] = _inflate(content, begins[i], ends[i], row, fast, symbols, counts)
        if is_row[i]:
            for x in range(columns):
                words[i, x] = (
                    np.uint32(row[x])
                    | (np.uint32(row[columns + x]) << 8)
                    | (np.uint32(row[2 * columns + x]) << 16)
                    | (np.uint32(row[3 * columns + x]) << 24)
                )


@compile_loop
def _inflate(content, begin, end, row, fast, symbols, counts):  # type: ignore[no-untyped-def]
    """Inflate a zlib stream; whether it is sound and gives exactly a row."""
    if begin < 0 or end > content.size or end - begin < 8:
        return False
    head = 256 * np.int64(content[begin]) + content[begin + 1]
    # Deflate, a window of at most 32 KiB, no dictionary.
    if head % 31 != 0 or head & 0x0F20 != 0x0800 or head >> 12 > 7:
        return False
    lengths = np.empty(LITERALS + DISTANCES, np.uint8)
    at, bits, count, n, is_last = np.int64(begin + 2), BITS(0), np.int64(0), np.int64(0), False
    zero, one = np.int64(0), np.int64(1)
    while not is_last:
        at, bits, count = _refill(content, at, end, bits, count)
        is_last, kind = bits & BITS(1) == BITS(1), np.int64((bits >> BITS(1)) & BITS(3))
        bits, count = bits >> BITS(3), count - 3
        if kind == 0:
            at, n = _copy_stored(content, at - count // 8, end, row, n)
            bits, count = BITS(0), zero
        else:
            literals = np.int64(LITERALS)
            if kind == 1:
                lengths[:144], lengths[144:256], lengths[256:280], lengths[280:288] = 8, 9, 7, 8
                lengths[288:] = 5
            else:
                at, bits, count, literals = _read_lengths(
                    content, at, end, bits, count, lengths, fast, symbols, counts
                )
            distances = LITERALS + DISTANCES - literals
            if (
                kind == 3 or literals == 0
                or not _fill_tables(zero, lengths, zero, literals, fast, symbols, counts)
                or not _fill_tables(one, lengths, literals, distances, fast, symbols, counts)
            ):  # fmt: skip
                return False
            at, bits, count, n = _copy_block(
                content, at, end, bits, count, row, n, fast, symbols, counts
            )
        if n < 0:
            return False
    at -= count // 8
    return n == row.size and at + 4 == end and _is_adler(content, at, row)


@compile_loop
def _refill(content, at, end, bits, count):  # type: ignore[no-untyped-def]
    """Add whole bytes until there are at least 48 bits; after the end there are zeros."""
    while count < 48:
        if at < end:
            bits |= BITS(content[at]) << BITS(count)
        at += 1
        count += 8
    return at, bits, count


@compile_loop
def _fill_tables(kind, lengths, first, size, fast, symbols, counts):  # type: ignore[no-untyped-def]
    """Make the tables of a code out of the lengths of its symbols' codes; False if it is no code."""
    for length in range(LONGEST_CODE + 1):
        counts[kind, length] = 0
    for k in range(first, first + size):
        counts[kind, lengths[k]] += 1
    codes, room, offset = size - counts[kind, 0], 1, 0
    counts[kind, 0] = 0
    for length in range(1, LONGEST_CODE + 1):
        room = 2 * room - counts[kind, length]
        if room < 0:
            return False
        counts[2, length] = offset
        offset += counts[kind, length]
    # Bits without a symbol are allowed only beside one code of one bit, or none.
    if room > 0 and codes > counts[kind, 1]:
        return False
    for k in range(size):
        length = lengths[first + k]
        if length > 0:
            symbols[kind, counts[2, length]] = k
            counts[2, length] += 1
    code, k, turned = 0, 0, REVERSED
    fast[kind, 0] = 0
    for length in range(1, FAST + 1):
        # Of one bit more nothing is known yet but what the bits before it tell.
        half = INDEX(1) << INDEX(length - 1)
        for j in range(half):
            fast[kind, half + j] = fast[kind, j]
        code <<= 1
        for _ in range(counts[kind, length]):
            fast[kind, turned[code] >> (FAST - length)] = 16 * symbols[kind, k] + length
            code += 1
            k += 1
    return True


@compile_loop
def _decode_long(kind, bits, symbols, counts):  # type: ignore[no-untyped-def]
    """Symbol and length of the code with which the bits begin, bit by bit; length 0 if there is none."""
    code, first, k = np.int64(0), 0, 0
    for length in range(1, LONGEST_CODE + 1):
        code |= np.int64((bits >> BITS(length - 1)) & BITS(1))
        count = counts[kind, length]
        if code - count < first:
            return np.int64(symbols[kind, k + code - first]), length
        k += count
        first = (first + count) << 1
        code <<= 1
    return 0, 0


@compile_loop
def _read_lengths(content, at, end, bits, count, lengths, fast, symbols, counts):  # type: ignore[no-untyped-def]
    """Read the lengths of the codes of a block; number of literals 0 if they are none."""
    at, bits, count = _refill(content, at, end, bits, count)
    literals, distances = 257 + np.int64(bits & BITS(31)), 1 + np.int64((bits >> BITS(5)) & BITS(31))
    stored = 4 + np.int64((bits >> BITS(10)) & BITS(15))
    bits, count = bits >> BITS(14), count - 14
    lengths[:] = 0
    order, zero = ORDER, np.int64(0)
    for k in range(stored):
        if count < 48:
            at, bits, count = _refill(content, at, end, bits, count)
        lengths[order[k]] = bits & BITS(7)
        bits, count = bits >> BITS(3), count - 3
    if (
        literals > 286
        or distances > 30
        or not _fill_tables(zero, lengths, zero, np.int64(LENGTHS), fast, symbols, counts)
    ):
        return at, bits, count, 0
    k, value = 0, np.int64(0)
    while k < literals + distances:
        if count < 16:
            at, bits, count = _refill(content, at, end, bits, count)
        entry = np.int64(fast[0, bits & MASK])  # none has more than 7 bits
        symbol, used = entry >> 4, entry & 15
        times, more = np.int64(1), 0
        if symbol == 16:
            times, more = np.int64(3), 2
        elif symbol == 17:
            times, more = np.int64(3), 3
        elif symbol == 18:
            times, more = np.int64(11), 7
        times += np.int64((bits >> BITS(used)) & ((BITS(1) << BITS(more)) - BITS(1)))
        bits, count = bits >> BITS(used + more), count - used - more
        if used == 0 or (symbol == 16 and k == 0) or k + times > literals + distances:
            return at, bits, count, 0
        if symbol != 16:
            value = symbol if symbol < 16 else np.int64(0)
        for _ in range(times):
            lengths[k] = value
            k += 1
    for j in range(k, LITERALS + DISTANCES):
        lengths[j] = 0
    return at, bits, count, literals


@compile_loop
def _copy_block(content, at, end, bits, count, row, n, fast, symbols, counts):  # type: ignore[no-untyped-def]
    """Decode the symbols of a block into a row that holds ``n`` bytes; ``n`` -1 if they are none."""
    length_from, length_bits, distance_from, distance_bits = LENGTH, LENGTH_BITS, DISTANCE, DISTANCE_BITS
    size = row.size
    # Nothing is called or sliced here: references to arrays would be counted for every symbol.
    while at <= end + 8:
        if at + 8 <= end:
            word, shift = BITS(0), BITS(0)
            for octet in range(INDEX(8)):  # one load
                word |= BITS(content[INDEX(at) + octet]) << shift
                shift += BITS(8)
            bits |= word << BITS(count)
            at += (63 - count) >> 3
            count |= 56
        while count < 48:
            if at < end:
                bits |= BITS(content[at]) << BITS(count)
            at += 1
            count += 8
        entry = np.int64(fast[0, bits & MASK])
        for _ in range(3):  # of at least 48 bits
            if entry == 0 or entry >= 16 * END_OF_BLOCK or n >= size:
                break
            bits, count = bits >> BITS(entry & 15), count - (entry & 15)
            row[n] = entry >> 4
            n += 1
            entry = np.int64(fast[0, bits & MASK])
        if count < 48:
            continue
        symbol, used = entry >> 4, entry & 15
        if used == 0:
            symbol, used = _decode_long(np.int64(0), bits, symbols, counts)
        bits, count = bits >> BITS(used), count - used
        if symbol < END_OF_BLOCK:
            if used == 0 or n == size:
                break
            row[n] = symbol
            n += 1
            continue
        if symbol == END_OF_BLOCK:
            return at, bits, count, n
        k = symbol - END_OF_BLOCK - 1
        more = np.int64(length_bits[k])
        length = length_from[k] + np.int64(bits & ((BITS(1) << BITS(more)) - BITS(1)))
        bits, count = bits >> BITS(more), count - more
        entry = np.int64(fast[1, bits & MASK])
        k, used = entry >> 4, entry & 15
        if used == 0:
            k, used = _decode_long(np.int64(1), bits, symbols, counts)
        bits, count = bits >> BITS(used), count - used
        more = np.int64(distance_bits[k])
        back = distance_from[k] + np.int64(bits & ((BITS(1) << BITS(more)) - BITS(1)))
        bits, count = bits >> BITS(more), count - more
        is_sound = used > 0 and k < 30 and symbol < 286
        if not is_sound or back > n or length > size - n:
            break
        first, source = INDEX(n), INDEX(n - back)
        if back == 1:
            same = row[source]
            for j in range(INDEX(length)):
                row[first + j] = same
        else:
            for j in range(INDEX(length)):
                row[first + j] = row[source + j]
        n += length
    return at, bits, count, -1


@compile_loop
def _copy_stored(content, at, end, row, n):  # type: ignore[no-untyped-def]
    """Copy a block that is not compressed; ``n`` -1 if it is none."""
    if at + 4 > end:
        return at, -1
    length = np.int64(content[at]) + 256 * np.int64(content[at + 1])
    inverse = np.int64(content[at + 2]) + 256 * np.int64(content[at + 3])
    at += 4
    if length + inverse != 0xFFFF or at + length > end or length > row.size - n:
        return at, -1
    for k in range(length):
        row[n + k] = content[at + k]
    return at + length, n + length


@compile_loop
def _is_adler(content, at, row):  # type: ignore[no-untyped-def]
    """Whether the checksum at a position is that of a row."""
    size, low, high = row.size, np.int64(1), np.int64(0)
    for first in range(0, size, ADLER_SUMMANDS):
        n = min(size - first, ADLER_SUMMANDS)
        total, weighted = np.uint32(0), np.uint32(0)
        for j in range(INDEX(n)):
            octet = np.uint32(row[INDEX(first) + j])
            total = np.uint32(total + octet)
            weighted = np.uint32(weighted + np.uint32(INDEX(n) - j) * octet)
        high = (high + n * low + np.int64(weighted)) % ADLER
        low = (low + np.int64(total)) % ADLER
    stored = 0
    for k in range(4):
        stored = 256 * stored + content[at + k]
    return stored == 65536 * high + low
