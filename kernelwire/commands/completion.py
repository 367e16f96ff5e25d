"""`kernelwire completion`: the script with which a shell completes this program's commands, options and methods."""

import argparse

from kernelwire.commands.options import Subparsers, say


def add(commands: Subparsers) -> None:
    completion = commands.add_parser(
        "completion",
        help="print a completion script for a shell",
        description="Print the script with which a shell completes commands, options and methods. For good: "
        "put the example into ~/.bashrc, or `kernelwire completion fish | source` into config.fish.",
        epilog='example: eval "$(kernelwire completion bash)"',
    )
    completion.add_argument("shell", choices=("bash", "zsh", "fish"))
    completion.set_defaults(command=run)


def run(given: argparse.Namespace) -> int:
    from argcomplete.shell_integration import shellcode

    say(shellcode(["kernelwire"], shell=given.shell))
    return 0
