"""Which pipelines a branch's new head does not concern, so that they need not be told of it."""

from collections import Counter
from collections.abc import Mapping

from controller.git.repositories import Repositories
from controller.machine.pipelines.code import Code
from controller.machine.pipelines.pipeline import PipelineState
from controller.machine.pipelines.touched import touched
from controller.machine.pipelines.untouched import covering_run
from controller.machine.repositories.repository import RepositoryState
from controller.store.protocol import StoreReader


async def covered_at(
    repositories: Repositories,
    store: StoreReader,
    before: RepositoryState,
    branch: str,
    head: str,
    specs: Mapping[str, Code],
) -> dict[str, str]:
    """Pipelines that the head changes nothing for, with the run whose result stands: see
    `covering_run`.

    Nothing where that is not certain: on a new branch, and after a push that was no fast-forward,
    as git may then forget the commit that they know.
    """
    old = before.heads.get(branch)
    if old is None or not specs:
        return {}
    mirror = repositories.mirror(before.name)
    if not (await mirror.has(old) and await mirror.is_ancestor(old, head)):
        return {}
    known = before.pipelines.get(branch, {})
    untouched = {
        code.name or "": code
        for path, code in _untouched(await repositories.specs(before.name, old), specs).items()
        if known.get(path) == code.name
    }
    return await _covered(store, branch, untouched) if untouched else {}


async def _covered(
    store: StoreReader, branch: str, untouched: Mapping[str, Code]
) -> dict[str, str]:
    """Those of the untouched pipelines, by name, that have nothing else to do either. One with a
    message in its inbox may not know the head before yet."""
    found: dict[str, str] = {}
    told = {*await store.addressees()}
    for record in await store.list("pipeline"):
        code = untouched.get(record.key.name)
        if code is None or record.key in told:
            continue
        run = covering_run(PipelineState.model_validate_json(record.text), branch, code)
        if run is not None:
            found[record.key.name] = run
    return found


def _untouched(before: Mapping[str, Code], after: Mapping[str, Code]) -> dict[str, Code]:
    """The specs, by path, whose inputs are as they were. An invalid spec has to be reported on, and
    of specs of one name the others have to be told."""
    names = Counter(code.name for code in after.values()) + Counter(
        {code.name: 1 for path, code in before.items() if path not in after}
    )
    changed = frozenset(touched(before, after))
    return {
        path: code
        for path, code in after.items()
        if code.spec is not None
        and names[code.name] == 1
        and path not in changed
        and before[path].spec is not None
    }
