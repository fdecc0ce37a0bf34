"""`/agent/` of the JSON web service: the agents, and what each tells of itself (agents.md 2.8)."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from engine.errors import EngineError
from engine.kernel.ids import AgentUri
from engine.kernel.state import State
from engine.server.web_request import WebRequest, web_request

AGENT_API: Final = "/jobscheduler/agent/api"


def agents_of(state: State) -> list[AgentUri]:
    """Return the addresses of all agents that process classes name."""
    classes = state.process_classes.values()
    return sorted({agent.uri for each in classes for agent in each.definition.agents})


async def agents(web: WebRequest) -> Response:
    """Handle `/agent/`: the addresses of all agents."""
    return web.answer({"elements": list(agents_of(web.state))})


async def one_agent(request: Request) -> Response:
    """Handle `/agent/URI/jobscheduler/agent/api…`: what the agent answers."""
    web = await web_request(request)
    if request.method != "GET":
        return web.error("Agents are only asked here; commands go to the engine", 405)
    text = str(request.path_params["path"])
    agent = next((uri for uri in agents_of(web.state) if _begins_with(text, uri)), None)
    if agent is None:
        return web.error("No process class has an agent of this address")
    path = text[len(agent.rstrip("/")) :]
    if not _is_of_agent_api(path):
        return web.error(f"Only what is below {AGENT_API} is passed on to agents", 403)
    views = web.context.agent_views
    if views is None:
        return web.error("This engine passes nothing on to agents", 501)
    query = request.url.query
    try:
        found = await views.get(agent, f"{path}?{query}" if query else path)
    except EngineError as error:
        return web.error(str(error), 502)
    headers = {"Cache-Control": "no-store"}
    return Response(found.body, found.status, headers, media_type=found.content_type)


def _begins_with(text: str, uri: str) -> bool:
    return text.startswith(f"{uri.rstrip('/')}/")


def _is_of_agent_api(path: str) -> bool:
    is_below = path == AGENT_API or path.startswith(f"{AGENT_API}/")
    is_plain = path.isascii() and path.isprintable() and " " not in path
    return is_below and is_plain and not any(part in {".", ".."} for part in path.split("/"))
