-- The demo's tables. Running this on a database that has them changes nothing, so that two processes
-- may start at once.

BEGIN IMMEDIATE;

-- The log's epoch and the key that signs sessions.
CREATE TABLE IF NOT EXISTS meta (
    key   TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT;

INSERT OR IGNORE INTO meta (key, value) VALUES ('epoch', random());
INSERT OR IGNORE INTO meta (key, value) VALUES ('session key', randomblob(32));

-- Positions are given out under the write lock and AUTOINCREMENT never reuses one, so nothing can
-- appear at or below a position that somebody has read.
CREATE TABLE IF NOT EXISTS events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    type     TEXT NOT NULL,
    user     TEXT,
    topic    TEXT,
    data     TEXT NOT NULL
) STRICT;

-- `balance` is the user's balance after the row, and `position` that of its event: what the ledger
-- check holds against each other.
CREATE TABLE IF NOT EXISTS transactions (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    user     TEXT NOT NULL,
    amount   REAL NOT NULL,
    memo     TEXT,
    at       TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    balance  REAL NOT NULL,
    position INTEGER NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS transactions_by_user ON transactions (user, id);

PRAGMA user_version = 2;
COMMIT;
