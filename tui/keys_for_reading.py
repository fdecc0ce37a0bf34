"""Actions of the graph and of logs."""

from tui.actions import LISTS, Action, on

_ROWS = on("graph", LISTS)

READING: tuple[Action, ...] = (
    # The graph.
    Action(
        id="graph.errors",
        keys=("e",),
        label="errors",
        help="show or hide the error edges",
        places=on("graph"),
        rank=11,
    ),
    Action(
        id="graph.next_trouble",
        keys=("n",),
        label="next trouble",
        help="the next row with trouble",
        places=_ROWS,
    ),
    Action(
        id="graph.last_trouble",
        keys=("N",),
        label="previous trouble",
        help="the previous row with trouble",
        places=on("graph"),
    ),
    Action(
        id="graph.map",
        keys=("v",),
        label="map",
        help="rail or map; on the map h j k l walk from node to node",
        places=on("graph"),
        rank=12,
    ),
    Action(
        id="graph.follow",
        keys=(".",),
        label="follow",
        help="keep the order in view and show its way, or no longer",
        places=on("graph"),
        rank=13,
    ),
    # Logs.
    Action(
        id="log.stamps",
        keys=("t",),
        label="time",
        help="hide or show time stamps",
        places=on("log"),
        rank=18,
    ),
    Action(id="log.tail", keys=("0",), label="tail", help="the end, and follow", places=on("log")),
    Action(id="log.head", keys=("1",), label="head", help="the beginning", places=on("log")),
    *(
        Action(
            id=f"log.last_{minutes}",
            keys=(key,),
            label=words,
            help=f"what was written in the last {words}; again: everything",
            places=on("log"),
        )
        for key, minutes, words in (
            ("2", 1, "minute"),
            ("3", 5, "5 minutes"),
            ("4", 15, "15 minutes"),
            ("5", 30, "30 minutes"),
            ("6", 60, "hour"),
        )
    ),
    Action(
        id="log.highlight",
        keys=("ctrl+o",),
        label="show all",
        help="all lines with the matches shown in them, or only those that match",
        places=on("log"),
    ),
    Action(
        id="log.copy",
        keys=("c",),
        label="copy",
        help="copy the lines in sight",
        places=on("log"),
        rank=17,
    ),
    Action(
        id="log.previous",
        keys=("p",),
        label="run before",
        help="log of the run of the same job before this one",
        places=on("log"),
        rank=10,
    ),
    Action(
        id="log.follow",
        keys=("s",),
        label="follow",
        help="follow the end, or stand still",
        places=on("log"),
        rank=29,
    ),
    Action(
        id="log.wrap", keys=("w",), label="wrap", help="wrap long lines", places=on("log"), rank=28
    ),
    Action(
        id="log.full",
        keys=("f",),
        label="full",
        help="the log alone, for a clean selection",
        places=on("log"),
        rank=20,
    ),
    Action(
        id="log.mark_line",
        keys=("m",),
        label="mark",
        help="put a line with the time into the log shown here",
        places=on("log"),
        rank=19,
    ),
    Action(
        id="log.next_match",
        keys=("n",),
        label="next match",
        help="the next match",
        places=on("log"),
    ),
    Action(
        id="log.last_match",
        keys=("N",),
        label="previous match",
        help="the match before",
        places=on("log"),
    ),
    Action(id="log.clear", keys=("C",), label="clear", help="clear the view", places=on("log")),
)
