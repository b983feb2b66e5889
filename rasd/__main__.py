"""The `rasd` command, also as `python -m rasd`; interrupted while its libraries load it leaves no traceback."""

import sys


def main() -> None:
    """Run the command; after Ctrl-C exit with 130, as shells expect."""
    try:
        from rasd.cli import app

        app(prog_name="rasd")
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
