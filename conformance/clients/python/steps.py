"""Plays named steps in the order in which they are written, one line each."""

import asyncio
import inspect
import sys
import time
import traceback

_steps = []


def step(function):
    """Marks a function as a step; its first line of documentation is its name."""
    _steps.append((function.__doc__.splitlines()[0], function))
    return function


def play(*given, go_on=True):
    """Runs every step with these arguments and ends the program: 1 when any failed.

    After one that fails the others have their turn, unless `go_on` says that they build on each other.
    """
    passed = 0
    for name, function in _steps:
        start = time.monotonic()
        try:
            outcome = function(*given)
            if inspect.isawaitable(outcome):
                asyncio.get_event_loop().run_until_complete(asyncio.wait_for(outcome, 60))
            verdict = "ok  "
        except Exception:  # Whatever a step meets is its failure.
            verdict = "FAIL"
            traceback.print_exc(file=sys.stdout)
        passed += verdict == "ok  "
        print(f"{verdict} {name} ({time.monotonic() - start:.1f} s)", flush=True)
        if not (go_on or verdict == "ok  "):
            break
    print(f"{passed} of {len(_steps)} steps pass", flush=True)
    sys.exit(0 if passed == len(_steps) else 1)


def until(look, wanted=bool, seconds=10):
    """Looks again and again until what is seen is wanted, and gives it back; fails after that many seconds."""
    end = time.monotonic() + seconds
    while True:
        seen = look()
        if wanted(seen):
            return seen
        assert time.monotonic() < end, f"still {seen!r} after {seconds} s"
        time.sleep(0.05)


def refused(error, call, text=""):
    """The call must raise this error with this text in it."""
    try:
        answer = call()
    except error as raised:
        assert text in str(raised), f"{raised!r} does not say {text!r}"
        return
    raise AssertionError(f"answered {answer!r} instead of raising {error.__name__}")
