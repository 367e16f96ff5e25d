"""`kernelwire`, and `python -m kernelwire`."""

import sys


def main() -> int:
    """Run one command; returns its exit code. Whoever interrupts it while it is being loaded sees no traceback."""
    try:
        from kernelwire import cli
    except KeyboardInterrupt:
        return 130
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
