# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Well-formed events into columns, straight from the bytes of their records.

It admits a record only if every rule of `streams.domain.decoding` admits it for certain, and leaves all others to
that module: whatever is unusual (an escape, a key given twice, a number with a fraction) and whatever is wrong.
So it never decides a rejection, and there is one place that names reasons.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8

import numpy as np

from streams.native.dictionary cimport Dictionary, Entry, add, code_of, enlarge, forget, head_of, release
from streams.native.records cimport Values
from streams.native.scanning cimport (
    after_space,
    after_text,
    after_value,
    after_word,
    closing_quote,
    is_admitted,
    little_64,
    lowest_bit,
)

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *length) except NULL

cdef extern from "xxh3.h" nogil:
    size_t XXH3_LIMIT_BYTES
    uint64_t xxh3_64(const uint8_t *text, size_t length)

cdef enum:
    NUMBER, TEXT, CHOICE, FLAG
cdef enum:
    CHECKED, CODED, HASHED
cdef enum:
    FIELDS_LIMIT = 64  # one bit each in a word
    DIGITS_LIMIT = 18  # below 2^63 for certain
    WORDS_LIMIT = 4  # of 8 bytes, of a field's name as it stands in front of its value

cdef const uint8_t *TRUE = b"true"
cdef const uint8_t *FALSE = b"false"
cdef uint64_t HEAD_OF_TRUE = int.from_bytes(b"true", "little"), HEAD_OF_FALSE = int.from_bytes(b"false", "little")


cdef struct Field:
    const uint8_t *name
    int32_t name_length
    # The name, its closing quote and a colon: compared word by word, at the place where the field is expected.
    uint64_t words[WORDS_LIMIT]
    uint64_t masks[WORDS_LIMIT]
    int word_count  # 0: too long for that
    int kind
    int keep
    int row  # of the column among those of its kind
    int64_t least
    int64_t most
    int64_t default_number
    const uint8_t *default_text
    int32_t default_length
    uint64_t default_head


cdef inline bint is_followed_by(const uint8_t *at, const uint8_t *end, Field *field) noexcept nogil:
    """Return whether the rest of a field's name and a colon stand here, behind the opening quote."""
    cdef int word
    if field.word_count == 0 or end - at < 8 * field.word_count:
        return False
    for word in range(field.word_count):
        if (little_64(at + 8 * word) ^ field.words[word]) & field.masks[word]:
            return False
    return True


cdef class EventReader:
    """Reads the events of one fact. Used by one thread at a time.

    Between batches it holds the texts of coded columns, so that one met before costs a look-up and no Python object.
    """

    cdef Field fields[FIELDS_LIMIT]
    # The field that stood first in an event last time, then the one that stood behind each.
    cdef int follower[FIELDS_LIMIT + 1]
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
    cdef list _texts  # of each coded column, by code
    cdef Py_ssize_t vocabulary_limit
    # The batch at hand:
    cdef Py_ssize_t count
    cdef int64_t *number_columns
    cdef int64_t *code_columns
    cdef uint64_t *hash_columns

    def __cinit__(self, fields, *, int32_t text_limit, int32_t value_limit, Py_ssize_t vocabulary_limit):
        """Prepare for fields, each (name, kind, keep, default, limits or choices); a default of None: required.

        Kinds are "number", "text", "choice" and "flag"; a text is kept as "coded", "hashed" or "checked" only.
        A coded column's texts are forgotten at the beginning of a batch where there are `vocabulary_limit` of them.
        """
        cdef int i
        assert len(fields) <= FIELDS_LIMIT
        self.vocabulary_limit = vocabulary_limit
        self.text_limit = text_limit
        self.value_limit = value_limit
        self._owners, self._choices, self.numbers, self.coded, self.hashed = [], [], [], [], []
        for field in fields:
            self._add(*field)
        self._texts = [[] for _ in self.coded]
        self.dictionaries = <Dictionary *>calloc(max(1, len(self.coded)), sizeof(Dictionary))
        if self.dictionaries == NULL:
            raise MemoryError
        for i in range(len(self.coded)):
            enlarge(&self.dictionaries[i])

    def __dealloc__(self):
        cdef int i
        if self.dictionaries != NULL:
            for i in range(len(self.coded)):
                release(&self.dictionaries[i])
            free(self.dictionaries)

    def _add(self, str name, str kind, str keep, default, admitted):
        cdef Field *field = &self.fields[self.field_count]
        assert keep == "coded" or kind == "text", name
        if default is None:
            self.required |= <uint64_t>1 << self.field_count
        else:
            self.optional |= <uint64_t>1 << self.field_count
        self.follower[self.field_count] = self.field_count
        self.field_count += 1
        field.name = self._owned(name, &field.name_length)
        self._set_words(field, name.encode() + b'":')
        field.kind = {"number": NUMBER, "text": TEXT, "choice": CHOICE, "flag": FLAG}[kind]
        field.keep = {"checked": CHECKED, "coded": CODED, "hashed": HASHED}[keep]
        self._choices.append([choice.encode() for choice in admitted] if kind == "choice" else [])
        if kind == "number":
            field.least, field.most = admitted
            field.default_number = 0 if default is None else default
        else:
            field.default_text = self._owned(default or "", &field.default_length)
            field.default_head = int.from_bytes((default or "").encode()[:8], "little")
        if keep != "checked":
            columns = self.hashed if keep == "hashed" else self.numbers if kind == "number" else self.coded
            field.row = len(columns)
            columns.append(name)

    cdef int _set_words(self, Field *field, bytes token) except -1:
        cdef int word
        if len(token) > 8 * WORDS_LIMIT:
            return 0
        field.word_count = (len(token) + 7) // 8
        for word in range(field.word_count):
            part = token[8 * word : 8 * word + 8]
            field.words[word] = int.from_bytes(part, "little")
            field.masks[word] = int.from_bytes(b"\xff" * len(part), "little")
        return 0

    cdef const uint8_t *_owned(self, str text, int32_t *length):
        encoded = text.encode()
        self._owners.append(encoded)
        length[0] = <int32_t>PyBytes_GET_SIZE(encoded)
        return <const uint8_t *>PyBytes_AS_STRING(encoded)

    def read(self, Values values not None):
        """Return which records are events for certain, and columns with an entry for every record.

        (is_read, {name: numbers}, {name: (codes, texts)}, {name: hashes}): entries of records that were not read
        mean nothing. `texts` holds what any batch brought, records that were not read among it; a code means the same
        text as long as `texts` is the same object. The hash of a text that was not given is 0.
        """
        cdef int column
        self.count = values.count
        is_read = np.zeros(self.count, dtype=np.bool_)
        numbers = np.empty((len(self.numbers), self.count), dtype=np.int64)
        codes = np.zeros((len(self.coded), self.count), dtype=np.int64)
        hashes = np.empty((len(self.hashed), self.count), dtype=np.uint64)
        self.number_columns = <int64_t *><size_t>numbers.ctypes.data
        self.code_columns = <int64_t *><size_t>codes.ctypes.data
        self.hash_columns = <uint64_t *><size_t>hashes.ctypes.data
        self._forget_full()
        self._read(values, <uint8_t *><size_t>is_read.ctypes.data)
        for column in range(len(self.coded)):
            self._keep_new(column)
        texts = dict(zip(self.coded, zip(codes, self._texts)))
        return is_read, dict(zip(self.numbers, numbers)), texts, dict(zip(self.hashed, hashes))

    def encode(self, str name, texts):
        """Return the codes of texts of a coded column, and all its texts, as `read` numbers them."""
        cdef int column = self.coded.index(name)
        cdef Dictionary *known = &self.dictionaries[column]
        cdef list kept = self._texts[column]
        cdef Py_ssize_t i, length = 0
        cdef uint32_t hash = 0
        cdef uint64_t head
        cdef int64_t code
        cdef const uint8_t *start
        codes = np.empty(len(texts), dtype=np.int64)
        cdef int64_t *code_column = <int64_t *><size_t>codes.ctypes.data
        for i, text in enumerate(texts):
            start = <const uint8_t *>PyUnicode_AsUTF8AndSize(text, &length)
            head = int.from_bytes(start[:min(length, 8)], "little")  # there need not be 8 bytes to read
            code = code_of(known, head, start, <int32_t>length, &hash)
            if code < 0:
                code = add(known, head, start, <int32_t>length, hash)
                kept.append(text)
            code_column[i] = code
        return codes, kept

    cdef int _forget_full(self) except -1:
        cdef int column
        for column in range(len(self._texts)):
            if self.dictionaries[column].count >= self.vocabulary_limit:
                forget(&self.dictionaries[column])
                self._texts[column] = []
        return 0

    cdef int _keep_new(self, int column) except -1:
        """Make texts of those that this batch brought: its bytes go, and the entries must outlast them."""
        cdef list kept = self._texts[column]
        cdef Dictionary *known = &self.dictionaries[column]
        cdef Entry *entry
        cdef uint32_t code
        for code in range(<uint32_t>len(kept), known.count):
            entry = &known.entries[code]
            text = PyUnicode_DecodeUTF8(<const char *>entry.text, entry.length, NULL)
            entry.text = <const uint8_t *>PyUnicode_AsUTF8AndSize(text, NULL)
            kept.append(text)
        return 0

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
            field = self.follower[previous + 1]
            if is_followed_by(name, end, &self.fields[field]):
                at = name + self.fields[field].name_length + 1
            else:
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
        """Return the field of a name, -1 for an unknown one. Producers write fields in one order: it is remembered."""
        cdef int field
        for field in range(self.field_count):
            if self.fields[field].name_length == length and memcmp(self.fields[field].name, name, length) == 0:
                self.follower[previous + 1] = field
                return field
        return -1

    cdef inline const uint8_t *_take(
        self, Field *field, Py_ssize_t i, const uint8_t *at, const uint8_t *end
    ) except? NULL nogil:
        """Put a value into its column; return what follows, NULL if it is not admitted for certain."""
        if field.kind == NUMBER:
            return self._take_number(field, i, at, end)
        if field.kind == FLAG:
            if after_word(at, end, TRUE, 4) != NULL:
                return at + 4 if self._code(field, i, HEAD_OF_TRUE, TRUE, 4, True) else NULL
            if after_word(at, end, FALSE, 5) != NULL:
                return at + 5 if self._code(field, i, HEAD_OF_FALSE, FALSE, 5, True) else NULL
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
            return quote + 1 if self._code(field, i, head_of(at, length), at, length, is_ascii) else NULL
        if not is_admitted(at, length, is_ascii, self.text_limit):
            return NULL
        if field.keep == HASHED:
            if <size_t>length > XXH3_LIMIT_BYTES:
                return NULL
            self.hash_columns[field.row * self.count + i] = xxh3_64(at, length)
        return quote + 1

    cdef inline bint _code(
        self, Field *field, Py_ssize_t i, uint64_t head, const uint8_t *text, int32_t length, bint is_ascii
    ) except? 0 nogil:
        """Put the code of a text into its column; return whether the text is admitted, which only a new one may not be."""
        cdef Dictionary *known = &self.dictionaries[field.row]
        cdef uint32_t hash = 0
        cdef int64_t code = code_of(known, head, text, length, &hash)
        if code < 0:
            if field.kind == TEXT and not is_admitted(text, length, is_ascii, self.text_limit):
                return False
            if field.kind == CHOICE and not self._is_choice(field, text, length):
                return False
            code = add(known, head, text, length, hash)
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
            code = code_of(known, field.default_head, field.default_text, field.default_length, &hash)
            if code < 0:
                code = add(known, field.default_head, field.default_text, field.default_length, hash)
            self.code_columns[field.row * self.count + i] = code
        return 0
