"""`python -m kernelwire`."""

import sys

from kernelwire.cli import main

if __name__ == "__main__":
    sys.exit(main())
