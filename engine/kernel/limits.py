"""Every bound of the program, with its reason. Durations are in seconds (`_S`) unless typed."""

# --- the journal ---------------------------------------------------------------------------------

STORE_TIMEOUT_S = 60.0
"""Wait for one answer of the disk. A slow disk is waited for, a hung one must stop the engine."""

STORE_QUEUE_MAX = 256
"""Jobs waiting for the writer thread. The loop has one at a time; then snapshots, retention."""

STORE_GROUP_MAX = 64
"""Jobs that share one transaction, so that the first of them does not wait for ever more others."""

READ_EVENTS_MAX = 10_000
"""Events that one read returns at most: some megabytes of memory for a reader far behind."""

TRUNCATE_EVENTS_MAX = 5_000
"""Events that one transaction deletes, so that retention holds up no commit for long."""

SNAPSHOTS_KEPT = 2
"""The newest and the one before, in case the newest cannot be read."""

# --- histories -----------------------------------------------------------------------------------

HISTORY_BATCH_MAX = 1_000
"""Events that one transaction of the histories covers: about 20 ms of the writer's time."""

HISTORY_ROWS_MAX = 10_000
"""Rows that one query of a history returns at most."""

HISTORY_TEXT_CHARACTERS_MAX = 250
"""Length of an error text in the histories (orders-and-jobs.md 5.7)."""

# --- task logs -----------------------------------------------------------------------------------

LOG_QUEUE_BYTES_MAX = 8_000_000
"""Output waiting for the log writer; beyond it producers wait, down to the agent."""

LOG_APPEND_BYTES_MAX = 1_000_000
"""One piece of output (agents.md 5.4 sends batches of at most 1,000,000 characters)."""

LOG_LINE_BYTES_MAX = 8_192
"""An incomplete line is held back for its end up to here, then written in pieces."""

LOG_FILE_BYTES_MAX = 1_000_000_000
"""One task log; what a task writes beyond it is counted, said once, and not kept."""

LOG_HANDLES_MAX = 64
"""Log files open at a time, far below the usual 1,024 files of a process."""

LOG_READ_BYTES_MAX = 1_000_000
"""One read of a task log."""

LOG_TAIL_LINES_MAX = 10_000
"""Lines that one tail of a task log returns at most."""

LOG_FOLLOWERS_MAX = 1_000
"""Notifications of new output at a time."""

LOG_TIMEOUT_S = 60.0
"""Wait for the log writer, as for the journal."""

# --- the kernel ----------------------------------------------------------------------------------

EVENTS_PER_STEP_MAX = 1_000_000
"""Events that one input may cause; beyond it something turns in a circle. A reload of a large
folder is the longest step there is."""

ORDER_ID_CHARACTERS_MAX = 250
"""Length of an order id (orders-and-jobs.md 2.2)."""

TITLE_CHARACTERS_MAX = 200
"""Length of an order's title (js846)."""

STATE_TEXT_CHARACTERS_MAX = 100
"""Length of a state text (2.15)."""

PARAMS_BYTES_MAX = 10_000_000
"""Size of one parameter set; a return values file may have as much (8.4)."""

SSH_RUNS_MAX = 10_000
"""Runs over SSH that are remembered, some 400 bytes each in a snapshot; open ones stay anyway."""

SSH_RUNS_LOOKED_AT_MAX = 200
"""Of them, so many of the oldest are looked at when a new one begins."""

# --- the service ---------------------------------------------------------------------------------

INBOX_LETTERS_MAX = 10_000
"""Requests and reports waiting for the owner of the state; beyond it their senders wait."""

BATCH_LETTERS_MAX = 500
"""Letters that share one commit, so that none waits long for the others' answers."""

BATCH_EVENTS_MAX = 5_000
"""Events after which a batch is committed although more letters wait."""

FEED_NOTICES_MAX = 20_000
"""Notices that one follower of the feed may be behind; then it is cut off and starts anew."""

SNAPSHOT_EVERY_EVENTS = 50_000
"""Events after which a new snapshot shortens the next recovery to about a second."""

SCRIPT_BYTES_MAX = 4_000_000
"""A script with its includes."""

NARRATION_LINES_MAX = 100_000
"""Messages waiting to be written into task logs; beyond it they are counted and left out."""

ORDER_NOTES_MAX = 1_000
"""Messages about an order before the first step of a run; later ones are left out."""

HISTORY_BACKLOG_MAX = 100_000
"""Commits whose history records wait to be written; recovery catches up with what is beyond."""
