"""`python -m harness` is `bench`: what both start with."""

import sys

INCOMPLETE = 4  # EXIT_DEVICE of harness.core.errors, which may be what cannot be imported


def run_and_exit() -> None:
    """The console script; an installation that cannot even start is no failed gate."""
    try:
        from harness.cli.main import main
        from harness.cli.output import hold_descriptors
    except ImportError as error:
        if sys.stderr is not None:
            sys.stderr.write(
                f"bench: this installation does not work: {error}\n"
                "  try: pip install --force-reinstall ondevice-bench\n"
            )
        sys.exit(INCOMPLETE)
    hold_descriptors()
    sys.exit(main())


if __name__ == "__main__":
    run_and_exit()
