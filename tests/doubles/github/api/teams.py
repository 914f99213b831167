"""Who is in the teams of an organisation."""

from tests.doubles.github.calls import Call, Refusal, Reply, route
from tests.doubles.github.state import LEVELS


@route("GET /orgs/{org}/teams/{team_slug}/memberships/{username}")
def membership(call: Call) -> Reply:
    """An app needs its permission in that organisation, a person has to be in it."""
    organisation, user = call.params["org"].lower(), call.params["username"].lower()
    installation = call.who.installation if call.who else None
    if installation is not None:
        granted = installation.permissions.get("members", "none")
        inside = installation.account.login.lower() == organisation
        if not inside or LEVELS.index(granted) < LEVELS.index("read"):
            wanted = {"X-Accepted-GitHub-Permissions": "members=read"}
            raise Refusal(403, "Resource not accessible by integration", headers=wanted)
    elif not any(
        call.user.login.lower() in members
        for (where, _), members in call.hub.teams.items()
        if where == organisation
    ):
        raise Refusal(404, "Not Found")
    team = call.hub.teams.get((organisation, call.params["team_slug"].lower()), {})
    if user not in team:
        raise Refusal(404, "Not Found")
    shown = {"url": f"{call.hub.url}{call.path}", "role": "member", "state": team[user]}
    return Reply(200, shown)
