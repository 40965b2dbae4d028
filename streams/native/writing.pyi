from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from streams.native.records import Values

def write_texts(
    pieces: Iterable[tuple[bytes, npt.NDArray[np.int64], Sequence[bytes] | None]], count: int, after: bytes
) -> Values: ...
def write_records(keys: Values, values: Values, first: int, limit_bytes: int) -> tuple[bytes, int]: ...
