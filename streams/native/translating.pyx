# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Records of a foreign topic into events by a map, straight from their bytes into the bytes that are sent.

It translates a record only if the rules (`streams.bridge.plan`) make one event of it for certain, and leaves all others
to them: whatever is unusual and whatever is wrong. So it never decides a rejection.
"""

from libc.stdint cimport INT32_MAX, int8_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memcpy, memset
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

import numpy as np

from streams.native.avro_types cimport Schema, Symbol, Type, read_value
from streams.native.exact cimport read_base64, read_decimal, read_digits, read_iso, shifted_by
from streams.native.json_paths cimport Node, Walk, walk_value
from streams.native.records cimport Values, read_bytes, read_varint
from streams.native.scanning cimport after_space
from streams.native.slots cimport ABSENT, BYTES, FRACTION, INTEGER, NO, OBJECT, TEXT, YES, Slot, put_integer, put_unquoted
from streams.native.writing cimport put_number

cdef enum:
    LEFT, IGNORED, SENT
cdef enum:
    TEXTS, TEMPLATE, MADE, TIME, AMOUNT, COUNT, FLAG
cdef enum:
    FIELDS_LIMIT = 64
    CODES = 26 * 26 * 26  # of three capital letters
    NUMBER_BYTES = 20  # of a number of 64 bits with its sign
    UNKNOWN = 127  # of a currency that is none
    EXACT_LENGTH = 16  # of a number with a point

cdef int64_t COUNT_LIMIT = 1_000_000_000_000_000_000
cdef int64_t TIME_LIMIT = 9_000_000_000_000_000  # times 1,000 it is still below 2^63

KINDS = {"text": TEXTS, "template": TEMPLATE, "made": MADE, "time": TIME, "amount": AMOUNT, "count": COUNT, "flag": FLAG}


cdef struct Span:
    const uint8_t *start
    int32_t length


cdef struct Choice:
    Span text
    Span meant
    int number


cdef struct Part:
    Span literal
    int slot  # -1: nothing follows


cdef struct When:
    Span ops  # one letter each
    int after  # -1: whatever has changed
    int before
    Span to
    int event_type


cdef struct Field:
    int kind
    Span name
    int first  # of its slots, or of its parts
    int count
    uint32_t types
    bint is_required
    Slot fallback
    int first_choice
    int choice_count  # -1: every text
    bint is_upper
    int64_t multiplier  # of a number, in milliseconds; 0: numbers are left
    int64_t divider
    int64_t least
    bint takes_texts
    int currency  # the field that names it
    int table
    int scale  # -1: bytes are no amount
    bint is_base64
    uint8_t point


cdef class Translator:
    """Translates what is written in one schema, by one source of a map. Used by one thread at a time."""

    cdef list _owners
    cdef Node *nodes
    cdef Type *types
    cdef int *members
    cdef Symbol *symbols
    cdef Slot *slots
    cdef int slot_count
    cdef Field fields[FIELDS_LIMIT]
    cdef int field_count
    cdef int *origins
    cdef Part *parts
    cdef Choice *choices
    cdef int8_t *tables
    cdef Span *headers
    cdef int *header_slots
    cdef int header_count
    cdef Span *heads
    cdef When *whens
    cdef int when_count
    cdef int key_slot, time_slot, offset_slot, partition_slot, unwrap_slot, op_slot
    cdef int fixed_type, first_type, type_origins, first_type_choice, type_choices
    cdef bint ignores_others
    cdef Span frame
    cdef int32_t frame_size
    cdef Span prefix  # of an event's id that is made
    cdef int key_field
    cdef int64_t earliest_ms, latest_ms
    cdef Py_ssize_t fixed_bytes, uses
    # What is written:
    cdef uint8_t *out
    cdef readonly Py_ssize_t used
    cdef Py_ssize_t room
    cdef Py_ssize_t texts[FIELDS_LIMIT]
    cdef int32_t lengths[FIELDS_LIMIT]  # -1: not given

    def __cinit__(self, program):
        """Take a `streams.bridge.compiled.Program`."""
        cdef int i
        self._owners = []
        self.slot_count = program.slot_count
        self.slots = <Slot *>self._room(program.slot_count, sizeof(Slot))
        self._set_payload(program)
        self._set_rules(program)
        self.fixed_bytes = max(map(len, program.heads)) + 2 * NUMBER_BYTES + len(program.prefix) + 2
        for i, field in enumerate(program.fields):
            self._set_field(&self.fields[i], field)
        self.field_count = len(program.fields)

    def __dealloc__(self):
        free(self.out)

    cdef void *_room(self, Py_ssize_t count, size_t size) except NULL:
        """Return room that lives as long as we do, with nothing in it."""
        room = PyBytes_FromStringAndSize(NULL, max(count, 1) * size)
        self._owners.append(room)
        memset(PyBytes_AS_STRING(room), 0, PyBytes_GET_SIZE(room))
        return <void *>PyBytes_AS_STRING(room)

    cdef int _own(self, Span *span, bytes text) except -1:
        self._owners.append(text)
        span.start = <const uint8_t *>PyBytes_AS_STRING(text)
        span.length = <int32_t>PyBytes_GET_SIZE(text)
        return 0

    cdef int _set_payload(self, program) except -1:
        cdef int i, j
        cdef Span span
        self.nodes = <Node *>self._room(len(program.nodes), sizeof(Node))
        for i, node in enumerate(program.nodes):
            self._own(&span, node.name)
            self.nodes[i] = Node(span.start, span.length, node.place, node.slot, node.child, node.sibling)
        self.types = <Type *>self._room(len(program.types), sizeof(Type)) if program.types else NULL
        self.members = <int *>self._room(sum(len(type.members) for type in program.types), sizeof(int))
        self.symbols = <Symbol *>self._room(sum(len(type.symbols) for type in program.types), sizeof(Symbol))
        first_member = first_symbol = 0
        for i, type in enumerate(program.types):
            first = first_symbol if type.symbols else first_member
            self.types[i] = Type(type.kind, type.slot, first, len(type.symbols or type.members), type.size)
            for j, member in enumerate(type.members):
                self.members[first_member + j] = member
            for j, symbol in enumerate(type.symbols):
                self._own(&span, symbol)
                self.symbols[first_symbol + j] = Symbol(span.start, span.length)
            first_member += len(type.members)
            first_symbol += len(type.symbols)
        return 0

    cdef int _set_rules(self, program) except -1:
        cdef int i
        self.headers = <Span *>self._room(len(program.headers), sizeof(Span))
        self.header_slots = <int *>self._room(len(program.headers), sizeof(int))
        self.header_count = len(program.headers)
        for i, (name, slot) in enumerate(program.headers):
            self._own(&self.headers[i], name)
            self.header_slots[i] = slot
        self.heads = <Span *>self._room(len(program.heads), sizeof(Span))
        for i, head in enumerate(program.heads):
            self._own(&self.heads[i], head)
        self.origins = <int *>self._room(len(program.origins), sizeof(int))
        for i, origin in enumerate(program.origins):
            self.origins[i] = origin
        self.parts = <Part *>self._room(len(program.parts), sizeof(Part))
        for i, (literal, slot) in enumerate(program.parts):
            self._own(&self.parts[i].literal, literal)
            self.parts[i].slot = slot
        self.choices = <Choice *>self._room(len(program.choices), sizeof(Choice))
        for i, (text, meant, number) in enumerate(program.choices):
            self._own(&self.choices[i].text, text)
            self._own(&self.choices[i].meant, meant)
            self.choices[i].number = number
        self.whens = <When *>self._room(len(program.whens), sizeof(When))
        self.when_count = len(program.whens)
        for i, when in enumerate(program.whens):
            self._own(&self.whens[i].ops, when.ops)
            self._own(&self.whens[i].to, when.to)
            self.whens[i].after, self.whens[i].before = when.after, when.before
            self.whens[i].event_type = when.event_type
        self.tables = <int8_t *>self._room(len(program.tables) * CODES, 1)
        for i, table in enumerate(program.tables):
            memset(self.tables + i * CODES, UNKNOWN, CODES)
            for code, shift in table.items():
                self.tables[i * CODES + self._code(code)] = shift
        self.key_slot, self.time_slot, self.offset_slot, self.partition_slot = program.record_slots
        self.unwrap_slot, self.op_slot = program.unwrap_slot, program.op_slot
        self.fixed_type, self.ignores_others = program.fixed_type, program.ignores_others
        self.first_type, self.type_origins = program.type_origins
        self.first_type_choice, self.type_choices = program.type_choices
        self._own(&self.frame, program.frame)
        self.frame_size, self.key_field = program.frame_size, program.key_field
        self._own(&self.prefix, program.prefix)
        self.earliest_ms, self.latest_ms = program.years
        return 0

    @staticmethod
    def _code(str code):
        assert len(code) == 3 and code.isascii() and code.isupper(), code
        return ((ord(code[0]) - 65) * 26 + (ord(code[1]) - 65)) * 26 + (ord(code[2]) - 65)

    cdef int _set_field(self, Field *field, given) except -1:
        cdef Span span
        field.kind = KINDS[given.kind]
        self._own(&field.name, given.name)
        field.first, field.count = given.origins
        field.types, field.is_required = given.types, given.is_required
        field.first_choice, field.choice_count = given.choices
        field.is_upper, field.takes_texts = given.is_upper, given.takes_texts
        field.multiplier, field.divider, field.least = given.multiplier, given.divider, given.least
        field.currency, field.table, field.scale = given.currency, given.table, given.scale
        field.is_base64, field.point = given.is_base64, given.point
        longest = 0
        if given.fallback is not None:
            if isinstance(given.fallback, bytes):
                self._own(&span, given.fallback)
                if not put_unquoted(&field.fallback, span.start, span.length) or field.fallback.kind != TEXT:
                    raise ValueError(given.fallback)
                longest = len(given.fallback)
            elif isinstance(given.fallback, bool):
                field.fallback.kind = YES if given.fallback else NO
            else:
                put_integer(&field.fallback, given.fallback, NULL, 0)
        longest += max([len(choice) for choice in given.longest], default=0)
        self.fixed_bytes += len(given.name) + longest + 2 * NUMBER_BYTES
        self.uses += max(1, field.count)
        return 0

    def translate(self, Values values not None, Values headers, Values keys not None, offsets, times, int partition):
        """Return what became of each record, its type of event, and keys and values of the events, in order.

        (outcomes, types, keys, values): 0 is left to the rules, 1 ignored, 2 sent. `headers` are sections of headers,
        None where there are none.
        """
        cdef Py_ssize_t i, j, count = values.count
        offsets = np.ascontiguousarray(offsets, dtype=np.int64)
        times = np.ascontiguousarray(times, dtype=np.int64)
        if not len(offsets) == len(times) == keys.count == count or (headers is not None and headers.count != count):
            raise ValueError("columns of one length each")
        outcomes, types = np.zeros(count, dtype=np.uint8), np.zeros(count, dtype=np.int64)
        places = np.empty((4, count), dtype=np.int64)
        cdef uint8_t *outcome = <uint8_t *><size_t>outcomes.ctypes.data
        cdef int64_t *event_type = <int64_t *><size_t>types.ctypes.data
        cdef int64_t *place = <int64_t *><size_t>places.ctypes.data
        cdef const int64_t *offset = <const int64_t *><size_t>offsets.ctypes.data
        cdef const int64_t *time = <const int64_t *><size_t>times.ctypes.data
        cdef Py_ssize_t begin, sent = 0
        self.used = 0
        for i in range(count):
            begin = self.used
            if values.lengths[i] <= 0:
                continue
            self._reserve(values, headers, keys, i)
            memset(self.slots, 0, self.slot_count * sizeof(Slot))
            outcome[i] = self._record(values, headers, keys, i, offset[i], time[i], partition, &event_type[i])
            if outcome[i] != SENT:
                self.used = begin
                continue
            place[sent] = begin
            place[count + sent] = self.used - begin
            place[2 * count + sent] = self.texts[self.key_field]
            place[3 * count + sent] = self.lengths[self.key_field]
            sent += 1
        written = PyBytes_FromStringAndSize(<char *>self.out, self.used)
        cdef const uint8_t *base = <const uint8_t *>PyBytes_AS_STRING(written)
        cdef Values made = Values(sent), made_keys = Values(sent)
        made._owners.append(written)
        made_keys._owners.append(written)
        for j in range(sent):
            made.starts[j] = base + place[j]
            made.lengths[j] = <int32_t>place[count + j]
            made_keys.starts[j] = base + place[2 * count + j]
            made_keys.lengths[j] = <int32_t>place[3 * count + j]
        return outcomes, types, made_keys, made

    cdef int _reserve(self, Values values, Values headers, Values keys, Py_ssize_t i) except -1:
        """Make room for whatever can come of a record."""
        cdef Py_ssize_t size = values.lengths[i] + (keys.lengths[i] if keys.lengths[i] > 0 else 0) + NUMBER_BYTES
        cdef uint8_t *out
        if headers is not None:
            size += headers.lengths[i]
        size = self.fixed_bytes + self.uses * size
        if size > INT32_MAX:
            raise OverflowError("a record of that size")
        if self.used + size > self.room:
            out = <uint8_t *>realloc(self.out, 2 * (self.used + size))
            if out == NULL:
                raise MemoryError
            self.out, self.room = out, 2 * (self.used + size)
        return 0

    cdef int _record(
        self,
        Values values,
        Values headers,
        Values keys,
        Py_ssize_t i,
        int64_t offset,
        int64_t time_ms,
        int partition,
        int64_t *event_type,
    ) noexcept nogil:
        cdef const uint8_t *at = values.starts[i]
        cdef const uint8_t *end = at + values.lengths[i]
        cdef int outcome, field
        if self.header_count and headers is not None and not self._take_headers(headers, i):
            return LEFT
        if self.frame_size:
            if end - at < self.frame_size or memcmp(at, self.frame.start, self.frame.length):
                return LEFT
            at += self.frame_size
        if not (self._take_json(at, end) if self.types == NULL else self._take_avro(at, end)):
            return LEFT
        if self.unwrap_slot >= 0 and self.slots[self.unwrap_slot].kind != OBJECT:
            return LEFT
        if self.key_slot >= 0 and keys.lengths[i] > 0:
            put_unquoted(&self.slots[self.key_slot], keys.starts[i], keys.lengths[i])
        if self.time_slot >= 0:
            put_integer(&self.slots[self.time_slot], time_ms, NULL, 0)
        if self.offset_slot >= 0:
            put_integer(&self.slots[self.offset_slot], offset, NULL, 0)
        if self.partition_slot >= 0:
            put_integer(&self.slots[self.partition_slot], partition, NULL, 0)
        outcome = self._take_change(event_type) if self.when_count else self._take_type(event_type)
        if outcome != SENT:
            return outcome
        self._put(&self.heads[event_type[0]])
        for field in range(self.field_count):
            self.lengths[field] = -1
            if self.fields[field].types >> event_type[0] & 1:
                if not self._take(field, offset, partition):
                    return LEFT
        self.out[self.used] = 125
        self.used += 1
        return SENT if self.lengths[self.key_field] >= 0 else LEFT

    cdef bint _take_headers(self, Values headers, Py_ssize_t i) noexcept nogil:
        """Take the headers that the map names, the last of several; return whether that is all there is to it."""
        cdef const uint8_t *at = headers.starts[i]
        cdef const uint8_t *end = at + headers.lengths[i]
        cdef const uint8_t *name = NULL
        cdef const uint8_t *value = NULL
        cdef int64_t number = 0
        cdef int32_t name_length = 0, length = 0
        cdef int header
        at = read_varint(at, end, &number)
        if at == NULL or number < 0:
            return False
        while number > 0:
            number -= 1
            at = read_bytes(at, end, &name, &name_length)
            if at != NULL:
                at = read_bytes(at, end, &value, &length)
            if at == NULL or name_length < 0:
                return False
            for header in range(self.header_count):
                if self.headers[header].length == name_length and not memcmp(
                    self.headers[header].start, name, name_length
                ):
                    if self.header_slots[header] < 0:
                        if length >= 0:
                            return False
                        continue
                    self.slots[self.header_slots[header]].kind = ABSENT
                    if length > 0:
                        put_unquoted(&self.slots[self.header_slots[header]], value, length)
        return True

    cdef bint _take_json(self, const uint8_t *at, const uint8_t *end) noexcept nogil:
        cdef Walk walk
        walk.nodes, walk.slots, walk.end = self.nodes, self.slots, end
        memset(walk.seen, 0, sizeof(walk.seen))
        at = after_space(at, end)
        if at >= end or at[0] != 123:
            return False
        at = walk_value(&walk, 0, at, 0)
        return at != NULL and after_space(at, end) == end

    cdef bint _take_avro(self, const uint8_t *at, const uint8_t *end) noexcept nogil:
        cdef Schema schema
        schema.types, schema.members, schema.symbols = self.types, self.members, self.symbols
        schema.slots, schema.end = self.slots, end
        return read_value(&schema, 0, at) == end

    cdef int _take_change(self, int64_t *event_type) noexcept nogil:
        """Find which change of a row a record is."""
        cdef Slot *op = &self.slots[self.op_slot]
        cdef int i
        cdef int32_t letter
        cdef When *when
        if op.kind != TEXT or (op.length == 1 and op.start[0] == 114):
            return LEFT  # a snapshot hangs on what came before it
        for i in range(self.when_count):
            when = &self.whens[i]
            for letter in range(when.ops.length):
                if op.length != 1 or op.start[0] != when.ops.start[letter]:
                    continue
                if when.after < 0:
                    event_type[0] = when.event_type
                    return SENT
                if not self._is_text_or_absent(when.after) or not self._is_text_or_absent(when.before):
                    return LEFT
                if not self._is(&self.slots[when.after], &when.to):
                    continue
                if self.slots[when.before].kind == ABSENT:
                    return LEFT
                if not self._is(&self.slots[when.before], &when.to):
                    event_type[0] = when.event_type
                    return SENT
        return IGNORED

    cdef inline bint _is_text_or_absent(self, int slot) noexcept nogil:
        return self.slots[slot].kind == TEXT or self.slots[slot].kind == ABSENT

    cdef inline bint _is(self, Slot *slot, Span *text) noexcept nogil:
        return slot.kind == TEXT and slot.length == text.length and not memcmp(slot.start, text.start, text.length)

    cdef int _take_type(self, int64_t *event_type) noexcept nogil:
        cdef int i
        cdef Slot *slot
        cdef Choice *choice
        if self.fixed_type >= 0:
            event_type[0] = self.fixed_type
            return SENT
        slot = self._first(self.first_type, self.type_origins)
        if slot == NULL or slot.kind != TEXT:
            return LEFT
        for i in range(self.type_choices):
            choice = &self.choices[self.first_type_choice + i]
            if self._is(slot, &choice.text):
                event_type[0] = choice.number
                return SENT
        return IGNORED if self.ignores_others else LEFT

    cdef inline Slot *_first(self, int first, int count) noexcept nogil:
        """Return the first of some slots that has something in it, NULL where none has."""
        cdef int i
        for i in range(count):
            if self.slots[self.origins[first + i]].kind != ABSENT:
                return &self.slots[self.origins[first + i]]
        return NULL

    cdef bint _take(self, int number, int64_t offset, int partition) noexcept nogil:
        """Write a field; return whether it is as it must be."""
        cdef Field *field = &self.fields[number]
        cdef Slot *slot
        cdef int64_t found = 0
        if field.kind == TEMPLATE or field.kind == MADE:
            self._put(&field.name)
            self.texts[number] = self.used
            if not (self._put_template(field) if field.kind == TEMPLATE else self._put_made(offset, partition)):
                return False
            return self._close(number)
        slot = self._first(field.first, field.count)
        if field.kind == AMOUNT and self._is_given(field.currency) and self._shift(field) == UNKNOWN:
            return False
        if slot == NULL:
            slot = &field.fallback
            if slot.kind == ABSENT:
                return not field.is_required
        if field.kind == TEXTS:
            self._put(&field.name)
            self.texts[number] = self.used
            if not self._put_slot(slot) or (slot != &field.fallback and not self._change_text(field, slot, number)):
                return False
            return self._close(number)
        if field.kind == FLAG:
            if slot.kind != YES and slot.kind != NO:
                return False
            self._put(&field.name)
            return self._put_slot(slot)
        if field.kind == TIME:
            if not self._read_time(field, slot, &found):
                return False
        elif field.kind == AMOUNT:
            if not self._read_amount(field, slot, &found):
                return False
        else:
            if slot.kind != INTEGER or not 0 <= slot.number < COUNT_LIMIT:
                return False
            found = slot.number
        self._put(&field.name)
        self.used = put_number(self.out + self.used, found) - self.out
        return True

    cdef inline void _put(self, const Span *span) noexcept nogil:
        memcpy(self.out + self.used, span.start, span.length)
        self.used += span.length

    cdef inline bint _close(self, int number) noexcept nogil:
        self.lengths[number] = <int32_t>(self.used - self.texts[number])
        self.out[self.used] = 34
        self.used += 1
        return True

    cdef inline void _put_integer(self, int64_t number) noexcept nogil:
        if number < 0:
            self.out[self.used] = 45
            self.used += 1
        self.used = put_number(self.out + self.used, <uint64_t>-number if number < 0 else <uint64_t>number) - self.out

    cdef bint _put_slot(self, Slot *slot) noexcept nogil:
        """Write a value as text; return whether it has one."""
        if slot.kind == INTEGER and slot.start == NULL:
            self._put_integer(slot.number)
            return True
        if slot.kind == YES or slot.kind == NO:
            memcpy(self.out + self.used, b"true " if slot.kind == YES else b"false", 5)
            self.used += 4 if slot.kind == YES else 5
            return True
        if slot.kind != TEXT and slot.kind != INTEGER:
            return False
        memcpy(self.out + self.used, slot.start, slot.length)
        self.used += slot.length
        return True

    cdef bint _put_made(self, int64_t offset, int partition) noexcept nogil:
        self._put(&self.prefix)
        self._put_integer(partition)
        self.out[self.used] = 45
        self.used += 1
        self._put_integer(offset)
        return True

    cdef bint _put_template(self, Field *field) noexcept nogil:
        cdef int i
        cdef Part *part
        for i in range(field.count):
            part = &self.parts[field.first + i]
            self._put(&part.literal)
            if part.slot >= 0 and not self._put_slot(&self.slots[part.slot]):
                return False
        return True

    cdef bint _change_text(self, Field *field, Slot *slot, int number) noexcept nogil:
        """Make of a text just written what the rule says."""
        cdef uint8_t *text = self.out + self.texts[number]
        cdef Py_ssize_t length = self.used - self.texts[number], i
        cdef Choice *choice
        if field.is_upper:
            if slot.kind == TEXT and not slot.is_ascii:
                return False
            for i in range(length):
                if 97 <= text[i] <= 122:
                    text[i] -= 32
        if field.choice_count < 0:
            return True
        for i in range(field.choice_count):
            choice = &self.choices[field.first_choice + i]
            if choice.text.length == length and not memcmp(choice.text.start, text, length):
                self.used = self.texts[number]
                self._put(&choice.meant)
                return True
        self.used = self.texts[number]
        return field.fallback.kind != ABSENT and self._put_slot(&field.fallback)

    cdef bint _read_time(self, Field *field, Slot *slot, int64_t *time_ms) noexcept nogil:
        if slot == &field.fallback:
            time_ms[0] = slot.number
            return True
        if slot.kind == TEXT:
            if not field.takes_texts or not read_iso(slot.start, slot.length, time_ms):
                return False
        elif slot.kind != INTEGER or not field.least <= slot.number <= TIME_LIMIT or not field.multiplier:
            return False
        else:
            time_ms[0] = slot.number * field.multiplier // field.divider
        return self.earliest_ms <= time_ms[0] <= self.latest_ms

    cdef bint _read_amount(self, Field *field, Slot *slot, int64_t *amount) noexcept nogil:
        if not self._is_given(field.currency):
            return False
        cdef int shift = self._shift(field)
        if field.is_base64 and slot != &field.fallback:
            return slot.kind == TEXT and read_base64(slot.start, slot.length, shift - field.scale, amount)
        if slot.kind == TEXT:
            return read_digits(slot.start, slot.length, field.point, shift, amount)
        if slot.kind == FRACTION and slot.length <= EXACT_LENGTH:
            # So few digits come back out of a floating-point number as they went in.
            return read_digits(slot.start, slot.length, 46, shift, amount)
        if slot.kind == INTEGER:
            return shifted_by(slot.number, shift, amount)
        if slot.kind == BYTES and field.scale >= 0:
            return read_decimal(slot.start, slot.length, shift - field.scale, amount)
        return False

    cdef inline bint _is_given(self, int number) noexcept nogil:
        return number >= 0 and self.lengths[number] >= 0

    cdef int _shift(self, Field *field) noexcept nogil:
        """Return the power of ten that makes minor units of what the field holds."""
        cdef const uint8_t *code = self.out + self.texts[field.currency]
        cdef int i, place = 0
        if self.lengths[field.currency] != 3:
            return UNKNOWN
        for i in range(3):
            if not 65 <= code[i] <= 90:
                return UNKNOWN
            place = place * 26 + (code[i] - 65)
        return self.tables[field.table * CODES + place]


def partitions_of(Values keys not None, uint32_t partitions):
    """Return the partition of each key: murmur2 of its bytes, as `org.apache.kafka.clients.producer` has it."""
    cdef Py_ssize_t i
    found = np.empty(keys.count, dtype=np.int64)
    cdef int64_t *partition = <int64_t *><size_t>found.ctypes.data
    for i in range(keys.count):
        if keys.lengths[i] < 0:
            raise ValueError("a key is null")
        partition[i] = (murmur2(keys.starts[i], keys.lengths[i]) & 0x7FFFFFFF) % partitions
    return found


cdef uint32_t murmur2(const uint8_t *at, int32_t length) noexcept nogil:
    cdef uint32_t m = 0x5BD1E995, hash = <uint32_t>0x9747B28CU ^ <uint32_t>length, word
    cdef int32_t i
    while length >= 4:
        word = (at[0] | <uint32_t>at[1] << 8 | <uint32_t>at[2] << 16 | <uint32_t>at[3] << 24) * m
        word ^= word >> 24
        hash = (hash * m) ^ (word * m)
        at += 4
        length -= 4
    for i in range(length):
        hash ^= <uint32_t>at[i] << 8 * i
    if length:
        hash *= m
    hash ^= hash >> 13
    hash *= m
    return hash ^ hash >> 15
