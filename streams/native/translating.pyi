from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from streams.bridge.program import Program
from streams.native.records import Values

class Translator:
    used: int
    """Bytes that were written by the last `translate`."""
    def __init__(self, program: Program) -> None: ...
    def translate(
        self,
        values: Values,
        headers: Values | None,
        keys: Values,
        offsets: Sequence[int] | npt.NDArray[np.int64],
        times: Sequence[int] | npt.NDArray[Any],
        partition: int,
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], Values, Values]: ...

def partitions_of(keys: Values, partitions: int) -> npt.NDArray[np.int64]: ...
