"""How a command ends: with a word on what was wrong with its input, and with an exit status."""

import sys
from collections.abc import Callable


def exit_status(work: Callable[[], object], stopped: str = "stopped") -> int:
    """Do a command's work. Returns 0 when it is done, 2 where the input is bad, 130 where it was stopped.

    Args:
        work: raises ValueError or OSError for what the user may mend; its message is what the user reads.
        stopped: what to say after Ctrl-C.
    """
    try:
        work()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(stopped, file=sys.stderr)
        return 130
    return 0
