"""What a look at one thing found, as `festival check` tells it."""

from __future__ import annotations

import dataclasses
import re
from typing import Literal

Verdict = Literal["ok", "note", "wrong"]


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """What one look at one thing found."""

    subject: str
    verdict: Verdict
    detail: str
    mend: str | None = None
    """What to do about it, often a command; None where there is nothing to do."""

    def document(self) -> dict[str, object]:
        """Return it as `--json` has it (contract 3); a note is advice, and nothing that is not ok."""
        return {"name": self.subject, "ok": self.verdict != "wrong", "detail": self.detail, "mend": self.mend}

    def text(self) -> str:
        """Return what is told a person."""
        if self.mend is None:
            return self.detail
        glue = ". Mend it with: " if self.mend.startswith(("festival ", "kafka-")) else ": "
        return f"{self.detail}{glue}{self.mend}"


MENDING = re.compile(r"[.;:] (?:Mend it|Create them|Add them|[Rr]emove them) with: ")
"""Stands between what is wrong and the command that mends it, in sentences that were made elsewhere."""


def finding_of(subject: str, verdict: Verdict, sentence: str) -> Finding:
    """Return the finding in a sentence."""
    detail, *mend = MENDING.split(sentence, maxsplit=1)
    return Finding(subject, verdict, detail, mend[0] if mend else None)
