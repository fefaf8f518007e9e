"""How the project's commands run: what they print, and their exit status."""

import sys
from collections.abc import Callable


def exit_status(work: Callable[[], object], stopped: str = "stopped") -> int:
    """Do a command's work and return the command's exit status.

    Args:
        work: returns the command's last line, a string that says what it made, or an exit status, or nothing. It raises
            ValueError or OSError for what the user can fix; the message is printed for the user.
        stopped: what to print after Ctrl-C.

    Returns:
        0 for success, 2 for wrong input, 130 for Ctrl-C, or the status that the work returns.
    """
    try:
        result = work()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(stopped, file=sys.stderr)
        return 130
    if isinstance(result, str):
        print(result)
    return result if isinstance(result, int) else 0
