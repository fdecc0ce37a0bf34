-- The histories in SQLite: projections of the journal. `number` is the event that began the row.

-- name: schema
CREATE TABLE IF NOT EXISTS progress (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS order_runs (
    history_id INTEGER PRIMARY KEY,
    number INTEGER NOT NULL,
    chain TEXT NOT NULL,
    chain_key TEXT NOT NULL,
    order_id TEXT NOT NULL,
    title TEXT NOT NULL,
    parent TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    state TEXT NOT NULL DEFAULT '',
    state_text TEXT NOT NULL DEFAULT '',
    end_is_error INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS order_runs_of_chain ON order_runs (chain_key, history_id);
CREATE INDEX IF NOT EXISTS order_runs_since ON order_runs (started_at);
CREATE INDEX IF NOT EXISTS order_runs_of_order ON order_runs (order_id, history_id);

CREATE TABLE IF NOT EXISTS order_steps (
    history_id INTEGER NOT NULL,
    step INTEGER NOT NULL,
    number INTEGER NOT NULL,
    task INTEGER NOT NULL,
    state TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    is_error INTEGER NOT NULL DEFAULT 0,
    error_code TEXT NOT NULL DEFAULT '',
    error_text TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (history_id, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS tasks (
    task INTEGER PRIMARY KEY,
    number INTEGER NOT NULL,
    job TEXT NOT NULL,
    job_key TEXT NOT NULL,
    cause TEXT NOT NULL,
    agent TEXT NOT NULL,
    pid INTEGER,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    exit_code INTEGER,
    is_error INTEGER NOT NULL DEFAULT 0,
    error_code TEXT NOT NULL DEFAULT '',
    error_text TEXT NOT NULL DEFAULT '',
    steps INTEGER NOT NULL DEFAULT 0,
    parameters TEXT NOT NULL,
    chain TEXT NOT NULL,
    chain_key TEXT NOT NULL,
    order_id TEXT NOT NULL,
    history_id INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS tasks_of_job ON tasks (job_key, task);
CREATE INDEX IF NOT EXISTS tasks_since ON tasks (started_at);
CREATE INDEX IF NOT EXISTS tasks_of_run ON tasks (history_id) WHERE history_id IS NOT NULL;

CREATE TABLE IF NOT EXISTS order_notes (
    number INTEGER PRIMARY KEY,
    chain_key TEXT NOT NULL,
    order_id TEXT NOT NULL,
    history_id INTEGER,
    at INTEGER NOT NULL,
    level TEXT NOT NULL,
    text TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS order_notes_of_run ON order_notes (history_id) WHERE history_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS order_notes_to_come ON order_notes (chain_key, order_id)
WHERE history_id IS NULL;

-- name: applied
SELECT coalesce(max(number), 0) FROM progress

-- name: set_applied
INSERT INTO progress (id, number) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET number = excluded.number

-- name: order_run_started
INSERT OR REPLACE INTO order_runs
    (history_id, number, chain, chain_key, order_id, title, parent, started_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)

-- name: notes_of_run_begun
UPDATE order_notes SET history_id = ? WHERE chain_key = ? AND order_id = ? AND history_id IS NULL

-- name: order_noted
INSERT OR REPLACE INTO order_notes (number, chain_key, order_id, history_id, at, level, text)
VALUES (?, ?, ?, ?, ?, ?, ?)

-- name: order_notes_dropped
DELETE FROM order_notes WHERE chain_key = ? AND order_id = ? AND history_id IS NULL

-- name: order_run_ended
UPDATE order_runs SET state = ?, state_text = ?, ended_at = ?, end_is_error = ? WHERE history_id = ?

-- name: order_step_started
INSERT OR REPLACE INTO order_steps (history_id, step, number, task, state, started_at)
VALUES (?, ?, ?, ?, ?, ?)

-- name: order_step_ended
UPDATE order_steps SET ended_at = ?, is_error = ?, error_code = ?, error_text = ?
WHERE history_id = ? AND step = ?

-- name: state_of_run
UPDATE order_runs SET state = ? WHERE history_id = ? AND ended_at IS NULL

-- name: task_started
INSERT OR REPLACE INTO tasks
    (task, number, job, job_key, cause, agent, pid, started_at, parameters, chain, chain_key, order_id,
    history_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: task_ended
UPDATE tasks SET ended_at = ?, exit_code = ?, is_error = ?, error_code = ?, error_text = ?, steps = ?
WHERE task = ?

-- name: task_noted
UPDATE tasks SET error_text = trim(error_text || '; ' || ?, '; ')
WHERE task = ?

-- name: select_tasks
SELECT task, job, cause, agent, pid, started_at, ended_at, exit_code, is_error, error_code, error_text,
    steps, parameters, chain, order_id, history_id
FROM tasks

-- name: select_order_runs
SELECT history_id, chain, order_id, title, parent, started_at, ended_at, state, state_text, end_is_error
FROM order_runs

-- name: select_order_steps
SELECT history_id, step, task, state, started_at, ended_at, is_error, error_code, error_text
FROM order_steps

-- name: select_notes_of_run
SELECT at, level, text FROM order_notes WHERE history_id = ? ORDER BY number LIMIT ?

-- name: select_notes_of_order
SELECT at, level, text FROM order_notes
WHERE chain_key = ? AND order_id = ? AND history_id IS NULL ORDER BY number LIMIT ?

-- name: last_durations_of_order
SELECT ended_at - started_at FROM order_runs INDEXED BY order_runs_of_order
WHERE order_id = ? AND chain_key = ? AND ended_at IS NOT NULL ORDER BY history_id DESC LIMIT ?

-- name: last_durations_of_job
SELECT ended_at - started_at FROM tasks INDEXED BY tasks_of_job
WHERE job_key = ? AND ended_at IS NOT NULL ORDER BY task DESC LIMIT ?

-- name: forget_tasks_from
DELETE FROM tasks WHERE number >= ?

-- name: forget_order_runs_from
DELETE FROM order_runs WHERE number >= ?

-- name: forget_order_steps_from
DELETE FROM order_steps WHERE number >= ?

-- name: forget_order_notes_from
DELETE FROM order_notes WHERE number >= ?

-- name: tasks_before
SELECT task FROM tasks WHERE ended_at < ? LIMIT ?

-- name: order_runs_before
SELECT history_id FROM order_runs WHERE ended_at < ? LIMIT ?

-- name: forget_task
DELETE FROM tasks WHERE task = ?

-- name: forget_order_run
DELETE FROM order_runs WHERE history_id = ?

-- name: forget_order_steps
DELETE FROM order_steps WHERE history_id = ?

-- name: forget_notes_of_run
DELETE FROM order_notes WHERE history_id = ?

-- name: forget_notes_before
DELETE FROM order_notes WHERE history_id IS NULL AND at < ?
