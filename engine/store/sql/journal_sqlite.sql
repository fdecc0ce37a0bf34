-- The journal in SQLite. `checksum` covers the whole row (engine/store/base.py).

-- name: schema
CREATE TABLE IF NOT EXISTS meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    cause TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS snapshots (
    number INTEGER PRIMARY KEY,
    checksum INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;

-- name: last_number
SELECT coalesce(max(number), 0) FROM events

-- name: first_number
SELECT min(number) FROM events

-- name: append
INSERT INTO events (number, at, kind, cause, epoch, checksum, body) VALUES (?, ?, ?, ?, ?, ?, ?)

-- name: read
SELECT number, at, kind, cause, checksum, body FROM events WHERE number > ? ORDER BY number LIMIT ?

-- name: has_up_to
SELECT EXISTS (SELECT 1 FROM events WHERE number <= ?)

-- name: delete_between
DELETE FROM events WHERE number >= ? AND number < ?

-- name: save_snapshot
INSERT OR REPLACE INTO snapshots (number, checksum, body) VALUES (?, ?, ?)

-- name: drop_old_snapshots
DELETE FROM snapshots WHERE number NOT IN (SELECT number FROM snapshots ORDER BY number DESC LIMIT ?)

-- name: snapshot_numbers
SELECT number FROM snapshots ORDER BY number DESC

-- name: snapshot
SELECT checksum, body FROM snapshots WHERE number = ?

-- name: meta
SELECT value FROM meta WHERE key = ?

-- name: set_meta
INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value
