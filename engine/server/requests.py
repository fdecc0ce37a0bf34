"""Carries out requests of clients: the kernel decides, files of removed objects go with them."""

from engine.kernel.commands import (
    JobAction,
    ModifyJob,
    ObjectKind,
    ObjectRef,
    RemoveChain,
    RemoveOrder,
    Request,
)
from engine.kernel.definitions import Source
from engine.kernel.problems import Problem
from engine.kernel.state import State
from engine.server.engine_port import Accepted, EnginePort


async def carry_out(port: EnginePort, request: Request, by: str) -> Accepted | Problem:
    """Submit a request; a removing one deletes the file of its object too (6.11, 6.15)."""
    file = _file_to_remove(port.state, request)
    done = await port.submit(request, by)
    if file is not None and isinstance(done, Accepted):
        try:
            await port.remove_live_file(file)
        except OSError as error:
            return Problem(code="SCHEDULER-428", text=f"The file of {file.path!r} stays: {error}")
    return done


def _file_to_remove(state: State, request: Request) -> ObjectRef | None:
    """Return the object whose file a request removes, None when there is no file."""
    source: Source | None = None
    kind, path = ObjectKind.JOB, ""
    match request:
        case ModifyJob(job=job_key, action=JobAction.REMOVE):
            job = state.jobs.get(job_key)
            if job is not None:
                source, path = job.definition.source, job.definition.path
        case RemoveChain(chain=chain_key):
            chain = state.chains.get(chain_key)
            if chain is not None:
                kind, source, path = (
                    ObjectKind.CHAIN,
                    chain.definition.source,
                    chain.definition.path,
                )
        case RemoveOrder(order=order_key):
            order = state.orders.get(order_key)
            chain = state.chains.get(order_key.chain)
            if order is not None and chain is not None:
                kind, source = ObjectKind.ORDER, order.definition.source
                path = f"{chain.definition.path},{order_key.id}"
        case _:
            pass
    return None if source is None else ObjectRef(kind=kind, path=path)
