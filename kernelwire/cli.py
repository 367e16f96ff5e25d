"""The command line: the composition root. Each command is a module of kernelwire.commands.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 ended by Ctrl-C.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from auth.errors import AuthError
from kernelwire import __version__, standard_streams
from kernelwire.commands import call, completion, config, doctor, host, key, login, logout, serve, token, user
from kernelwire.commands.options import Run
from kernelwire.errors import Failed, WrongUsage, words_of

COMMANDS = (serve, call, login, logout, user, token, key, config, doctor, host, completion)
"""In the order of the help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    standard_streams.complete()
    words = sys.argv[1:] if arguments is None else list(arguments)
    given = _parser_for(words).parse_args(words)
    command: Run = given.command
    try:
        return command(given)
    except (Failed, AuthError) as error:
        print(f"kernelwire: {error}", file=sys.stderr)
        return 2 if isinstance(error, WrongUsage) else 1
    except BrokenPipeError:
        # who read the output has seen enough; else the interpreter would say so again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"kernelwire: {words_of(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def make_parser() -> argparse.ArgumentParser:
    """The parser of everything that people type."""
    parser = argparse.ArgumentParser(
        prog="kernelwire",
        description="JSON-RPC 2.0 over HTTP to live Jupyter kernels.",
        epilog="example: kernelwire serve",
        formatter_class=_Wide,
    )
    parser.add_argument("--version", action="version", version=f"kernelwire {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return parser


class _Wide(argparse.HelpFormatter):
    """A command and its words on one line."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog)
        self._action_max_length = 14  # the indent of commands is forgotten when it is measured


def _parser_for(words: Sequence[str]) -> argparse.ArgumentParser:
    if words and words[0] in ("_host", "_front", "_set_up", "_end_kernels"):
        from kernelwire.commands import children

        return children.make_parser()
    parser = make_parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks; it is answered in there, and the process ends
        import argcomplete

        argcomplete.autocomplete(parser, always_complete_options=False)
    return parser
