"""Replies to commands in comments: with a comment or a thumbs-up."""

from collections.abc import Mapping, Sequence

from controller.config.secrets import Secrets
from controller.git.repositories import Repositories
from controller.github.client import LONGEST, Client
from controller.github.comment import cut
from controller.machine.actions import AnswerCommand
from controller.machine.core import Envelope, Key, parsed
from controller.machine.pipelines.pipeline import PipelineState
from controller.machine.repositories.pull import pull_branch
from controller.machine.repositories.repository import RepositoryState
from controller.machine.runs.graph import Graph
from controller.machine.runs.run import Run
from controller.planning.plans import Cache, plan_of_run
from controller.reports.plan import render_plan


class CommandReplies:
    """Applies `AnswerCommand`. `names` has the `owner/name` of each repository."""

    def __init__(
        self,
        client: Client,
        names: Mapping[str, str],
        cache: Cache,
        repositories: Repositories,
        secrets: Secrets,
    ) -> None:
        self._client = client
        self._names = names
        self._cache = cache
        self._store = cache.store
        self._repositories = repositories
        self._secrets = secrets

    async def apply(self, _owner: Key, action: AnswerCommand) -> Sequence[Envelope]:
        """Reply once. Raises what `Client` raises."""
        at = self._names[action.repository]
        text = await self._plans(action) if action.plan else action.text
        if not text:
            await self._client.react(at, action.comment, "+1")
            return ()
        mark = f"<!-- headgate: answer to {action.comment} -->"
        if not await self._client.own_comments(at, action.pull, mark):
            body = f"{mark}\n{self._secrets.redact(text)}"
            await self._client.create_comment(at, action.pull, cut(body, LONGEST, None), mark=mark)
        return ()

    async def _plans(self, action: AnswerCommand) -> str:
        """The plan of each pipeline that the pull request touches."""
        record = await self._store.get(Key("repository", action.repository))
        names = parsed(RepositoryState, record.body).pipelines if record else {}
        branch = pull_branch(action.pull)
        plans = [await self._plan(name, branch) for name in sorted(names.get(branch, {}).values())]
        return "\n\n".join(plans) or "Nothing to run: this changes nothing that a pipeline reads."

    async def _plan(self, name: str, branch: str) -> str:
        record = await self._store.get(Key("pipeline", name))
        pipeline = parsed(PipelineState, record.body) if record else None
        last = pipeline.last.get(branch) if pipeline else None
        head = f"## {name}\n\n"
        if pipeline is None or last is None:
            reason = pipeline.waits_for if pipeline else None
            return f"{head}No run has started yet{f': {reason}' if reason else ''}."
        run = await self._store.get(Key("run", last.run))
        graph = await self._store.get(Key("graph", last.run))
        if run is None or graph is None:
            return f"{head}{last.run} is about to start."
        known = parsed(Run, run.body)
        made = parsed(Graph, graph.body)
        plan = await plan_of_run(self._cache, self._repositories, known, made)
        if plan is None:
            return f"{head}The spec of {last.commit[:12]} can no longer be read."
        return head + render_plan(self._secrets.redacted(plan), known)
