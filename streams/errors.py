"""Errors that end a command: each has the exit status of contract 3 and a sentence that says what to do.

Raised by any part, turned into a line on stderr and an exit status by `streams.cli.main`.
"""

from __future__ import annotations


class FestivalError(Exception):
    """An expected failure, told to the operator without a stack trace."""

    exit_status = 2


class AnswerNo(FestivalError):  # noqa: N818 - an answer, not an error: `audit` found a difference
    """The command ran, and its answer is "no"."""

    exit_status = 1


class UsageError(FestivalError):
    """Wrong usage or bad input: arguments, settings, files, topics."""

    exit_status = 2


class UnreachableError(FestivalError):
    """Something needed is not reachable: the broker, the network."""

    exit_status = 3
