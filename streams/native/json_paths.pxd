"""The values at some paths of a JSON object, in one pass. NULL where it is not strict JSON beyond doubt."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcmp

from streams.native.scanning cimport after_number, after_space, after_word, closing_quote, code_points
from streams.native.slots cimport DIGITS_LIMIT, FRACTION, NO, OBJECT, OTHER, YES, Slot, put_integer, put_text

cdef enum:
    NODES_LIMIT = 256
    SEEN_WORDS = 4  # a bit for each node
    NESTING_LIMIT = 32
    FRACTION_LIMIT = 24  # characters of a number with a point


cdef struct Node:
    const uint8_t *name
    int32_t name_length
    int32_t place  # in a list; -1: it has a name
    int slot  # -1: nobody asks for its value
    int child  # the first one, -1 for none
    int sibling  # the next one, -1 for none


cdef struct Walk:
    Node *nodes
    Slot *slots
    const uint8_t *end
    uint64_t seen[SEEN_WORDS]


cdef inline const uint8_t *walk_text(Walk *walk, int slot, const uint8_t *at) noexcept nogil:
    """Take the text whose opening quote was passed; return what follows it."""
    cdef bint is_ascii = True
    cdef const uint8_t *quote = closing_quote(at, walk.end, &is_ascii)
    if quote == NULL or (not is_ascii and code_points(at, <int32_t>(quote - at)) < 0):
        return NULL
    if slot >= 0:
        put_text(&walk.slots[slot], at, <int32_t>(quote - at), is_ascii)
    return quote + 1


cdef inline const uint8_t *walk_number(Walk *walk, int slot, const uint8_t *at) noexcept nogil:
    cdef const uint8_t *start = at
    cdef const uint8_t *digits = at
    cdef const uint8_t *after = after_number(at, walk.end)
    cdef int64_t number = 0
    if after == NULL:
        return NULL
    if digits[0] == 45:
        digits += 1
    at = digits
    while at < after and 48 <= at[0] <= 57 and at - digits < DIGITS_LIMIT:
        number = number * 10 + (at[0] - 48)
        at += 1
    if at == after:
        if start != digits and digits[0] == 48:
            return NULL  # -0
        if slot >= 0:
            put_integer(&walk.slots[slot], -number if start != digits else number, start, <int32_t>(after - start))
        return after
    if after - start > FRACTION_LIMIT:
        return NULL
    while at < after:
        if at[0] | 32 == 101:
            return NULL  # an exponent may be too large
        at += 1
    if slot >= 0:
        put_text(&walk.slots[slot], start, <int32_t>(after - start), True)
        walk.slots[slot].kind = FRACTION
    return after


cdef inline int child_of(Walk *walk, int node, const uint8_t *name, int32_t length) noexcept nogil:
    cdef int child = walk.nodes[node].child if node >= 0 else -1
    while child >= 0:
        if (
            walk.nodes[child].name_length == length
            and walk.nodes[child].place < 0
            and memcmp(walk.nodes[child].name, name, length) == 0
        ):
            return child
        child = walk.nodes[child].sibling
    return -1


cdef inline const uint8_t *walk_object(Walk *walk, int node, const uint8_t *at, int depth) noexcept nogil:
    """Take what stands inside braces whose opening one was passed; return what follows the closing one."""
    cdef const uint8_t *name
    cdef int child
    cdef bint is_ascii
    at = after_space(at, walk.end)
    if at < walk.end and at[0] == 125:
        return at + 1
    while True:
        if at >= walk.end or at[0] != 34:
            return NULL
        name = at + 1
        at = walk_text(walk, -1, name)
        if at == NULL:
            return NULL
        child = child_of(walk, node, name, <int32_t>(at - 1 - name))
        if child >= 0:
            if walk.seen[child >> 6] >> (child & 63) & 1:
                return NULL  # given twice
            walk.seen[child >> 6] |= <uint64_t>1 << (child & 63)
        at = after_space(at, walk.end)
        if at >= walk.end or at[0] != 58:
            return NULL
        at = walk_value(walk, child, after_space(at + 1, walk.end), depth + 1)
        if at == NULL:
            return NULL
        at = after_space(at, walk.end)
        if at >= walk.end:
            return NULL
        if at[0] == 125:
            return at + 1
        if at[0] != 44:
            return NULL
        at = after_space(at + 1, walk.end)


cdef inline const uint8_t *walk_list(Walk *walk, int node, const uint8_t *at, int depth) noexcept nogil:
    """The same for brackets."""
    cdef int32_t place = 0
    cdef int child
    at = after_space(at, walk.end)
    if at < walk.end and at[0] == 93:
        return at + 1
    while True:
        child = walk.nodes[node].child if node >= 0 else -1
        while child >= 0 and walk.nodes[child].place != place:
            child = walk.nodes[child].sibling
        at = walk_value(walk, child, at, depth + 1)
        if at == NULL:
            return NULL
        at = after_space(at, walk.end)
        if at >= walk.end:
            return NULL
        if at[0] == 93:
            return at + 1
        if at[0] != 44:
            return NULL
        at = after_space(at + 1, walk.end)
        place += 1


cdef inline const uint8_t *walk_value(Walk *walk, int node, const uint8_t *at, int depth) noexcept nogil:
    """Take the value of a node, -1 for one that nobody asks for; return what follows it."""
    cdef int slot = walk.nodes[node].slot if node >= 0 else -1
    if at >= walk.end or depth > NESTING_LIMIT:
        return NULL
    if at[0] == 34:
        return walk_text(walk, slot, at + 1)
    if at[0] == 45 or 48 <= at[0] <= 57:
        return walk_number(walk, slot, at)
    if at[0] == 123 or at[0] == 91:
        if slot >= 0:
            walk.slots[slot].kind = OBJECT if at[0] == 123 else OTHER
        return walk_object(walk, node, at + 1, depth) if at[0] == 123 else walk_list(walk, node, at + 1, depth)
    if at[0] == 110:
        return after_word(at, walk.end, b"null", 4)
    if slot >= 0:
        walk.slots[slot].kind = YES if at[0] == 116 else NO
    return after_word(at, walk.end, b"true", 4) if at[0] == 116 else after_word(at, walk.end, b"false", 5)
