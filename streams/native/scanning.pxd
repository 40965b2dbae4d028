"""Looking through JSON, strictly: each function returns what follows what it was asked for, NULL if it is not there.

What may be valid but is unusual (an escape in a text, deep nesting) is not there either: `events` leaves such records over.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp

cdef extern from "xxh3.h" nogil:
    uint64_t little_64(const uint8_t *bytes)

cdef extern from * nogil:
    """
    #ifdef _MSC_VER
    #include <intrin.h>
    static inline int lowest_bit(uint64_t word) { unsigned long bit; _BitScanForward64(&bit, word); return (int)bit; }
    #else
    static inline int lowest_bit(uint64_t word) { return __builtin_ctzll(word); }
    #endif
    """
    int lowest_bit(uint64_t word)

cdef enum:
    DEPTH_LIMIT = 32


cdef inline const uint8_t *after_space(const uint8_t *at, const uint8_t *end) noexcept nogil:
    while at < end and (at[0] == 32 or at[0] == 10 or at[0] == 13 or at[0] == 9):
        at += 1
    return at


cdef inline const uint8_t *closing_quote(const uint8_t *at, const uint8_t *end, bint *is_ascii) noexcept nogil:
    """Return the quote that ends a text which begins at `at`, NULL for one with an escape or a control character."""
    cdef uint64_t word, flags, ones = 0x0101010101010101
    while end - at >= 8:
        word = little_64(at)
        # In each byte the high bit is set for a quote, a backslash, a control character or a byte that is not ASCII.
        flags = ((word ^ ones * 34) - ones) | ((word ^ ones * 92) - ones) | (word - ones * 32)
        flags = ((flags & ~word) | word) & (ones << 7)
        if not flags:
            at += 8
            continue
        # Only the lowest flag is certain: a subtraction may borrow from the byte above it.
        at += lowest_bit(flags) >> 3
        if at[0] < 0x80:
            return at if at[0] == 34 else NULL
        is_ascii[0] = False
        at += 1
    while at < end:
        if at[0] == 34:
            return at
        if at[0] == 92 or at[0] < 32:
            return NULL
        if at[0] >= 0x80:
            is_ascii[0] = False
        at += 1
    return NULL


cdef inline int32_t code_points(const uint8_t *text, int32_t length) noexcept nogil:
    """Return the number of code points of a UTF-8 text, -1 where it is none."""
    cdef int32_t at = 0, count = 0, more, i
    cdef uint32_t point
    while at < length:
        point = text[at]
        if point < 0x80:
            more = 0
        elif 0xC2 <= point < 0xE0:
            more = 1
            point &= 0x1F
        elif 0xE0 <= point < 0xF0:
            more = 2
            point &= 0x0F
        elif 0xF0 <= point < 0xF5:
            more = 3
            point &= 0x07
        else:
            return -1
        if at + more >= length:
            return -1
        for i in range(1, more + 1):
            if text[at + i] & 0xC0 != 0x80:
                return -1
            point = point << 6 | (text[at + i] & 0x3F)
        if (more == 2 and (point < 0x800 or 0xD800 <= point < 0xE000)) or (
            more == 3 and (point < 0x10000 or point > 0x10FFFF)
        ):
            return -1
        at += more + 1
        count += 1
    return count


cdef inline bint is_admitted(const uint8_t *text, int32_t length, bint is_ascii, int32_t limit) noexcept nogil:
    """Return whether a text that does not begin with `__` is no longer than `limit` code points."""
    cdef int32_t points = length if is_ascii else code_points(text, length)
    return 0 < points <= limit


cdef inline const uint8_t *after_digits(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """Return what follows at least one digit, NULL if there is none."""
    cdef const uint8_t *start = at
    while at < end and 48 <= at[0] <= 57:
        at += 1
    return at if at > start else NULL


cdef inline const uint8_t *after_number(const uint8_t *at, const uint8_t *end) noexcept nogil:
    if at < end and at[0] == 45:
        at += 1
    if at < end and at[0] == 48:
        at += 1
    else:
        at = after_digits(at, end)
    if at != NULL and at < end and at[0] == 46:
        at = after_digits(at + 1, end)
    if at != NULL and at < end and at[0] | 32 == 101:
        at += 1
        if at < end and (at[0] == 43 or at[0] == 45):
            at += 1
        at = after_digits(at, end)
    return at


cdef inline const uint8_t *after_text(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """Return what follows the text whose opening quote was passed."""
    cdef bint is_ascii = True
    cdef const uint8_t *quote = closing_quote(at, end, &is_ascii)
    if quote == NULL or (not is_ascii and code_points(at, <int32_t>(quote - at)) < 0):
        return NULL
    return quote + 1


cdef inline const uint8_t *after_word(const uint8_t *at, const uint8_t *end, const uint8_t *word, int length) noexcept nogil:
    return at + length if end - at >= length and memcmp(at, word, length) == 0 else NULL


cdef inline const uint8_t *after_value(const uint8_t *at, const uint8_t *end, int depth) noexcept nogil:
    """Return what follows a JSON value that nobody reads, NULL if it is not strict JSON for certain."""
    cdef uint8_t closing
    if at >= end or depth > DEPTH_LIMIT:
        return NULL
    if at[0] == 34:
        return after_text(at + 1, end)
    if at[0] == 116:
        return after_word(at, end, b"true", 4)
    if at[0] == 102:
        return after_word(at, end, b"false", 5)
    if at[0] == 110:
        return after_word(at, end, b"null", 4)
    if at[0] != 91 and at[0] != 123:
        return after_number(at, end)
    closing = at[0] + 2
    at = after_space(at + 1, end)
    if at < end and at[0] == closing:
        return at + 1
    while True:
        if closing == 125:
            if at >= end or at[0] != 34:
                return NULL
            at = after_text(at + 1, end)
            if at == NULL:
                return NULL
            at = after_space(at, end)
            if at >= end or at[0] != 58:
                return NULL
            at = after_space(at + 1, end)
        at = after_value(at, end, depth + 1)
        if at == NULL:
            return NULL
        at = after_space(at, end)
        if at >= end:
            return NULL
        if at[0] == closing:
            return at + 1
        if at[0] != 44:
            return NULL
        at = after_space(at + 1, end)
