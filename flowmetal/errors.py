"""Every error a person can see, drawn as one tree.

    FlowmetalError
    ├── UsageError            what was asked for is wrong                       exit 2
    │   ├── LanguageError     flow text that cannot be loaded or started         exit 2
    │   ├── UnknownRunError   no such run in this home                           exit 2
    │   └── ConflictError     the run id exists with another meaning             exit 2
    ├── PackageError          a package that may not be used as it is            exit 2
    │   ├── NotAcceptedError  it may need more than somebody has accepted        exit 2
    │   ├── NotLockedError    the lock does not cover it, and it is frozen       exit 6
    │   ├── NotCachedError    it is not on this machine, and we are offline      exit 7
    │   ├── UnreachableError  where it comes from does not answer, or not so     exit 8
    │   └── DigestError       it is not what it was: both digests are named      exit 9
    ├── ValueCodecError       a value that cannot cross a boundary               exit 2
    ├── HomeError             the home cannot be used: not writable, newer …     exit 3
    │   ├── JournalError      damaged bytes, with the key that holds them        exit 3
    │   ├── QuotaError        a limit of ours on the journal's growth            exit 3
    │   └── StorageError      the disk refused: full, EIO                        exit 3
    ├── ReplayMismatch        the flow asked for another action than recorded    exit 4
    ├── RunBusyError          another live engine drives the run                 exit 3
    ├── RunPausedError        someone paused the run                             exit 3
    └── InternalError         a fault of Flowmetal itself                        exit 5

Each error says what happened (``message``), where (``place``, an optional excerpt) and what to do
(``remedy``).  Signals of the engine (eviction, worker faults) are not errors and live beside the code
that uses them, outside of ``Exception``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_OK = 0
EXIT_RUN_FAILED = 1
EXIT_USAGE = 2
EXIT_HOME = 3
EXIT_MISMATCH = 4
EXIT_INTERNAL = 5
EXIT_NOT_LOCKED = 6
EXIT_NOT_CACHED = 7
EXIT_UNREACHABLE = 8
EXIT_DIGEST = 9
EXIT_INTERRUPTED = 130


class FlowmetalError(Exception):
    """Base of all errors shown to a person.

    Args:
        message: what happened, one sentence without a trailing newline.
        place: where, e.g. ``etl.flow:12:5`` or a journal key; shown before the excerpt.
        excerpt: source lines with a marker, already formatted.
        remedy: what to do about it, one or more sentences.
    """

    exit_code = EXIT_INTERNAL

    def __init__(self, message: str, *, place: str = "", excerpt: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.excerpt = excerpt
        self.remedy = remedy

    def show(self) -> str:
        """The error as several lines of plain text, for stderr."""
        # Names and messages of a flow may be in it; none of their lines may pass for one of ours.
        lines = ["error: " + self.message.replace("\n", "\n  | ")]
        if self.place:
            lines.append("  --> " + self.place.replace("\n", "\\n"))
        if self.excerpt:
            lines.append(self.excerpt.rstrip("\n"))
        if self.remedy:
            lines.extend(f"  help: {line}" for line in self.remedy.splitlines())
        return "\n".join(lines)


class UsageError(FlowmetalError):
    """What was asked for is wrong: an option, an argument, a file that is not there."""

    exit_code = EXIT_USAGE


class LanguageError(UsageError):
    """Flow text that cannot be parsed, loaded or started."""


class UnknownRunError(UsageError):
    """No run of that id in this home."""


class ConflictError(UsageError):
    """The run id exists already with another flow, other arguments or other grants."""


class PackageError(FlowmetalError):
    """A package that may not be used as it is: damaged, against its own document, or not accepted."""

    exit_code = EXIT_USAGE


class NotAcceptedError(PackageError):
    """A package that may need more than was accepted of the version before."""


class NotLockedError(PackageError):
    """The lock does not cover what the program needs, and may not be changed."""

    exit_code = EXIT_NOT_LOCKED


class NotCachedError(PackageError):
    """A package is not on this machine, and no socket may be opened."""

    exit_code = EXIT_NOT_CACHED


class UnreachableError(PackageError):
    """The place that a package comes from does not answer, or has nothing of it."""

    exit_code = EXIT_UNREACHABLE


class DigestError(PackageError):
    """A version is not what it was when it was first seen; the message names both digests."""

    exit_code = EXIT_DIGEST


class ValueCodecError(FlowmetalError):
    """A value that cannot cross a boundary: its type, depth, node count or size."""

    exit_code = EXIT_USAGE


class HomeError(FlowmetalError):
    """The home directory cannot be used."""

    exit_code = EXIT_HOME


class JournalError(HomeError):
    """Bytes in the journal are not what was written; ``place`` names the key."""


class QuotaError(HomeError):
    """The journal reached a limit of Flowmetal's own."""


class StorageError(HomeError):
    """The operating system refused to store: disk full, input/output error."""


class RunBusyError(FlowmetalError):
    """Another live engine drives the run."""

    exit_code = EXIT_HOME


class RunPausedError(FlowmetalError):
    """Someone paused the run; it goes on when someone resumes it."""

    exit_code = EXIT_HOME


class ReplayMismatch(FlowmetalError):
    """The flow asked for another action than its journal holds; the run is left as it was."""

    exit_code = EXIT_MISMATCH


class InternalError(FlowmetalError):
    """A fault of Flowmetal itself, never of a flow."""

    exit_code = EXIT_INTERNAL


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that a person who typed ``name`` most likely meant, or None.

    What all options, or all flow files, have in common makes no two of them alike.
    """
    bare = {_bare(each): each for each in candidates}
    wanted = _bare(name)
    matches = difflib.get_close_matches(wanted, list(bare), n=1, cutoff=0.6)
    if not matches and len(wanted) > 2:
        begun = [each for each in bare if each.startswith(wanted)]
        matches = begun if len(begun) == 1 else []
    return bare[matches[0]] if matches else None


def _bare(name: str) -> str:
    return name.removeprefix("--").removesuffix(".flow")


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """``", did you mean `x`?"`` or the empty string, to append to a message."""
    match = nearest(name, candidates)
    return f", did you mean `{match}`?" if match else ""
