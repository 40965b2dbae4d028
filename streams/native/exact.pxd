"""Instants and amounts, exactly: each function returns whether the value is one beyond doubt."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

cdef enum:
    AMOUNT_DIGITS = 18
    DECIMAL_BYTES = 8
    DAYS_TO_1970 = 719468  # from 1 March of the year 0


cdef inline bint two_digits(const uint8_t *at, int64_t *number) noexcept nogil:
    if not (48 <= at[0] <= 57 and 48 <= at[1] <= 57):
        return False
    number[0] = (at[0] - 48) * 10 + (at[1] - 48)
    return True


cdef inline int64_t days_since_1970(int64_t year, int64_t month, int64_t day) noexcept nogil:
    """Return the days of a date of the Gregorian calendar, whose years begin in March for this."""
    cdef int64_t shifted = (month + 9) % 12
    cdef int64_t of_era = year - (1 if month <= 2 else 0)
    return (
        365 * of_era + of_era // 4 - of_era // 100 + of_era // 400 + (153 * shifted + 2) // 5 + day - 1 - DAYS_TO_1970
    )


cdef inline int64_t days_of(int64_t year, int64_t month) noexcept nogil:
    if month == 2:
        return 29 if (year % 4 == 0 and year % 100 != 0) or year % 400 == 0 else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


cdef inline bint read_iso(const uint8_t *at, int32_t length, int64_t *time_ms) noexcept nogil:
    """Read 2026-11-10T11:00:00, with 3 or 6 digits of a fraction or none, and an offset: Z or +01:00."""
    cdef const uint8_t *end = at + length
    cdef int64_t century, year, month, day, hours, minutes, seconds, offset_hours, offset_minutes, since, fraction = 0
    cdef int digits = 0
    if length < 20 or at[4] != 45 or at[7] != 45 or at[10] != 84 or at[13] != 58 or at[16] != 58:
        return False
    if not (two_digits(at, &century) and two_digits(at + 2, &year) and two_digits(at + 5, &month)):
        return False
    if not (two_digits(at + 8, &day) and two_digits(at + 11, &hours) and two_digits(at + 14, &minutes)):
        return False
    if not two_digits(at + 17, &seconds) or hours > 23 or minutes > 59 or seconds > 59:
        return False
    year += 100 * century
    if not (1 <= month <= 12 and 1 <= day <= days_of(year, month) and year >= 1900):
        return False
    since = ((days_since_1970(year, month, day) * 24 + hours) * 60 + minutes) * 60 + seconds
    at += 19
    if at[0] == 46:
        at += 1
        while at < end and 48 <= at[0] <= 57:
            digits += 1
            if digits <= 3:
                fraction = fraction * 10 + (at[0] - 48)
            at += 1
        if digits != 3 and digits != 6:
            return False
    if end - at == 1 and at[0] == 90:
        time_ms[0] = since * 1000 + fraction
        return True
    if end - at != 6 or (at[0] != 43 and at[0] != 45) or at[3] != 58:
        return False
    if not (two_digits(at + 1, &offset_hours) and two_digits(at + 4, &offset_minutes)):
        return False
    if offset_hours > 23 or offset_minutes > 59:
        return False
    seconds = (offset_hours * 60 + offset_minutes) * 60
    time_ms[0] = (since + (seconds if at[0] == 45 else -seconds)) * 1000 + fraction
    return True


cdef inline bint shifted_by(int64_t number, int power, int64_t *amount) noexcept nogil:
    """Multiply by a power of ten, which may be negative; the result must be whole and in range."""
    cdef int64_t factor = 1
    cdef int i
    if number < 0 or not -AMOUNT_DIGITS <= power <= AMOUNT_DIGITS:
        return False
    for i in range(power if power >= 0 else -power):
        factor *= 10
    if power < 0:
        if number % factor:
            return False
        amount[0] = number // factor
    else:
        if number > <int64_t>10_000_000_000_000 // factor:
            return False
        amount[0] = number * factor
    return amount[0] <= <int64_t>10_000_000_000_000


cdef inline bint read_digits(
    const uint8_t *at, int32_t length, uint8_t point, int shift, int64_t *amount
) noexcept nogil:
    """Read a plain amount such as 84.00 in minor units, of which 10^shift are one of it."""
    cdef int64_t number = 0
    cdef int32_t i
    cdef int digits = 0, behind = -1
    for i in range(length):
        if 48 <= at[i] <= 57:
            number = number * 10 + (at[i] - 48)
            digits += 1
            if behind >= 0:
                behind += 1
        elif at[i] == point and behind < 0 and digits:
            behind = 0
        else:
            return False
        if digits > AMOUNT_DIGITS:
            return False
    if not digits or behind == 0 or (behind if behind > 0 else 0) > shift:
        return False
    return shifted_by(number, shift - (behind if behind > 0 else 0), amount)


cdef inline bint read_decimal(const uint8_t *at, int32_t length, int power, int64_t *amount) noexcept nogil:
    """Read an integer with a sign, big end first, times a power of ten."""
    cdef uint64_t number
    cdef int32_t i
    if not 0 < length <= DECIMAL_BYTES or at[0] & 0x80:
        return False
    number = 0
    for i in range(length):
        number = number << 8 | at[i]
    return shifted_by(<int64_t>number, power, amount)


cdef inline int sextet(uint8_t character) noexcept nogil:
    if 65 <= character <= 90:
        return character - 65
    if 97 <= character <= 122:
        return character - 71
    if 48 <= character <= 57:
        return character + 4
    return 62 if character == 43 else 63 if character == 47 else -1


cdef inline bint read_base64(const uint8_t *at, int32_t length, int power, int64_t *amount) noexcept nogil:
    """Read such an integer as Kafka Connect writes it in JSON."""
    cdef uint8_t data[DECIMAL_BYTES + 3]
    cdef int32_t i, size = 0, taken = length
    cdef int part, bits = 0
    cdef uint64_t word = 0
    if length % 4 or not 0 < length <= 12:
        return False
    while taken > length - 2 and at[taken - 1] == 61:
        taken -= 1
    for i in range(taken):
        part = sextet(at[i])
        if part < 0:
            return False
        word = (word << 6 | part) & 0xFFFF
        bits += 6
        if bits >= 8:
            bits -= 8
            data[size] = <uint8_t>(word >> bits)
            size += 1
    return read_decimal(data, size, power, amount)
