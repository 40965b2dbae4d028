from libc.stdint cimport int32_t, uint8_t


cdef class Values:
    cdef list _owners
    cdef const uint8_t **starts
    cdef int32_t *lengths
    cdef readonly Py_ssize_t count

    cdef Values _span(self, Py_ssize_t start, Py_ssize_t stop)
