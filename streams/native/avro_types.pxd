"""The values at some paths of an Avro payload, in one pass. NULL where it is not of its schema beyond doubt."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from streams.native.records cimport read_varint
from streams.native.slots cimport BYTES, NO, OBJECT, OTHER, YES, Slot, put_integer, put_text, put_unquoted

cdef enum:
    NULLS, BOOLEANS, LONGS, FLOATS, DOUBLES, BINARIES, STRINGS, ENUMS, FIXEDS, UNIONS, RECORDS, ARRAYS, MAPS
cdef enum:
    TYPES_LIMIT = 1024
    NUMBER_BYTES = 9  # of a number that cannot overflow


cdef struct Symbol:
    const uint8_t *start
    int32_t length


cdef struct Type:
    int kind
    int slot  # -1: nobody asks for its value
    int first  # of its members or symbols
    int count
    int32_t size


cdef struct Schema:
    Type *types
    int *members  # types of branches, fields, items
    Symbol *symbols
    Slot *slots
    const uint8_t *end


cdef inline const uint8_t *read_number(const uint8_t *at, const uint8_t *end, int64_t *number) noexcept nogil:
    cdef const uint8_t *after = read_varint(at, end, number)
    return after if after != NULL and after - at <= NUMBER_BYTES else NULL


cdef inline const uint8_t *read_blocks(Schema *schema, Type *type, const uint8_t *at) noexcept nogil:
    """Pass the blocks of a list or of a map; nothing inside of them is asked for."""
    cdef int64_t count = 0, size = 0
    while True:
        at = read_number(at, schema.end, &count)
        if at == NULL or count == 0:
            return at
        if count < 0:
            count = -count
            at = read_number(at, schema.end, &size)
        if at == NULL or count > schema.end - at:
            return NULL
        while count > 0:
            if type.kind == MAPS:
                at = read_text(schema, -1, STRINGS, at)
            if at != NULL:
                at = read_value(schema, schema.members[type.first], at)
            if at == NULL:
                return NULL
            count -= 1


cdef inline const uint8_t *read_text(Schema *schema, int slot, int kind, const uint8_t *at) noexcept nogil:
    """Take a text or bytes, whose length stands in front."""
    cdef int64_t length = 0
    cdef Slot unasked
    cdef Slot *taken = &schema.slots[slot] if slot >= 0 else &unasked
    at = read_number(at, schema.end, &length)
    if at == NULL or length < 0 or length > schema.end - at:
        return NULL
    if kind == BINARIES:
        taken.kind = BYTES
        taken.start = at
        taken.length = <int32_t>length
    elif not put_unquoted(taken, at, <int32_t>length):
        return NULL
    return at + length


cdef inline const uint8_t *read_value(Schema *schema, int number, const uint8_t *at) noexcept nogil:
    """Take a value of a type; return what follows it."""
    cdef Type *type = &schema.types[number]
    cdef Slot *slot = &schema.slots[type.slot] if type.slot >= 0 else NULL
    cdef int64_t found = 0
    cdef int i
    if type.kind == STRINGS or type.kind == BINARIES:
        return read_text(schema, type.slot, type.kind, at)
    if type.kind == RECORDS:
        if slot != NULL:
            slot.kind = OBJECT
        for i in range(type.count):
            at = read_value(schema, schema.members[type.first + i], at)
            if at == NULL:
                return NULL
        return at
    if type.kind == LONGS or type.kind == ENUMS or type.kind == UNIONS:
        at = read_number(at, schema.end, &found)
        if at == NULL or (type.kind != LONGS and not 0 <= found < type.count):
            return NULL
        if type.kind == UNIONS:
            return read_value(schema, schema.members[type.first + found], at)
        if slot != NULL and type.kind == LONGS:
            put_integer(slot, found, NULL, 0)
        elif slot != NULL:
            put_text(slot, schema.symbols[type.first + found].start, schema.symbols[type.first + found].length, True)
        return at
    if type.kind == NULLS:
        return at
    if type.kind == ARRAYS or type.kind == MAPS:
        if slot != NULL:
            slot.kind = OTHER
        return read_blocks(schema, type, at)
    # What is left has a fixed size.
    if schema.end - at < type.size or (type.kind == BOOLEANS and at[0] > 1):
        return NULL
    if slot != NULL:
        slot.kind = OTHER
        if type.kind == BOOLEANS:
            slot.kind = YES if at[0] else NO
        elif type.kind == FIXEDS:
            slot.kind = BYTES
            slot.start = at
            slot.length = type.size
    return at + type.size
