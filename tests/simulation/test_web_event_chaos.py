"""What the web service remembers of the past is what is, after every step of random runs.

A client that follows the events of `/event` knows where every order stands, so each event has to
fit what was told before.
"""

import pytest

from engine.codec.streamed_json import Json
from engine.codec.web_events import NAMES, WebEventMaker
from engine.codec.xml.answers_chains import chain_state_name
from engine.codec.xml.answers_jobs import job_state_name
from engine.codec.xml.answers_orders import chain_path
from engine.kernel import commands as c
from engine.kernel.events.orders import OrderChainChanged
from engine.kernel.reports import Report
from engine.kernel.step import Done
from tests.support.kernel_chaos import KernelChaos

SEEDS = 60
BATCH = 20


class Follower(KernelChaos):
    """A random run with a client that follows it."""

    maker: WebEventMaker | None = None

    def __init__(self, seed: int) -> None:
        self.nodes: dict[str, str] = {}
        super().__init__(seed)

    def give(self, asked: c.Request | Report) -> Done:
        if self.maker is None:
            self.maker = WebEventMaker(self.state, from_the_first=self.epoch == 1)
        done = super().give(asked)
        for event in done.events:
            for told in self.maker.events(event):
                self._take(told)
            if isinstance(event, OrderChainChanged) and event.chain != event.order.chain:
                # What an order of a super chain was called in its former chain is over.
                former = chain_path(self.state, event.order.chain)
                self.nodes.pop(f"{former},{event.order.id}", None)
        self._compare()
        return done

    def restart(self) -> None:
        self.maker = None  # a new life begins with what is, and the client goes on
        super().restart()

    def _take(self, told: Json) -> None:
        assert told["TYPE"] in NAMES
        assert None not in told.values()
        if not told["TYPE"].startswith("Order"):
            return
        key = told["key"]
        match told["TYPE"]:
            case "OrderAdded":
                assert key not in self.nodes, f"{key} was added twice"
                self.nodes[key] = told["nodeId"]
            case "OrderNodeChanged":
                former = self.nodes.pop(key, told["fromNodeId"])
                assert former == told["fromNodeId"], f"{told} after {former}"
                self.nodes[key] = told["nodeId"]
            case "OrderRemoved":
                self.nodes.pop(key, None)
            case _:
                pass

    def _compare(self) -> None:
        """The client's picture is the engine's, order by order."""
        state, maker = self.state, self.maker
        assert maker is not None
        assert maker._nodes == {key: order.state for key, order in state.orders.items()}
        assert maker._tasks.keys() == state.tasks.keys()
        now = {
            f"{chain_path(state, key.chain)},{key.id}": order.state
            for key, order in state.orders.items()
        }
        assert self.nodes == now
        assert maker._jobs == {key: job_state_name(state, job) for key, job in state.jobs.items()}
        assert maker._chains == {
            key: chain_state_name(chain) for key, chain in state.chains.items()
        }


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_a_client_of_the_event_stream_knows_where_everything_stands(first: int) -> None:
    for seed in range(first, first + BATCH):
        try:
            Follower(seed).run()
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error
