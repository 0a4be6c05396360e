"""The one function that decides.

A want has one or more *authorities*: the run's grants, those of every package whose code is on the call stack, and the
ceilings of these packages, which are what their manifests say and the lock has accepted.
Each must allow it, a denial of any is final, and what they allow together is what all of them allow: of two directories
the inner one, of two sets of networks what both hold.  So a package does no more through the code of another, and no
more than the run may.

Some things are denied whatever is allowed: the kernel's views of processes and devices, through which any file can be
reached; the directories that the caller protects (the home with the journal); and writing what would give the flow
more authority than it has, see ``protection``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flowmetal.errors import UsageError
from flowmetal.permissions import networks, refusal
from flowmetal.permissions.grants import Grant, GrantSet
from flowmetal.permissions.matching import allows, denies, networks_denied, networks_granted
from flowmetal.permissions.packages import ROOT, packages_of
from flowmetal.permissions.paths import FOLD_NAMES, contains, parts
from flowmetal.permissions.protection import ALWAYS_DENIED, program_fences, protected_name
from flowmetal.permissions.texts import plain
from flowmetal.permissions.vocabulary import ANY, PATH_EFFECTS, divide_digest
from flowmetal.permissions.wants import Allowed, Decision, Denied, Want, check_want, target_of

__all__ = ["ALWAYS_DENIED", "Allowed", "Decision", "Denied", "Want", "decide", "decide_all"]


def decide(
    grants: GrantSet,
    want: Want,
    modules: Sequence[str] = (),
    *,
    protected: tuple[str, ...] = (),
    fences: tuple[str, ...] = (),
    fold: bool = FOLD_NAMES,
) -> Decision:
    """Whether ``want`` may be done under ``grants``.

    Args:
        grants: what the run has.
        want: one thing that an effect is about to do.
        modules: labels of the modules on the call stack, never the prelude's.
        protected: canonical directories of Flowmetal's own that are denied whatever is allowed.
        fences: more canonical paths that are denied whatever is allowed.
        fold: whether names are compared in normal form and without case.
    """
    try:
        check_want(want)
    except UsageError as error:
        return Denied(want, f"{want.action_name}: {error.message}", "")
    askers = packages_of(modules, [label for label, _ in grants.packages])
    entries = dict(grants.packages)
    authorities = {ROOT: grants, **{label: entries.get(label, GrantSet()) for label in askers}}
    closed = ALWAYS_DENIED + protected + fences
    if want.effect in PATH_EFFECTS:
        programs = program_fences(authorities.values()) if want.effect == "write" else ()
        never = _never(want, protected, fences, programs, fold)
        if never:
            return Denied(want, f"{refusal.doing(want)} is never allowed: {never}", "")
        closed += programs
    for label, authority in authorities.items():
        for grant in authority.deny:
            if denies(grant, want, fold=fold):
                who = f" to {label}" if label != ROOT else ""
                return Denied(
                    want, f"{refusal.doing(want)} is denied{who}: `--deny {grant}` wins over every `--allow`", ""
                )
    said = dict(grants.ceilings)
    # Where packages say what they may need, one that says nothing, for it came later, may need nothing.
    packages = [label for label in askers if not label.startswith("//")] if said else []
    ceilings = {label: said.get(label, GrantSet()) for label in packages}
    below = {
        label: [grant for grant in ceiling.allow if allows(grant, want, fold=fold)]
        for label, ceiling in ceilings.items()
    }
    for label, granting in below.items():
        if not granting:
            return Denied(want, refusal.beyond_ceiling(want, label, askers[label], ceilings[label].allow), "")
    matches = {
        label: [grant for grant in authority.allow if allows(grant, want, fold=fold)]
        for label, authority in authorities.items()
    }
    lacking = {label: askers.get(label, "") for label in authorities if not matches[label]}
    if lacking:
        message, option = refusal.not_granted(want, lacking, authorities[next(iter(lacking))].allow)
        return Denied(want, message, option)
    sets = [*authorities.values(), *ceilings.values()]
    found = _meet(want, [*matches.values(), *below.values()], sets, closed, tuple(askers), fold)
    if isinstance(found, Allowed):
        return found
    helps = want.effect == "net" and not found.endswith(networks.FINAL)
    option = " ".join(refusal.option_of(want, label) for label in authorities) if helps else ""
    return Denied(
        want, f"{refusal.doing(want)} is not granted: {found}" + (f": add {option}" if option else ""), option
    )


def decide_all(
    grants: GrantSet,
    wants: Iterable[Want],
    modules: Sequence[str] = (),
    *,
    protected: tuple[str, ...] = (),
    fences: tuple[str, ...] = (),
    fold: bool = FOLD_NAMES,
) -> tuple[Allowed, ...] | Denied:
    """Leave for every one of ``wants``, in their order, or the first refusal."""
    allowed: list[Allowed] = []
    for want in wants:
        decision = decide(grants, want, modules, protected=protected, fences=fences, fold=fold)
        if isinstance(decision, Denied):
            return decision
        allowed.append(decision)
    return tuple(allowed)


def _never(
    want: Want, protected: tuple[str, ...], fences: tuple[str, ...], programs: tuple[str, ...], fold: bool
) -> str:
    """Why a path is closed whatever is granted, or ""."""
    for directory in ALWAYS_DENIED:
        if contains(directory, want.resource, fold=fold):
            return f"no grant opens {directory}"
    for directory in protected:
        if contains(directory, want.resource, fold=fold):
            return f"{plain(directory)} is Flowmetal's own"
    for directory in fences:
        if contains(directory, want.resource, fold=fold):
            return f"no grant opens {plain(directory)}"
    for program in programs:
        if contains(program, want.resource, fold=fold):
            return f"{plain(program)} is a program that the flow may run"
    return protected_name(want.resource) if want.effect == "write" else ""


def _meet(
    want: Want,
    matches: list[list[Grant]],
    sets: list[GrantSet],
    closed: tuple[str, ...],
    packages: tuple[str, ...],
    fold: bool,
) -> Allowed | str:
    """What all authorities allow together, or why they allow nothing."""
    if want.effect in PATH_EFFECTS:
        return _meet_paths(want, matches, sets, closed, packages, fold)
    if want.effect == "net":
        return _meet_networks(want, matches, sets, packages)
    if want.effect == "exec":
        return _meet_programs(want, matches, sets, packages)
    grant = max((grant for some in matches for grant in some), key=_narrowness)
    return Allowed(want, grant, grant.named, (), packages=packages)


def _meet_paths(
    want: Want,
    matches: list[list[Grant]],
    sets: list[GrantSet],
    closed: tuple[str, ...],
    packages: tuple[str, ...],
    fold: bool,
) -> Allowed | str:
    common = [
        (len(parts(named, fold=False)), grant, named)
        for some in matches
        for grant in some
        for named in dict.fromkeys((grant.resource, grant.named))
        if contains(named, want.resource, fold=fold)
        and all(any(contains(each.resource, grant.resource, fold=fold) for each in others) for others in matches)
    ]
    if not common:
        return "the grants of the run and of its packages lead to different files"
    # The widest grant: one more grant must never take away what a link was allowed before.
    _, grant, named = min(common)
    denied = [each for some in sets for each in some.deny if each.effect == want.effect]
    fences = (*closed, *(path for deny in denied for path in (deny.resource, deny.named)))
    return Allowed(want, grant, named, tuple(dict.fromkeys(fences)), packages=packages)


def _meet_networks(
    want: Want, matches: list[list[Grant]], sets: list[GrantSet], packages: tuple[str, ...]
) -> Allowed | str:
    target = target_of(want)
    granted = networks_granted(sets[0].allow, target)
    for some in sets[1:]:
        granted = networks.common(granted, networks_granted(some.allow, target))
    denied = tuple(dict.fromkeys(network for some in sets for network in networks_denied(some.deny, target)))
    if target.address is not None:
        reason = networks.refusal(target.address, granted, denied)
        if reason:
            return reason
    grant = max((grant for some in matches for grant in some), key=_narrowness)
    return Allowed(
        want,
        grant,
        grant.named,
        (),
        networks=tuple(map(str, granted)),
        denied_networks=tuple(map(str, denied)),
        packages=packages,
    )


def _meet_programs(
    want: Want, matches: list[list[Grant]], sets: list[GrantSet], packages: tuple[str, ...]
) -> Allowed | str:
    fences = tuple(
        dict.fromkeys(divide_digest(each.resource)[0] for some in sets for each in some.deny if each.effect == "exec")
    )
    paths = sorted({divide_digest(grant.resource)[0] for some in matches for grant in some} - {ANY}) or [ANY]
    for path in paths:
        digests: set[str] | None = None
        for some in matches:
            here = [divide_digest(grant.resource) for grant in some]
            of_path = {digest for program, digest in here if program in (path, ANY)}
            if "" not in of_path:
                digests = of_path if digests is None else digests & of_path
            if not of_path:
                digests = set()
        if digests is None or digests:
            candidates = [grant for some in matches for grant in some if divide_digest(grant.resource)[0] == path]
            grant = max(candidates, key=lambda each: (divide_digest(each.resource)[1] in (digests or ()), each))
            program = "" if path == ANY else path
            found = tuple(sorted(digests or ()))
            return Allowed(want, grant, grant.named, fences, program=program, digests=found, packages=packages)
    return "the grants of the run and of its packages are for different programs"


def _narrowness(grant: Grant) -> tuple[bool, int, Grant]:
    return (not grant.resource.startswith(ANY), len(grant.resource), grant)
