"""What the in-memory Kafka answers in place of a result: one class per answer that a client treats differently."""

from __future__ import annotations


class KafkaFaultError(Exception):
    """Any answer but the one asked for."""


class BrokerAwayError(KafkaFaultError, ConnectionError):
    """The request did not reach the broker: nothing was done."""


class AnswerLostError(KafkaFaultError, ConnectionError):
    """The request was carried out and its answer was lost. A client cannot tell this from `BrokerAwayError`."""


class NotAuthorizedError(KafkaFaultError):
    """The right is missing: nothing was done."""


class UnknownTopicError(KafkaFaultError):
    """There is no such topic, or no such partition of it."""


class TopicExistsError(KafkaFaultError):
    """A topic of that name exists."""


class OutOfRangeError(KafkaFaultError):
    """The offset lies outside the log."""

    def __init__(self, topic: str, partition: int, offset: int, beginning: int, end: int) -> None:
        """Name the offset and the range of the log, [beginning, end]."""
        super().__init__(f"{topic}[{partition}]: offset {offset} is outside {beginning} to {end}")
        self.topic, self.partition, self.offset = topic, partition, offset
        self.beginning, self.end = beginning, end


class DamagedError(KafkaFaultError):
    """The bytes at the position cannot be read."""


class InvalidRecordError(KafkaFaultError):
    """A compacted topic takes no record without a key."""


class OutOfOrderSequenceError(KafkaFaultError):
    """Records of this producer are missing before these ones."""


class InvalidTransactionStateError(KafkaFaultError):
    """The transaction cannot be ended this way: none is open, or it ended the other way."""


class ProducerFencedError(KafkaFaultError):
    """The epoch of the producer is over: a newer producer has its transactional id."""


class TransactionTimedOutError(ProducerFencedError):
    """The epoch of the producer is over, but nobody else has its id: the broker ended its transaction by timeout."""


class NotStableError(KafkaFaultError, ConnectionError):
    """What lies behind an open transaction is not known yet: ask again."""


class UnknownMemberError(KafkaFaultError):
    """The group does not know the member (any more): it has to join as a new one."""


class FencedInstanceError(KafkaFaultError):
    """Another member has joined under the same group instance id: this one must end."""


class IllegalGenerationError(KafkaFaultError):
    """The member speaks of a generation of the group that is over."""


class RebalanceInProgressError(KafkaFaultError):
    """The group deals its partitions anew: the member has to give its own back and to join again."""
