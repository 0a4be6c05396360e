"""Opening what was granted and nothing else, whatever links are in the way and whoever changes them meanwhile.

A decision is about the text of a path.  Between the decision and the opening, and between two openings, any part of
that path can be replaced by a link that leads elsewhere.  So no path is ever handed to the operating system whole:
starting at ``/``, each name is opened in the directory opened before, and a link is never followed by the kernel
(``O_NOFOLLOW``).  A link below the granted directory is read, and if its target lies in the same grant the walk starts
again with that target; a link that leads out ends it.  The granted directory itself was free of links when it was
granted, so a link *in its own path* is somebody's later work and ends the walk too.

The result is a ``Place``: an open directory and one name in it, on which every further step works.  A directory that
is moved afterwards stays the directory that was checked.

Fences (denied and protected directories, ``/proc``, ``/sys``, ``/dev``) are recognised by device and inode of each
directory walked, and by path, so that a second mount or another spelling does not get around them.  What no check of
a path can see is a *hard* link: it is the file itself under one more name.  Who could make one could read the file
already; a fence around a single file still recognises it, and ``write`` replaces the name and leaves the file alone.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from typing import Final

from flowmetal.actions.effect import Arguments, EffectContext, EffectFailure, os_failure, plain
from flowmetal.actions.place import OPEN_ON_THE_WAY, Place, fenced, identities, make_directory
from flowmetal.permissions.decision import Allowed, Want
from flowmetal.permissions.paths import absolute, below, contains, parts
from flowmetal.permissions.protection import protected_name

MAX_LINKS: Final = 40
"""Links followed on the way to one file, as many as Linux follows."""


def want_path(
    effect: str, args: Arguments, context: EffectContext, *, name: str = "path", is_directory: bool = False
) -> list[Want]:
    """The want of an effect on the file (or directory) that its argument ``name`` names.

    Raises:
        EffectFailure: a path that cannot name one.
    """
    path: str = args[name]
    problem = ""
    if not path:
        problem = f"the {name} is empty"
    elif "\0" in path:
        problem = f"the {name} holds a NUL character"
    elif path.endswith("/") and not is_directory:
        problem = f"`{plain(path)}` ends with a slash, so it names a directory, and a file is needed"
    if problem:
        raise EffectFailure(f"{context.action_name}: {problem}", kind="error")
    return [Want(effect, absolute(path, context.base_dir), context.action_name, is_directory)]


def reach(allowed: Allowed, verb: str, shown: str, *, makes: bool = False) -> Place:
    """Walk to what was allowed, through links to what they lead to.

    Args:
        allowed: the decision.
        verb: for errors: what cannot be done, ``read`` or ``append to``.
        shown: for errors: the path as the flow gave it.
        makes: make the directories that are missing on the way, from the granted one on.

    Raises:
        EffectFailure: of kind ``denied`` when a link leads out of the grant or behind a fence; of kind ``effect``
            when the way does not exist.
    """
    walk = _Walk(allowed, verb, shown, makes=makes)
    try:
        return walk.run()
    except OSError as error:
        raise walk.failure(error) from None
    finally:
        walk.close()


def find(allowed: Allowed, verb: str, shown: str) -> Place | None:
    """As ``reach``, but to a link itself and not through it; None when the way to it does not exist.

    Raises:
        EffectFailure: as ``reach``.
    """
    walk = _Walk(allowed, verb, shown, follows_last=False)
    try:
        return walk.run()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise walk.failure(error) from None
    finally:
        walk.close()


class _Walk:
    """One walk: ``done`` is the real path of the open directory ``fd``, ``pending`` the names still to go.

    ``at`` is the directory last tried and ``link`` the last link met, both for what errors say.
    """

    def __init__(
        self, allowed: Allowed, verb: str, shown: str, *, makes: bool = False, follows_last: bool = True
    ) -> None:
        self.allowed = allowed
        self.verb = verb
        self.shown = shown
        self.makes = makes
        self.follows_last = follows_last
        self.root = list(parts(allowed.grant.resource, fold=False))
        self.pending = [*self.root, *below(allowed.named, allowed.want.resource)]
        self.done: list[str] = []
        self.at = ""
        self.links = 0
        self.link = ""
        self.fences = identities(allowed.fences)
        self.fd = -1

    def run(self) -> Place:
        self._start()
        name = "."
        while self.pending:
            name = self.pending.pop(0)
            if name == "..":
                self._up()
                name = "."
            elif self.pending:
                self._down(name)
                name = "."
            elif self.follows_last and self._is_link(name):
                self._follow(name)
                name = "."
        path = _join(self.done if name == "." else [*self.done, name])
        self._check_closed(path)
        fd, self.fd = self.fd, -1
        return Place(fd, name, path, self.fences, self.verb, self.shown)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def failure(self, error: OSError) -> EffectFailure:
        """The failure of a walk that the operating system ended."""
        reason = ""
        if self.pending and error.errno in (errno.ENOENT, errno.ENOTDIR):
            missing = error.errno == errno.ENOENT
            where = plain(_join([*self.done, self.at]))
            reason = f"the directory {where} does not exist" if missing else f"{where} is not a directory"
            if missing and self.allowed.want.effect == "write" and len(self.done) >= len(self.root) - 1:
                reason += "; make it with make_dir"
        return os_failure(self.verb, self.shown, error, reason)

    def _start(self) -> None:
        self.close()
        self.done = []
        self.fd = os.open("/", OPEN_ON_THE_WAY)

    def _down(self, name: str) -> None:
        self.at = name
        try:
            fd = os.open(name, OPEN_ON_THE_WAY, dir_fd=self.fd)
        except OSError as error:
            # Linux says ENOTDIR and macOS ELOOP of a link that was to be opened as a directory.
            if error.errno in (errno.ENOTDIR, errno.ELOOP) and self._is_link(name):
                self._follow(name)
                return
            if error.errno != errno.ENOENT or not self.makes or len(self.done) < len(self.root) - 1:
                raise
            self._check_closed(_join([*self.done, name]))
            fd = make_directory(self.fd, name)
        os.close(self.fd)
        self.fd = fd
        self.done.append(name)
        found = os.fstat(fd)
        fence = self.fences.get((found.st_dev, found.st_ino))
        if fence is not None:
            raise fenced(self.verb, self.shown, fence)

    def _check_closed(self, path: str) -> None:
        """Raise if a path without links is one that the decision leaves closed."""
        for fence in self.allowed.fences:
            if contains(fence, path):
                raise fenced(self.verb, self.shown, fence)
        never = protected_name(path) if self.allowed.want.effect == "write" else ""
        if never:
            shown = plain(self.shown)
            raise EffectFailure(f"cannot {self.verb} `{shown}`: {never}", kind="denied", details={"path": shown})

    def _up(self) -> None:
        """``..`` in a link's target, after names: walk again to the directory above."""
        self.pending = [*self.done[:-1], *self.pending]
        if len(self.done) <= len(self.root):
            raise self._leaves()
        self._start()

    def _is_link(self, name: str) -> bool:
        try:
            return stat.S_ISLNK(os.stat(name, dir_fd=self.fd, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return False

    def _follow(self, name: str) -> None:
        target = os.readlink(name, dir_fd=self.fd)
        where = [*self.done, name]
        self.link = f"{plain(_join(where))} is a symlink to {plain(target)}"
        if len(where) <= len(self.root):
            raise EffectFailure(
                f"cannot {self.verb} `{plain(self.shown)}`: {self.link}, which it was not when "
                f"{self.allowed.grant} was granted",
                kind="denied",
                details={"path": plain(self.shown)},
            )
        self.links += 1
        if self.links > MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        onward = [part for part in target.split("/") if part not in ("", ".")]
        base = [] if target.startswith("/") else self.done.copy()
        while onward and onward[0] == "..":  # the directories walked are real ones: going up from them is exact
            del onward[0], base[-1:]
        full = [*base, *onward]
        for named in dict.fromkeys((self.allowed.grant.resource, self.allowed.grant.named)):
            if contains(named, _join(full)):
                self.pending = [*self.root, *full[len(parts(named, fold=False)) :], *self.pending]
                self._start()
                return
        raise self._leaves()

    def _leaves(self) -> EffectFailure:
        grant = self.allowed.grant
        return EffectFailure(
            f"cannot {self.verb} `{plain(self.shown)}`: {self.link}, which leads out of the grant {grant}; "
            "name the file by its own path, under a grant of its own",
            kind="denied",
            details={"path": plain(self.shown)},
        )


def _join(names: list[str]) -> str:
    return posixpath.join("/", *names)
