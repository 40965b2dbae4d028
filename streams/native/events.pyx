# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Well-formed events into columns, straight from the bytes of their records.

It admits a record only if every rule of `streams.domain.decoding` admits it for certain, and leaves all others to
that module: whatever is unusual (an escape, a key given twice, a number with a fraction) and whatever is wrong.
So it never decides a rejection, and there is one place that names reasons.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memset
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

import numpy as np

from streams.native.records cimport Values

cdef extern from "xxh3.h" nogil:
    size_t XXH3_LIMIT_BYTES
    uint64_t xxh3_64(const uint8_t *text, size_t length)
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
    NUMBER, TEXT, CHOICE, FLAG
cdef enum:
    CHECKED, CODED, HASHED
cdef enum:
    FIELDS_LIMIT = 64  # one bit each in a word
    DIGITS_LIMIT = 18  # below 2^63 for certain
    DEPTH_LIMIT = 32
    SLOTS_LEAST = 64

cdef uint64_t ONES = 0x0101010101010101, HIGHS = 0x8080808080808080
cdef const uint8_t *TRUE = b"true"
cdef const uint8_t *FALSE = b"false"


cdef struct Field:
    const uint8_t *name
    int32_t name_length
    int kind
    int keep
    int row  # of the column among those of its kind
    int64_t least
    int64_t most
    int64_t default_number
    const uint8_t *default_text
    int32_t default_length


cdef struct Dictionary:
    # The different texts of one column in the order of their first appearance. A slot holds a code + 1, or 0.
    uint32_t *slots
    uint32_t mask
    uint32_t count
    uint32_t last
    const uint8_t **texts
    int32_t *lengths
    uint32_t *hashes


# -- texts ------------------------------------------------------------------------------------------------------


cdef inline const uint8_t *after_space(const uint8_t *at, const uint8_t *end) noexcept nogil:
    while at < end and (at[0] == 32 or at[0] == 10 or at[0] == 13 or at[0] == 9):
        at += 1
    return at


cdef inline const uint8_t *closing_quote(const uint8_t *at, const uint8_t *end, bint *is_ascii) noexcept nogil:
    """Return the quote that ends a text which begins at `at`, NULL for one with an escape or a control character."""
    cdef uint64_t word, flags
    while end - at >= 8:
        word = little_64(at)
        # In each byte the high bit is set for a quote, a backslash, a control character or a byte that is not ASCII.
        flags = ((word ^ ONES * 34) - ONES) | ((word ^ ONES * 92) - ONES) | (word - ONES * 32)
        flags = ((flags & ~word) | word) & HIGHS
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


cdef int32_t code_points(const uint8_t *text, int32_t length) noexcept nogil:
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


# -- dictionaries -----------------------------------------------------------------------------------------------


cdef inline uint32_t slot_hash(const uint8_t *text, int32_t length) noexcept nogil:
    cdef uint64_t hash = length
    cdef int32_t at = 0
    while length - at >= 8:
        hash = (hash ^ little_64(text + at)) * <uint64_t>0x9E3779B97F4A7C15
        hash ^= hash >> 32
        at += 8
    while at < length:
        hash = (hash ^ text[at]) * <uint64_t>0x9E3779B97F4A7C15
        at += 1
    return <uint32_t>(hash ^ hash >> 32)


cdef int enlarge(Dictionary *known) except -1 nogil:
    """Double the slots and the room for texts."""
    cdef uint32_t slots = (known.mask + 1) * 2 if known.slots != NULL else SLOTS_LEAST
    cdef uint32_t code, slot
    cdef void *made = calloc(slots, sizeof(uint32_t))
    if made == NULL:
        raise MemoryError
    free(known.slots)
    known.slots = <uint32_t *>made
    known.mask = slots - 1
    made = realloc(known.texts, slots // 2 * sizeof(void *))
    if made == NULL:
        raise MemoryError
    known.texts = <const uint8_t **>made
    made = realloc(known.lengths, slots // 2 * sizeof(int32_t))
    if made == NULL:
        raise MemoryError
    known.lengths = <int32_t *>made
    made = realloc(known.hashes, slots // 2 * sizeof(uint32_t))
    if made == NULL:
        raise MemoryError
    known.hashes = <uint32_t *>made
    for code in range(known.count):
        slot = known.hashes[code] & known.mask
        while known.slots[slot]:
            slot = (slot + 1) & known.mask
        known.slots[slot] = code + 1
    return 0


cdef inline bint is_text(Dictionary *known, uint32_t code, const uint8_t *text, int32_t length) noexcept nogil:
    return known.lengths[code] == length and memcmp(known.texts[code], text, length) == 0


cdef inline int64_t code_of(Dictionary *known, const uint8_t *text, int32_t length, uint32_t *hash) noexcept nogil:
    """Return the code of a text, -1 if it is new; `hash` is for `add`."""
    cdef uint32_t slot
    if known.count and is_text(known, known.last, text, length):
        return known.last
    hash[0] = slot_hash(text, length)
    slot = hash[0] & known.mask
    while known.slots[slot]:
        if is_text(known, known.slots[slot] - 1, text, length):
            known.last = known.slots[slot] - 1
            return known.last
        slot = (slot + 1) & known.mask
    return -1


cdef int64_t add(Dictionary *known, const uint8_t *text, int32_t length, uint32_t hash) except -1 nogil:
    """Return the code of a text that is new."""
    cdef uint32_t slot
    if known.count * 2 > known.mask:
        enlarge(known)
    slot = hash & known.mask
    while known.slots[slot]:
        slot = (slot + 1) & known.mask
    known.last = known.count
    known.count += 1
    known.slots[slot] = known.count
    known.texts[known.last] = text
    known.lengths[known.last] = length
    known.hashes[known.last] = hash
    return known.last


# -- JSON that is not an event's --------------------------------------------------------------------------------


cdef inline const uint8_t *after_digits(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """Return what follows at least one digit, NULL if there is none."""
    cdef const uint8_t *start = at
    while at < end and 48 <= at[0] <= 57:
        at += 1
    return at if at > start else NULL


cdef const uint8_t *after_number(const uint8_t *at, const uint8_t *end) noexcept nogil:
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


cdef const uint8_t *after_text(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """Return what follows the text whose opening quote was passed."""
    cdef bint is_ascii = True
    cdef const uint8_t *quote = closing_quote(at, end, &is_ascii)
    if quote == NULL or (not is_ascii and code_points(at, <int32_t>(quote - at)) < 0):
        return NULL
    return quote + 1


cdef const uint8_t *after_word(const uint8_t *at, const uint8_t *end, const uint8_t *word, int length) noexcept nogil:
    return at + length if end - at >= length and memcmp(at, word, length) == 0 else NULL


cdef const uint8_t *after_value(const uint8_t *at, const uint8_t *end, int depth) noexcept nogil:
    """Return what follows a JSON value that nobody reads, NULL if it is not strict JSON for certain."""
    cdef uint8_t closing
    if at >= end or depth > DEPTH_LIMIT:
        return NULL
    if at[0] == 34:
        return after_text(at + 1, end)
    if at[0] == 116:
        return after_word(at, end, TRUE, 4)
    if at[0] == 102:
        return after_word(at, end, FALSE, 5)
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


# -- events -----------------------------------------------------------------------------------------------------


cdef class EventReader:
    """Reads the events of one fact. Holds nothing between batches but memory; used by one thread at a time."""

    cdef Field fields[FIELDS_LIMIT]
    cdef int follower[FIELDS_LIMIT + 1]  # the field that stood behind each one last time; behind the last: the first
    cdef int field_count
    cdef uint64_t required
    cdef uint64_t optional
    cdef int32_t text_limit
    cdef int32_t value_limit
    cdef list _owners
    cdef list _choices
    cdef readonly list numbers
    cdef readonly list coded
    cdef readonly list hashed
    cdef Dictionary *dictionaries
    # Of the batch at hand:
    cdef Py_ssize_t count
    cdef int64_t *number_columns
    cdef int64_t *code_columns
    cdef uint64_t *hash_columns

    def __cinit__(self, fields, *, int32_t text_limit, int32_t value_limit):
        """Prepare for fields, each (name, kind, keep, default, limits or choices); a default of None: required.

        Kinds are "number", "text", "choice" and "flag"; a text is kept as "coded", "hashed" or "checked" only.
        """
        cdef Field *field
        cdef int i
        assert len(fields) <= FIELDS_LIMIT
        self.text_limit = text_limit
        self.value_limit = value_limit
        self._owners, self._choices, self.numbers, self.coded, self.hashed = [], [], [], [], []
        self.field_count = len(fields)
        for i, (name, kind, keep, default, admitted) in enumerate(fields):
            field = &self.fields[i]
            field.name = self._owned(name, &field.name_length)
            field.kind = {"number": NUMBER, "text": TEXT, "choice": CHOICE, "flag": FLAG}[kind]
            field.keep = {"checked": CHECKED, "coded": CODED, "hashed": HASHED}[keep]
            self._choices.append([choice.encode() for choice in admitted] if kind == "choice" else [])
            self.follower[i + 1] = i + 1
            if default is None:
                self.required |= <uint64_t>1 << i
            else:
                self.optional |= <uint64_t>1 << i
            assert keep == "coded" or kind == "text", name
            columns = self.hashed if keep == "hashed" else self.numbers if kind == "number" else self.coded
            field.row = len(columns)
            if kind == "number":
                field.least, field.most = admitted
                field.default_number = 0 if default is None else default
            else:
                field.default_text = self._owned(default or "", &field.default_length)
            if kind == "number" or keep != "checked":
                columns.append(name)
        self.follower[0] = 0
        self.dictionaries = <Dictionary *>calloc(max(1, len(self.coded)), sizeof(Dictionary))
        if self.dictionaries == NULL:
            raise MemoryError
        for i in range(len(self.coded)):
            enlarge(&self.dictionaries[i])

    def __dealloc__(self):
        cdef int i
        if self.dictionaries != NULL:
            for i in range(len(self.coded)):
                free(self.dictionaries[i].slots)
                free(self.dictionaries[i].texts)
                free(self.dictionaries[i].lengths)
                free(self.dictionaries[i].hashes)
            free(self.dictionaries)

    cdef const uint8_t *_owned(self, str text, int32_t *length):
        encoded = text.encode()
        self._owners.append(encoded)
        length[0] = <int32_t>PyBytes_GET_SIZE(encoded)
        return <const uint8_t *>PyBytes_AS_STRING(encoded)

    def read(self, Values values not None):
        """Return which records are events for certain, and columns with an entry for every record.

        (is_read, {name: numbers}, {name: (codes, texts)}, {name: hashes}): entries of records that were not read
        mean nothing, except that `texts` stand in the order of their first appearance in the records read. The hash of
        a text that was not given is 0.
        """
        cdef Py_ssize_t i
        cdef int column
        cdef Dictionary *known
        self.count = values.count
        is_read = np.zeros(self.count, dtype=np.bool_)
        numbers = np.empty((len(self.numbers), self.count), dtype=np.int64)
        codes = np.zeros((len(self.coded), self.count), dtype=np.int64)
        hashes = np.empty((len(self.hashed), self.count), dtype=np.uint64)
        self.number_columns = <int64_t *><size_t>numbers.ctypes.data
        self.code_columns = <int64_t *><size_t>codes.ctypes.data
        self.hash_columns = <uint64_t *><size_t>hashes.ctypes.data
        self._read(values, <uint8_t *><size_t>is_read.ctypes.data)
        texts = {}
        for column, name in enumerate(self.coded):
            known = &self.dictionaries[column]
            texts[name] = codes[column], [
                known.texts[code][: known.lengths[code]].decode() for code in range(known.count)
            ]
            memset(known.slots, 0, (known.mask + 1) * sizeof(uint32_t))
            known.count = 0
        return is_read, dict(zip(self.numbers, numbers)), texts, dict(zip(self.hashed, hashes))

    cdef int _read(self, Values values, uint8_t *is_read) except -1:
        cdef Py_ssize_t i
        with nogil:
            for i in range(values.count):
                if 0 < values.lengths[i] <= self.value_limit:
                    is_read[i] = self._read_event(i, values.starts[i], values.starts[i] + values.lengths[i])
        return 0

    cdef int _read_event(self, Py_ssize_t i, const uint8_t *at, const uint8_t *end) except -1 nogil:
        """Return 1 if the record is an event, its fields now in the columns, else 0."""
        cdef uint64_t given = 0, missing
        cdef const uint8_t *name
        cdef int field, previous = -1
        at = after_space(at, end)
        if at >= end or at[0] != 123:
            return 0
        while True:
            at = after_space(at + 1, end)
            if at >= end or at[0] != 34:
                return 0  # also for the empty object, which lacks every field
            name = at + 1
            at = after_text(name, end)
            if at == NULL:
                return 0
            field = self._field(previous, name, <int32_t>(at - 1 - name))
            at = after_space(at, end)
            if at >= end or at[0] != 58:
                return 0
            at = after_space(at + 1, end)
            if field < 0:
                at = after_value(at, end, 0)
            elif given >> field & 1:
                return 0
            else:
                given |= <uint64_t>1 << field
                previous = field
                at = self._take(&self.fields[field], i, at, end)
            if at == NULL:
                return 0
            at = after_space(at, end)
            if at >= end:
                return 0
            if at[0] == 125:
                break
            if at[0] != 44:
                return 0
        if after_space(at + 1, end) != end or given & self.required != self.required:
            return 0
        missing = self.optional & ~given
        while missing:
            self._take_default(&self.fields[lowest_bit(missing)], i)
            missing &= missing - 1
        return 1

    cdef inline int _field(self, int previous, const uint8_t *name, int32_t length) noexcept nogil:
        """Return the field of a name, -1 for an unknown one. Producers write fields in one order: it is tried first."""
        cdef int field = self.follower[previous + 1]
        if field < self.field_count and self._is_named(field, name, length):
            return field
        for field in range(self.field_count):
            if self._is_named(field, name, length):
                self.follower[previous + 1] = field
                return field
        return -1

    cdef inline bint _is_named(self, int field, const uint8_t *name, int32_t length) noexcept nogil:
        return self.fields[field].name_length == length and memcmp(self.fields[field].name, name, length) == 0

    cdef inline const uint8_t *_take(
        self, Field *field, Py_ssize_t i, const uint8_t *at, const uint8_t *end
    ) except? NULL nogil:
        """Put a value into its column; return what follows, NULL if it is not admitted for certain."""
        if field.kind == NUMBER:
            return self._take_number(field, i, at, end)
        if field.kind == FLAG:
            if after_word(at, end, TRUE, 4) != NULL:
                return at + 4 if self._code(field, i, TRUE, 4, False) else NULL
            if after_word(at, end, FALSE, 5) != NULL:
                return at + 5 if self._code(field, i, FALSE, 5, False) else NULL
            return NULL
        if at >= end or at[0] != 34:
            return NULL
        return self._take_text(field, i, at + 1, end)

    cdef inline const uint8_t *_take_number(
        self, Field *field, Py_ssize_t i, const uint8_t *at, const uint8_t *end
    ) noexcept nogil:
        cdef const uint8_t *start = at
        cdef int64_t number = 0
        while at < end and 48 <= at[0] <= 57 and at - start < DIGITS_LIMIT:
            number = number * 10 + (at[0] - 48)
            at += 1
        if at == start or (start[0] == 48 and at - start > 1) or number < field.least or number > field.most:
            return NULL
        # What follows is a comma, a bracket or space, else the caller's next look refuses it: 1.5, 1e3, more digits.
        self.number_columns[field.row * self.count + i] = number
        return at

    cdef inline const uint8_t *_take_text(
        self, Field *field, Py_ssize_t i, const uint8_t *at, const uint8_t *end
    ) except? NULL nogil:
        cdef bint is_ascii = True
        cdef const uint8_t *quote = closing_quote(at, end, &is_ascii)
        cdef int32_t length
        if quote == NULL or quote == at or (at[0] == 95 and at[1] == 95):
            return NULL
        length = <int32_t>(quote - at)
        if field.keep == CODED:
            return quote + 1 if self._code(field, i, at, length, is_ascii) else NULL
        if not is_admitted(at, length, is_ascii, self.text_limit):
            return NULL
        if field.keep == HASHED:
            if <size_t>length > XXH3_LIMIT_BYTES:
                return NULL
            self.hash_columns[field.row * self.count + i] = xxh3_64(at, length)
        return quote + 1

    cdef inline bint _code(
        self, Field *field, Py_ssize_t i, const uint8_t *text, int32_t length, bint is_ascii
    ) except? 0 nogil:
        """Put the code of a text into its column; return whether the text is admitted, which only a new one may not be."""
        cdef Dictionary *known = &self.dictionaries[field.row]
        cdef uint32_t hash = 0
        cdef int64_t code = code_of(known, text, length, &hash)
        if code < 0:
            if field.kind == TEXT and not is_admitted(text, length, is_ascii, self.text_limit):
                return False
            if field.kind == CHOICE and not self._is_choice(field, text, length):
                return False
            code = add(known, text, length, hash)
        self.code_columns[field.row * self.count + i] = code
        return True

    cdef bint _is_choice(self, Field *field, const uint8_t *text, int32_t length) except? 0 nogil:
        with gil:
            return text[:length] in <list>self._choices[field - &self.fields[0]]

    cdef inline int _take_default(self, Field *field, Py_ssize_t i) except -1 nogil:
        cdef Dictionary *known
        cdef uint32_t hash = 0
        cdef int64_t code
        if field.kind == NUMBER:
            self.number_columns[field.row * self.count + i] = field.default_number
        elif field.keep == HASHED:
            self.hash_columns[field.row * self.count + i] = 0
        elif field.keep == CODED:
            known = &self.dictionaries[field.row]
            code = code_of(known, field.default_text, field.default_length, &hash)
            if code < 0:
                code = add(known, field.default_text, field.default_length, hash)
            self.code_columns[field.row * self.count + i] = code
        return 0
