# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Records where they lie: the keys and values of a fetch as places in its bytes, without an object per record."""

from libc.stdint cimport INT32_MAX, int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

import numpy as np

cdef int32_t NULL_LENGTH = -1


cdef class Values:
    """A sequence of byte strings (or None) that lie in other objects; an item becomes an object when it is asked for."""

    def __cinit__(self, Py_ssize_t count):
        self._owners = []
        self.count = count
        self.starts = <const uint8_t **>malloc(max(count, 1) * sizeof(void *))
        self.lengths = <int32_t *>malloc(max(count, 1) * sizeof(int32_t))
        if self.starts == NULL or self.lengths == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.starts)
        free(self.lengths)

    @staticmethod
    def of(values):
        """Return the places of byte strings or None; raises `TypeError` for anything else."""
        cdef Py_ssize_t i
        cdef list owner = list(values)
        cdef Values made = Values(len(owner))
        made._owners.append(owner)
        for i in range(made.count):
            value = owner[i]
            if value is None:
                made.starts[i] = NULL
                made.lengths[i] = NULL_LENGTH
            elif type(value) is not bytes or PyBytes_GET_SIZE(value) > INT32_MAX:
                raise TypeError(f"expected bytes or None, found {type(value).__name__}")
            else:
                made.starts[i] = <const uint8_t *>PyBytes_AS_STRING(value)
                made.lengths[i] = <int32_t>PyBytes_GET_SIZE(value)
        return made

    @staticmethod
    def joined(parts):
        """Return several sequences one after the other; raises `TypeError` where one is no `Values`."""
        cdef Values part
        cdef Py_ssize_t first = 0
        cdef Values made = Values(sum([len(part) for part in parts]))
        for part in parts:
            memcpy(made.starts + first, part.starts, part.count * sizeof(void *))
            memcpy(made.lengths + first, part.lengths, part.count * sizeof(int32_t))
            made._owners.extend(part._owners)
            first += part.count
        return made

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        cdef Py_ssize_t i
        if isinstance(index, slice):
            start, stop, step = index.indices(self.count)
            if step != 1:
                raise ValueError("only every record of a span can be taken")
            return self._span(start, max(start, stop))
        i = index
        if i < 0:
            i += self.count
        if not 0 <= i < self.count:
            raise IndexError(index)
        if self.lengths[i] == NULL_LENGTH:
            return None
        return PyBytes_FromStringAndSize(<const char *>self.starts[i], self.lengths[i])

    def taken(self, rows):
        """Return those of an array of rows, in its order; raises `IndexError` for a row that is none."""
        cdef Py_ssize_t i
        rows = np.ascontiguousarray(rows, dtype=np.int64)
        cdef const int64_t *row = <const int64_t *><size_t>rows.ctypes.data
        cdef Values made = Values(rows.size)
        made._owners = self._owners
        for i in range(made.count):
            if not 0 <= row[i] < self.count:
                raise IndexError(row[i])
            made.starts[i] = self.starts[row[i]]
            made.lengths[i] = self.lengths[row[i]]
        return made

    cdef Values _span(self, Py_ssize_t start, Py_ssize_t stop):
        cdef Values made = Values(stop - start)
        made._owners = self._owners
        memcpy(made.starts, self.starts + start, made.count * sizeof(void *))
        memcpy(made.lengths, self.lengths + start, made.count * sizeof(int32_t))
        return made


cdef const uint8_t *read_varint(const uint8_t *at, const uint8_t *end, int64_t *number) noexcept nogil:
    """Read a zigzag number of variable length; return what follows, NULL where the bytes end or it is too long."""
    cdef uint64_t word = 0
    cdef int shift = 0
    while at < end and shift < 64:
        word |= <uint64_t>(at[0] & 0x7F) << shift
        shift += 7
        at += 1
        if (at - 1)[0] < 0x80:
            number[0] = <int64_t>(word >> 1) ^ -<int64_t>(word & 1)
            return at
    return NULL


cdef const uint8_t *read_bytes(
    const uint8_t *at, const uint8_t *end, const uint8_t **start, int32_t *length
) noexcept nogil:
    """Read the place of a byte string with its length in front; return what follows, NULL where the bytes end."""
    cdef int64_t size = 0
    at = read_varint(at, end, &size)
    if at == NULL or size < NULL_LENGTH or size > end - at:
        return NULL
    if size == NULL_LENGTH:
        start[0] = NULL
        length[0] = NULL_LENGTH
        return at
    start[0] = at
    length[0] = <int32_t>size
    return at + size


def split_records(bytes payload not None, Py_ssize_t count):
    """Return offsets and times (both as differences from the batch's first), keys and values of a batch's records.

    `payload` is the record section of a batch of format 2, decompressed
    (https://kafka.apache.org/documentation/#record). Raises `ValueError` where it does not hold `count` records.
    """
    if not 0 <= count <= PyBytes_GET_SIZE(payload):
        raise ValueError(f"{count} records do not fit into {PyBytes_GET_SIZE(payload)} bytes")
    cdef Values keys = Values(count), values = Values(count)
    keys._owners.append(payload)
    values._owners.append(payload)
    offsets, times = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    # As addresses, not as views: Cython's views would be nine tenths of the compiled code.
    cdef int64_t *offset_column = <int64_t *><size_t>offsets.ctypes.data
    cdef int64_t *time_column = <int64_t *><size_t>times.ctypes.data
    cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(payload)
    cdef const uint8_t *end = at + PyBytes_GET_SIZE(payload)
    cdef const uint8_t *record_end
    cdef int64_t length = 0
    cdef Py_ssize_t i
    cdef bint is_whole = True
    with nogil:
        for i in range(count):
            at = read_varint(at, end, &length)
            if at == NULL or length < 1 or length > end - at:
                is_whole = False
                break
            record_end = at + length
            at = read_varint(at + 1, record_end, &time_column[i])  # behind the attributes, of which there are none
            if at != NULL:
                at = read_varint(at, record_end, &offset_column[i])
            if at != NULL:
                at = read_bytes(at, record_end, &keys.starts[i], &keys.lengths[i])
            if at != NULL:
                at = read_bytes(at, record_end, &values.starts[i], &values.lengths[i])
            if at == NULL:
                is_whole = False
                break
            at = record_end  # headers are not read
    if not is_whole or at != end:
        raise ValueError(f"the batch does not hold {count} whole records")
    return offsets, times, keys, values


def split_headers(bytes payload not None, Py_ssize_t count):
    """Return the section of headers of each of a batch's records: how many there are, and they themselves.

    `payload` is as in `split_records`, which has found it whole.
    """
    cdef Values headers = Values(count)
    headers._owners.append(payload)
    cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(payload)
    cdef const uint8_t *end = at + PyBytes_GET_SIZE(payload)
    cdef const uint8_t *record_end
    cdef const uint8_t *skipped
    cdef int32_t skipped_length
    cdef int64_t number = 0
    cdef Py_ssize_t i
    cdef int part
    for i in range(count):
        at = read_varint(at, end, &number)
        if at == NULL or number < 1 or number > end - at:
            raise ValueError(f"record {i} is not whole")
        record_end = at + number
        at += 1
        for part in range(2):
            if at != NULL:
                at = read_varint(at, record_end, &number)
        for part in range(2):
            if at != NULL:
                at = read_bytes(at, record_end, &skipped, &skipped_length)
        if at == NULL:
            raise ValueError(f"record {i} is not whole")
        headers.starts[i] = at
        headers.lengths[i] = <int32_t>(record_end - at)
        at = record_end
    return headers
