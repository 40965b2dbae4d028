from libc.stdint cimport uint8_t, uint64_t


cdef uint8_t *put_number(uint8_t *to, uint64_t number) noexcept nogil
