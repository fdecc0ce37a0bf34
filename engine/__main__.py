"""Entry point of the program: hands over to the command line."""

import sys


def main() -> int:
    """Run `pointsman` with the arguments of this process and return its exit status."""
    from engine.cli import run  # noqa: PLC0415  # keeps importing this module free of effects

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
