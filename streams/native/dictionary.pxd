"""The different texts of one column, in the order of their first appearance, found again by a hash of their bytes."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memset

from streams.native.scanning cimport little_64

cdef enum:
    SLOTS_LEAST = 64


cdef struct Dictionary:
    # The different texts of one column in the order of their first appearance. A slot holds a code + 1, or 0.
    uint32_t *slots
    uint32_t mask
    uint32_t count
    uint32_t last
    const uint8_t **texts
    int32_t *lengths
    uint32_t *hashes
    uint64_t *heads  # the first 8 bytes of each


cdef inline uint64_t head_of(const uint8_t *text, int32_t length) noexcept nogil:
    """Return the first 8 bytes of a text as a number; a shorter one is filled up with zeros.

    There are at least 8 bytes before the end of a value: of an event the shortest begins with `{"type":`.
    """
    return little_64(text) if length >= 8 else little_64(text + length - 8) >> (64 - 8 * length)


cdef inline uint32_t slot_hash(uint64_t head, const uint8_t *text, int32_t length) noexcept nogil:
    cdef uint64_t hash = (head ^ length) * <uint64_t>0x9E3779B97F4A7C15
    cdef int32_t at = 8
    while at < length:
        # The last word overlaps the one before it.
        hash = (hash ^ hash >> 32 ^ little_64(text + min(at, length - 8))) * <uint64_t>0x9E3779B97F4A7C15
        at += 8
    return <uint32_t>(hash >> 32)


cdef inline int enlarge(Dictionary *known) except -1 nogil:
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
    made = realloc(known.heads, slots // 2 * sizeof(uint64_t))
    if made == NULL:
        raise MemoryError
    known.heads = <uint64_t *>made
    for code in range(known.count):
        slot = known.hashes[code] & known.mask
        while known.slots[slot]:
            slot = (slot + 1) & known.mask
        known.slots[slot] = code + 1
    return 0


cdef inline bint is_text(
    Dictionary *known, uint32_t code, uint64_t head, const uint8_t *text, int32_t length
) noexcept nogil:
    if known.heads[code] != head or known.lengths[code] != length:
        return False
    return length <= 8 or memcmp(known.texts[code], text, length) == 0


cdef inline int64_t code_of(
    Dictionary *known, uint64_t head, const uint8_t *text, int32_t length, uint32_t *hash
) noexcept nogil:
    """Return the code of a text, -1 if it is new; `hash` is for `add`."""
    cdef uint32_t slot
    if known.count and is_text(known, known.last, head, text, length):
        return known.last
    hash[0] = slot_hash(head, text, length)
    slot = hash[0] & known.mask
    while known.slots[slot]:
        if is_text(known, known.slots[slot] - 1, head, text, length):
            known.last = known.slots[slot] - 1
            return known.last
        slot = (slot + 1) & known.mask
    return -1


cdef inline int64_t add(
    Dictionary *known, uint64_t head, const uint8_t *text, int32_t length, uint32_t hash
) except -1 nogil:
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
    known.heads[known.last] = head
    return known.last


cdef inline void forget(Dictionary *known) noexcept nogil:
    """Begin anew, in the same memory."""
    memset(known.slots, 0, (known.mask + 1) * sizeof(uint32_t))
    known.count = 0


cdef inline void release(Dictionary *known) noexcept nogil:
    free(known.slots)
    free(known.texts)
    free(known.lengths)
    free(known.hashes)
    free(known.heads)
