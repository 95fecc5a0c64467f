"""The command line ``resnet-edu``: train a network, use the run bank, or ask what this machine can do.

Exit status: 0 done, 1 the run failed, 2 bad input, 130 stopped by the user, 141 nobody reads the output any more.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict

from resnet_edu import __version__
from resnet_edu.cli.course import add_course
from resnet_edu.cli.errors import Failed
from resnet_edu.cli.runs import add_runs
from resnet_edu.cli.train import add_train
from resnet_edu.runs import NotRecorded

# What the system says where a path that the user named is wrong.
PLACES = (FileExistsError, FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    try:
        try:
            return _answer(_options(arguments))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output, such as head, has enough of it
        _drop_output()
        return 141
    except OSError as error:
        _drop_output()
        print(f"resnet-edu: the output cannot be written: {_sentence(error)}", file=sys.stderr)
        return 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; a command's ``more`` names a list that argparse ends at the first option in it."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    more = getattr(options, "more", None)
    if rest and (more is None or any(word.startswith("-") for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        getattr(options, more).extend(rest)
    return options


def _answer(options: argparse.Namespace) -> int:
    try:
        return options.run(options)
    except BrokenPipeError:
        raise
    except (ValueError, NotRecorded, *PLACES) as error:
        print(f"resnet-edu {options.command}: {_sentence(error)}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"resnet-edu {options.command}: {_sentence(error)}", file=sys.stderr)
        return 1
    except Failed as error:
        print(f"resnet-edu {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        where = getattr(options, "checkpoint", None)
        hint = "; go on with --resume" if where else "; with --checkpoint FILE a run can go on later"
        print(f"\nresnet-edu {options.command}: stopped{hint}", file=sys.stderr)
        return 130


def _sentence(error: Exception) -> str:
    """Return an error's message; the system's without its number."""
    reason = getattr(error, "strerror", None)
    return str(error) if reason is None else f"{reason}: {error.filename}" if error.filename else reason


def _drop_output() -> None:
    """Let what is left of the output go nowhere: Python would try once more at its end, and complain."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("resnet-edu", description=__doc__.split("\n")[0])
    parser.add_argument("--version", action="version", version=f"resnet-edu {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    add_train(commands)
    add_runs(commands)
    add_course(commands)
    doctor = commands.add_parser("doctor", help="say what this machine can do, and how to mend what is missing")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.set_defaults(run=_doctor)
    return parser


def _doctor(options: argparse.Namespace) -> int:
    from resnet_edu.doctor import examine, report

    findings = examine()
    print(json.dumps([asdict(finding) for finding in findings], indent=1) if options.json else report(findings))
    return 0 if all(finding.ok for finding in findings if finding.needed) else 1
