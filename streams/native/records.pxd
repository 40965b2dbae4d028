from libc.stdint cimport int32_t, int64_t, uint8_t


cdef class Values:
    cdef list _owners
    cdef const uint8_t **starts
    cdef int32_t *lengths
    cdef readonly Py_ssize_t count

    cdef Values _span(self, Py_ssize_t start, Py_ssize_t stop)


cdef const uint8_t *read_varint(const uint8_t *at, const uint8_t *end, int64_t *number) noexcept nogil

cdef const uint8_t *read_bytes(
    const uint8_t *at, const uint8_t *end, const uint8_t **start, int32_t *length
) noexcept nogil
