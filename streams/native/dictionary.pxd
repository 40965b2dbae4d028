"""The different texts of one column, numbered in the order of their first appearance, found again by their bytes.

A text of up to 16 bytes lies in its entry, so that to find a known one touches a slot and an entry, nothing else.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memset

from streams.native.scanning cimport little_64

cdef extern from * nogil:
    "#define FACTOR 0x9E3779B97F4A7C15ULL"
    uint64_t FACTOR  # 2^64 divided by the golden ratio

cdef enum:
    SLOTS_LEAST = 64
    INLINE_LIMIT = 16  # bytes of a text: head and tail hold it all


cdef struct Entry:
    uint64_t head  # the first 8 bytes
    uint64_t tail  # the last 8 bytes, 0 for a text of no more than 8
    const uint8_t *text  # read only for what lies between head and tail
    int32_t length
    uint32_t hash


cdef struct Dictionary:
    # A slot holds a code + 1, or 0; an entry's place is its code.
    uint32_t *slots
    uint32_t mask
    uint32_t count
    uint32_t last
    Entry *entries


cdef inline uint64_t head_of(const uint8_t *text, int32_t length) noexcept nogil:
    """Return the first 8 bytes of a text as a number; a shorter one is filled up with zeros.

    There are at least 8 bytes before the end of a value: of an event the shortest begins with `{"type":`.
    """
    return little_64(text) if length >= 8 else little_64(text + length - 8) >> (64 - 8 * length)


cdef inline uint64_t tail_of(const uint8_t *text, int32_t length) noexcept nogil:
    return little_64(text + length - 8) if length > 8 else 0


cdef inline uint32_t slot_hash(
    const Dictionary *known, uint64_t head, const uint8_t *text, int32_t length
) noexcept nogil:
    # It starts from an address, so that producers cannot know which texts would fall into one slot.
    cdef uint64_t hash = (head ^ length ^ <uint64_t><size_t>known * FACTOR) * FACTOR
    cdef int32_t at = 8
    while at < length:
        # The last word overlaps the one before it.
        hash = (hash ^ hash >> 32 ^ little_64(text + min(at, length - 8))) * FACTOR
        at += 8
    # A product's low bits know nothing of its factors' high ones, and in those ids that count differ.
    return <uint32_t>((hash ^ hash >> 32) * FACTOR >> 32)


cdef inline int enlarge(Dictionary *known) except -1 nogil:
    """Double the slots and the room for entries."""
    cdef uint32_t slots = (known.mask + 1) * 2 if known.slots != NULL else SLOTS_LEAST
    cdef uint32_t code, slot
    cdef void *made = calloc(slots, sizeof(uint32_t))
    if made == NULL:
        raise MemoryError
    free(known.slots)
    known.slots = <uint32_t *>made
    known.mask = slots - 1
    made = realloc(known.entries, slots // 2 * sizeof(Entry))
    if made == NULL:
        raise MemoryError
    known.entries = <Entry *>made
    for code in range(known.count):
        slot = known.entries[code].hash & known.mask
        while known.slots[slot]:
            slot = (slot + 1) & known.mask
        known.slots[slot] = code + 1
    return 0


cdef inline bint is_text(const Entry *entry, uint64_t head, const uint8_t *text, int32_t length) noexcept nogil:
    if entry.head != head or entry.length != length or entry.tail != tail_of(text, length):
        return False
    return length <= INLINE_LIMIT or memcmp(entry.text, text, length) == 0


cdef inline int64_t code_of(
    Dictionary *known, uint64_t head, const uint8_t *text, int32_t length, uint32_t *hash
) noexcept nogil:
    """Return the code of a text, -1 if it is new; `hash` is for `add`."""
    cdef uint32_t slot
    if known.count and is_text(&known.entries[known.last], head, text, length):
        return known.last
    hash[0] = slot_hash(known, head, text, length)
    slot = hash[0] & known.mask
    while known.slots[slot]:
        if is_text(&known.entries[known.slots[slot] - 1], head, text, length):
            known.last = known.slots[slot] - 1
            return known.last
        slot = (slot + 1) & known.mask
    return -1


cdef inline int64_t add(
    Dictionary *known, uint64_t head, const uint8_t *text, int32_t length, uint32_t hash
) except -1 nogil:
    """Return the code of a text that is new. The caller sees to it that the entry's `text` stays where it is."""
    cdef uint32_t slot
    if known.count * 2 > known.mask:
        enlarge(known)
    slot = hash & known.mask
    while known.slots[slot]:
        slot = (slot + 1) & known.mask
    known.last = known.count
    known.count += 1
    known.slots[slot] = known.count
    known.entries[known.last] = Entry(head, tail_of(text, length), text, length, hash)
    return known.last


cdef inline void forget(Dictionary *known) noexcept nogil:
    """Begin anew, in the same memory."""
    memset(known.slots, 0, (known.mask + 1) * sizeof(uint32_t))
    known.count = 0


cdef inline void release(Dictionary *known) noexcept nogil:
    free(known.slots)
    free(known.entries)
