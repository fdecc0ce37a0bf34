"""What can happen to an order (orders-and-jobs.md chapters 2 and 11)."""

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from engine.kernel.calendar import RunTime
from engine.kernel.definitions import OrderDefinition
from engine.kernel.ids import ChainKey, HistoryId, NodeState, OrderKey, TaskId
from engine.kernel.instants import Instant
from engine.kernel.params import Params


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFileFound:
    """A permanent order's file is there; the order is placed as soon as its chain is."""

    definition: OrderDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFileGone:
    """A permanent order's file has been deleted."""

    order: OrderKey


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAdded:
    """The order stands in its chain."""

    definition: OrderDefinition
    state: NodeState
    initial_state: NodeState
    start_at: Instant
    at: Instant
    suspended: bool = False
    parent: OrderKey | None = None
    inner_chain: ChainKey | None = None
    """For an order of a super chain: the inner chain it stands in. The definition names the super
    chain, `initial_state` a node of it."""
    outer_state: NodeState | None = None
    """The node of the super chain that is the inner chain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReplacementHeld:
    """A new version of the order is accepted and waits for the end of the present step."""

    order: OrderKey
    definition: OrderDefinition
    start_at: Instant | None = None
    """None: as the definition's run time says at that moment."""
    parent: OrderKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRemovalHeld:
    """The order will be removed at the end of its present step."""

    order: OrderKey


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStarted:
    """The first step of a run is about to begin."""

    order: OrderKey
    history: HistoryId
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStepStarted:
    """The task's process works on the order."""

    order: OrderKey
    task: TaskId
    state: NodeState
    step: int
    at: Instant


class Transition(Enum):
    """What a step delivered (2.6)."""

    SUCCESS = "success"
    ERROR = "error"
    KEEP = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStepEnded:
    """The order has left its task; where it goes is told by the events that follow."""

    order: OrderKey
    task: TaskId
    state: NodeState
    transition: Transition
    return_code: int
    at: Instant
    error_code: str = ""
    error_text: str = ""
    last_error: str = ""
    """What the job at the error node can read (2.15)."""
    step: int = 0
    """Its number in the run, also when no process ever worked; 0 in journals of before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSetBack:
    """The order will be tried again later at the same node (chapter 4)."""

    order: OrderKey
    count: int
    start_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSetbackEnded:
    """The waiting time of a setback was cleared by command; the counter stays."""

    order: OrderKey


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderNodeChanged:
    """The order stands at another node (or, with the same one, waits there anew)."""

    order: OrderKey
    state: NodeState
    former: NodeState
    start_at: Instant
    setback_count: int = 0
    skipped: tuple[NodeState, ...] = ()
    """The nodes in between that are set to be skipped (SCHEDULER-859)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChainChanged:
    """The order of a super chain enters the next inner chain; its key changes with it."""

    order: OrderKey
    chain: ChainKey
    state: NodeState
    outer_state: NodeState
    start_at: Instant
    former_state: NodeState
    """Where it stood in the chain that it leaves."""
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSuspended:
    """The order does not go on until it is resumed."""

    order: OrderKey
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderResumed:
    """The order may go on."""

    order: OrderKey


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStartPlanned:
    """The order's start time has been set anew."""

    order: OrderKey
    start_at: Instant
    clears_setback: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderParamsChanged:
    """The order's whole parameter set is now this one."""

    order: OrderKey
    params: Params


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderModified:
    """A command changed properties of the order; absent ones stay."""

    order: OrderKey
    title: str | None = None
    priority: int | None = None
    end_state: NodeState | None = None
    xml_payload: str | None = None
    run_time: RunTime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStateTextSet:
    """The one line that the last step said of itself."""

    order: OrderKey
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFinished:
    """The run is over."""

    order: OrderKey
    state: NodeState
    """The end node; empty when a failing node had no error node."""
    at: Instant
    skipped: tuple[NodeState, ...] = ()
    """The nodes before it that are set to be skipped (SCHEDULER-859)."""
    at_end_state: bool = False
    """The order's `end_state` has ended it here (SCHEDULER-704)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReturned:
    """The order stands at its initial node again, its run over or reset (2.10, 2.14)."""

    order: OrderKey
    state: NodeState
    start_at: Instant
    params: Params
    unsuspended: bool = False
    outer_state: NodeState | None = None
    """For an order of a super chain: the node of it that the order is in again."""
    initial_state: NodeState | None = None
    """Its new initial node, when the former one went with a change of the chain (0.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderBlacklisted:
    """The finished order stays and blocks its id (2.12)."""

    order: OrderKey


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderUnblacklisted:
    """The order leaves the blacklist because a command sends it on."""

    order: OrderKey


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStartsMissed:
    """The order was to start while the engine was down; that is not made up (chapter 10)."""

    order: OrderKey
    first: Instant
    count: int
    """How many starts its calendar had in that time."""
    at: Instant


REPLACED: Final = "a new version takes its place"
"""Why an order is removed when another one of its id comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRemoved:
    """The order is gone."""

    order: OrderKey
    reason: str = ""


OrderEvent: TypeAlias = (
    OrderFileFound
    | OrderFileGone
    | OrderAdded
    | OrderReplacementHeld
    | OrderRemovalHeld
    | OrderStarted
    | OrderStepStarted
    | OrderStepEnded
    | OrderSetBack
    | OrderSetbackEnded
    | OrderNodeChanged
    | OrderChainChanged
    | OrderSuspended
    | OrderResumed
    | OrderStartPlanned
    | OrderParamsChanged
    | OrderModified
    | OrderStateTextSet
    | OrderFinished
    | OrderReturned
    | OrderBlacklisted
    | OrderUnblacklisted
    | OrderStartsMissed
    | OrderRemoved
)
