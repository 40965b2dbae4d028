"""What the rules of a map look at: the values of one record at the paths, headers and places that the map names."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from streams.native.scanning cimport code_points

cdef extern from "xxh3.h" nogil:
    uint64_t little_64(const uint8_t *bytes)

cdef enum:
    ABSENT, TEXT, INTEGER, FRACTION, YES, NO, BYTES, OBJECT, OTHER  # OTHER: there, and of no use here
cdef enum:
    DIGITS_LIMIT = 18  # of an integer out of JSON: below 2^63 for certain


cdef struct Slot:
    int kind
    int32_t length
    const uint8_t *start  # of a text, of bytes, or of a number's digits; NULL where those have to be written
    int64_t number
    bint is_ascii


cdef inline bint is_plain(const uint8_t *at, const uint8_t *end, bint *is_ascii) noexcept nogil:
    """Return whether a text stands in JSON as it is: no quote, no backslash, no control character."""
    cdef uint64_t word, ones = 0x0101010101010101
    while end - at >= 8:
        word = little_64(at)
        if (((word ^ ones * 34) - ones) | ((word ^ ones * 92) - ones) | (word - ones * 32) | word) & (ones << 7):
            break  # one of them, or a byte that is not ASCII
        at += 8
    while at < end:
        if at[0] == 34 or at[0] == 92 or at[0] < 32:
            return False
        if at[0] >= 0x80:
            is_ascii[0] = False
        at += 1
    return True


cdef inline bint put_unquoted(Slot *slot, const uint8_t *start, int32_t length) noexcept nogil:
    """Take a text that does not come out of JSON; return whether it is UTF-8."""
    cdef bint is_ascii = True
    cdef bint is_usable = is_plain(start, start + length, &is_ascii)
    cdef int32_t i
    if not is_usable:
        for i in range(length):
            if start[i] >= 0x80:
                is_ascii = False
                break
    if not is_ascii and code_points(start, length) < 0:
        slot.kind = OTHER
        return False
    put_text(slot, start, length, is_ascii)
    if not is_usable:
        slot.kind = OTHER
    return True


cdef inline void put_text(Slot *slot, const uint8_t *start, int32_t length, bint is_ascii) noexcept nogil:
    slot.kind = TEXT if length else ABSENT
    slot.start = start
    slot.length = length
    slot.is_ascii = is_ascii


cdef inline void put_integer(Slot *slot, int64_t number, const uint8_t *start, int32_t length) noexcept nogil:
    slot.kind = INTEGER
    slot.number = number
    slot.start = start
    slot.length = length
    slot.is_ascii = True
