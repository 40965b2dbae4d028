"""The `festival` command: finds its subcommands, and turns every ending into an exit status (contract 3).

A subcommand NAME is the click command `command` in `streams/cli/NAME.py` (`import_.py` for `import`, a word of the
language), imported when it is asked for: `festival topics` must not wait for the database of `festival audit`.
"""

from __future__ import annotations

import importlib
import keyword
import os
import sys
from typing import TYPE_CHECKING

import click

from streams import __version__
from streams.cli.stopping import INTERRUPTED
from streams.configuration import SETTINGS
from streams.errors import FestivalError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streams.setting_values import Setting

COMMANDS = {
    "demo": "Start Apache Kafka and workers, replay the 2019 festival in some seconds, audit and print the totals.",
    "broker": "Run one real Apache Kafka on this machine until Ctrl-C or SIGTERM.",
    "topics": "Create the missing topics and check all of them: partitions, retention, timestamps, compaction.",
    "check": "Say whether all is ready for the night, and how to mend what is not; changes nothing.",
    "worker": "Count the source topics into the ledger, until Ctrl-C or SIGTERM.",
    "board": "Serve the committed totals over HTTP until Ctrl-C: the page, the API, metrics. Counts nothing.",
    "festivals": "List the festivals that are known: the built-in ones, and those of --festivals.",
    "replay": "Send the events of a festival's day, along its published curve.",
    "rehearse": "Send the first seconds of a festival, in real time, to topics of their own; count, audit, report.",
    "import": "Send orders and payments out of CSV, NDJSON, Parquet or XLSX files to Kafka, each row once.",
    "bridge": "Translate foreign topics onto the four topics, exactly once, until Ctrl-C or SIGTERM.",
    "totals": "Print the committed totals of a festival.",
    "report": "Write the report of a festival: one self-contained document, as HTML or PDF.",
    "top": "Show the workers at work: their partitions, positions and lag; delay and checkpoints of those named.",
    "export": "Write one committed state of the totals: a table a fact, and the state they are of.",
    "audit": "Recount the topics up to the ledger's positions by an independent path; exit 1 on any difference.",
    "seal": "Write an ended festival into one file: every total, the positions, the rules, the audit, a SHA-256.",
    "recount": "Count the whole log under the present declarations into a new generation of the ledger.",
    "rejected": "List rejected records: time, source, reason, what is wrong, first bytes.",
}
"""By name what `festival --help` says of each, the first sentence of the command's own help."""


class Commands(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of a first encounter."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Return the command, None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        command = importlib.import_module(f"streams.cli.{module}").command
        assert isinstance(command, click.Command), cmd_name
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        with formatter.section("Settings, of every command (docs/settings.md); a flag wins over its variable"):
            formatter.write_dl([(s.variable, f"{s.meaning} [{_given(s)}]") for s in SETTINGS])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="festival")
def festival() -> None:
    """Count a shopping festival live and exactly: Kafka in, committed totals out."""


def _given(setting: Setting[object]) -> str:
    default = f"default: {setting.shown_default}"
    return f"{setting.flag}; {default}" if setting.flag else default


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit status; what went wrong is told on stderr."""
    # Not standalone, click hands on what a command returns: an exit status, or nothing.
    return status_of(lambda: festival.main(list(arguments), prog_name="festival", standalone_mode=False))


def status_of(command: Callable[[], object]) -> int:
    """Run what a command does and return its exit status; what went wrong is told on stderr."""
    try:
        status = command()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except FestivalError as error:
        tell(error)
        return error.exit_status
    except BrokenPipeError:
        # The reader of our output left (`| head`): nobody is there to be told, not even by the interpreter's exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        kafka = _kafka_problem(error)
        if kafka is None:
            raise
        tell(kafka)
        return kafka.exit_status
    return status if isinstance(status, int) else 0


def main() -> None:
    """Entry point of the executable."""
    sys.exit(run(sys.argv[1:]))


def tell(error: FestivalError) -> None:
    """Say on stderr what went wrong."""
    for line in str(error).splitlines():
        click.echo(f"festival: {line}", err=True)


def _kafka_problem(error: Exception) -> UnreachableError | None:
    """Return what a connection error of the Kafka client means to an operator, None for any other error."""
    kafka = sys.modules.get("aiokafka.errors")
    if kafka is None or not isinstance(error, kafka.KafkaError):
        return None
    from streams.kafka.client.causes import cause_of  # noqa: PLC0415 - a command without Kafka does without it
    from streams.kafka.client.denials import denial  # noqa: PLC0415 - the same

    if (denied := denial(error, None, "read or write")) is not None:
        return UnreachableError(f"Kafka does not allow it: {denied}; see `festival check`.")
    if not (error.retriable or isinstance(error, kafka.AuthenticationFailedError)):
        return None
    return UnreachableError(f"Kafka cannot be reached: {cause_of(error)}. Check --broker and FESTIVAL_SECURITY_*.")
