from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from streams.native.records import Values

class EventReader:
    def __init__(
        self,
        fields: Iterable[tuple[str, str, str, object, object]],
        *,
        text_limit: int,
        value_limit: int,
        vocabulary_limit: int,
    ) -> None: ...
    def read(
        self, values: Values
    ) -> tuple[
        npt.NDArray[np.bool_],
        dict[str, npt.NDArray[np.int64]],
        dict[str, tuple[npt.NDArray[np.int64], list[str]]],
        dict[str, npt.NDArray[np.uint64]],
    ]: ...
    def encode(self, name: str, texts: Sequence[str]) -> tuple[npt.NDArray[np.int64], list[str]]: ...
