"""The `galore` command as a program: `galore ...`, or `python -m galore ...`."""

import sys

from galore import program


def main() -> int:
    """Runs the command line of this process."""
    program.guard("__main__", "galore")
    from galore import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
