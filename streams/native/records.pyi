from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np
import numpy.typing as npt

class Values(Sequence[bytes | None]):
    @staticmethod
    def of(values: Iterable[bytes | None]) -> Values: ...
    @staticmethod
    def joined(parts: Sequence[Sequence[bytes | None]]) -> Values: ...
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: int) -> bytes | None: ...
    @overload
    def __getitem__(self, index: slice) -> Values: ...

def split_records(
    payload: bytes, count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Values, Values]: ...
