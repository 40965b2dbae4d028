# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Columns into texts, and texts into the records of a Kafka batch, without an object per record."""

from libc.stdint cimport INT32_MAX, int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

import numpy as np

from streams.native.records cimport Values

cdef enum:
    PIECES_LIMIT = 32
    DIGITS_LIMIT = 19  # of the largest number of 64 bits with a sign
    RECORD_FIXED = 3  # attributes, the difference of times, the number of headers: each a byte of 0

cdef struct Column:
    const char *before
    Py_ssize_t before_length
    const int64_t *items
    const uint8_t **choices  # NULL for numbers
    const int32_t *lengths
    Py_ssize_t choices_count

cdef char PAIRS[200]
for _pair in range(100):
    PAIRS[2 * _pair] = 48 + _pair // 10
    PAIRS[2 * _pair + 1] = 48 + _pair % 10


cdef uint8_t *put_number(uint8_t *to, uint64_t number) noexcept nogil:
    """Write a number in decimal, two digits at a time; return what follows."""
    cdef char digits[20]
    cdef int first = 20
    cdef uint64_t rest
    while number >= 100:
        rest = number // 100
        first -= 2
        memcpy(&digits[first], &PAIRS[2 * (number - 100 * rest)], 2)
        number = rest
    first -= 2
    memcpy(&digits[first], &PAIRS[2 * number], 2)
    first += number < 10
    memcpy(to, &digits[first], 20 - first)
    return to + (20 - first)


cdef uint8_t *put_texts(uint8_t *to, const Column *columns, int count, Py_ssize_t row) noexcept nogil:
    """Write what the columns have in one row; return what follows, NULL where a choice is none."""
    cdef int i
    cdef int64_t item
    cdef const Column *column
    for i in range(count):
        column = &columns[i]
        item = column.items[row]
        if column.choices != NULL and not 0 <= item < column.choices_count:
            return NULL
        if item < 0:
            continue
        memcpy(to, column.before, column.before_length)
        to += column.before_length
        if column.choices == NULL:
            to = put_number(to, item)
        else:
            memcpy(to, column.choices[item], column.lengths[item])
            to += column.lengths[item]
    return to


def write_texts(pieces, Py_ssize_t count, bytes after not None):
    """Return `count` texts: all pieces of a row one after the other, and `after`.

    A piece is (bytes before, int64 column, choices): the column holds numbers, or indices of choices where those are
    not None. A negative number is left out, with what stands before it.
    """
    cdef Column columns[PIECES_LIMIT]
    cdef int number = 0
    cdef Py_ssize_t longest = PyBytes_GET_SIZE(after), row
    cdef Values choices, made = Values(count)
    cdef list owners = []
    cdef bytes before
    for before, items, chosen in pieces:
        items = np.ascontiguousarray(items, dtype=np.int64)
        if number == PIECES_LIMIT or items.shape != (count,):
            raise ValueError(f"{PIECES_LIMIT} columns at most, each of {count} rows")
        if before is None:
            raise TypeError("what stands before is bytes")
        columns[number].before = PyBytes_AS_STRING(before)
        columns[number].before_length = PyBytes_GET_SIZE(before)
        columns[number].items = <const int64_t *><size_t>items.ctypes.data
        columns[number].choices = NULL
        longest += PyBytes_GET_SIZE(before) + DIGITS_LIMIT
        if chosen is not None:
            if None in chosen:
                raise TypeError("a choice is bytes")
            choices = Values.of(chosen)
            columns[number].choices = choices.starts
            columns[number].lengths = choices.lengths
            columns[number].choices_count = choices.count
            longest += max(map(len, chosen), default=0)
            owners.append(choices)
        owners.append((before, items))
        number += 1
    if longest > INT32_MAX:
        raise ValueError("a text would be too long")
    cdef bytes texts = PyBytes_FromStringAndSize(NULL, count * longest)
    made._owners.append(texts)
    cdef uint8_t *to = <uint8_t *>PyBytes_AS_STRING(texts)
    cdef const char *end = PyBytes_AS_STRING(after)
    cdef Py_ssize_t end_length = PyBytes_GET_SIZE(after)
    with nogil:
        for row in range(count):
            made.starts[row] = to
            to = put_texts(to, columns, number, row)
            if to == NULL:
                break
            memcpy(to, end, end_length)
            to += end_length
            made.lengths[row] = <int32_t>(to - made.starts[row])
    if to == NULL:
        raise IndexError(f"row {row} of a column is no choice")
    return made


cdef inline int varint_size(uint64_t number) noexcept nogil:
    """Return how many bytes a number from 0 takes, written as a zigzag number."""
    cdef int size = 1
    number <<= 1
    while number >= 0x80:
        number >>= 7
        size += 1
    return size


cdef inline uint8_t *put_varint(uint8_t *to, uint64_t number) noexcept nogil:
    number <<= 1
    while number >= 0x80:
        to[0] = <uint8_t>(number | 0x80)
        number >>= 7
        to += 1
    to[0] = <uint8_t>number
    return to + 1


cdef inline Py_ssize_t text_size(int32_t length) noexcept nogil:
    return 1 if length < 0 else varint_size(length) + length


cdef inline uint8_t *put_text(uint8_t *to, const uint8_t *text, int32_t length) noexcept nogil:
    if length < 0:
        to[0] = 1  # -1 as a zigzag number: null
        return to + 1
    to = put_varint(to, length)
    memcpy(to, text, length)
    return to + length


cdef inline Py_ssize_t record_size(Values keys, Values values, Py_ssize_t first, Py_ssize_t row) noexcept nogil:
    """Return how many bytes follow the length of the record in a row, where the batch begins with row `first`."""
    return RECORD_FIXED + varint_size(row - first) + text_size(keys.lengths[row]) + text_size(values.lengths[row])


def write_records(Values keys not None, Values values not None, Py_ssize_t first, Py_ssize_t limit_bytes):
    """Return the record section of a batch of format 2, and the number of its records, all of one time.

    It holds the records from `first` on, as many as fit into `limit_bytes`, and one in any case
    (https://kafka.apache.org/documentation/#record).
    """
    if values.count != keys.count or not 0 <= first < keys.count:
        raise ValueError("a value for each key, and a record at least")
    cdef Py_ssize_t size, whole = 0, last = first, i
    cdef bytes section
    cdef uint8_t *to
    while last < keys.count:
        size = record_size(keys, values, first, last)
        size += varint_size(size)
        if whole + size > limit_bytes and last > first:
            break
        whole += size
        last += 1
    section = PyBytes_FromStringAndSize(NULL, whole)
    to = <uint8_t *>PyBytes_AS_STRING(section)
    with nogil:
        for i in range(first, last):
            to = put_varint(to, record_size(keys, values, first, i))
            to[0] = to[1] = 0
            to = put_varint(to + 2, i - first)
            to = put_text(to, keys.starts[i], keys.lengths[i])
            to = put_text(to, values.starts[i], values.lengths[i])
            to[0] = 0
            to += 1
    return section, last - first
