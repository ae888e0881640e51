-- Times are Unix milliseconds. Documents and bodies are JSON. A migration is never edited after a release had it.

CREATE TABLE incidents (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    source     TEXT    NOT NULL,
    receiver   TEXT    NOT NULL,
    group_key  TEXT    NOT NULL,
    code       INTEGER NOT NULL,
    phase      INTEGER NOT NULL, -- 0 firing, 1 acknowledged, 2 resolved
    severity   INTEGER NOT NULL, -- 0 info, 1 warning, 2 critical
    opened_at  INTEGER NOT NULL,
    ended_at   INTEGER,
    due_at     INTEGER,          -- when the state machine has something to do by itself
    document   TEXT    NOT NULL
) STRICT;
CREATE INDEX incidents_group ON incidents (source, receiver, group_key, id);
CREATE INDEX incidents_open ON incidents (source, id) WHERE phase < 2;
CREATE INDEX incidents_code ON incidents (code) WHERE phase < 2;
CREATE INDEX incidents_due ON incidents (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX incidents_ended ON incidents (ended_at) WHERE phase = 2;

-- The first message of an incident in a chat: what later ones reply to and what is edited.
CREATE TABLE threads (
    incident INTEGER NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    address  TEXT    NOT NULL,
    message  INTEGER NOT NULL,
    PRIMARY KEY (incident, address)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    incident   INTEGER REFERENCES incidents (id) ON DELETE CASCADE,
    address    TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    urgency    INTEGER NOT NULL,
    body       TEXT    NOT NULL,
    since      INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    overdue_at INTEGER,
    digestible INTEGER NOT NULL,
    told       INTEGER NOT NULL DEFAULT 0,
    attempts   INTEGER NOT NULL DEFAULT 0,
    doubtful   INTEGER NOT NULL DEFAULT 0, -- an attempt may have arrived
    plain      INTEGER NOT NULL DEFAULT 0, -- without markup, which was refused
    bare       INTEGER NOT NULL DEFAULT 0, -- without the message it refers to, which is gone
    state      INTEGER NOT NULL DEFAULT 0, -- 0 waiting, 1 under way, 2 delivered, 3 given up, 4 not needed any more
    reference  TEXT,                       -- message id, provider's id
    called_at  INTEGER,                    -- end of the last attempt
    report     TEXT,                       -- what the provider said of its delivery
    reason     TEXT                        -- why it was given up
) STRICT;
CREATE INDEX outbox_queued ON outbox (id) WHERE state < 2;
CREATE INDEX outbox_waiting ON outbox (incident, address) WHERE state < 2;
CREATE INDEX outbox_called ON outbox (called_at) WHERE called_at IS NOT NULL;
CREATE INDEX outbox_reference ON outbox (reference) WHERE reference IS NOT NULL AND kind = 'phone';
CREATE INDEX outbox_incident ON outbox (incident) WHERE incident IS NOT NULL;

-- Chats that a 429 has stopped.
CREATE TABLE blocked (
    address TEXT    PRIMARY KEY,
    since   INTEGER NOT NULL,
    until   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Groups that became supergroups have another id.
CREATE TABLE moved (
    bot     TEXT    NOT NULL,
    from_id INTEGER NOT NULL,
    to_id   INTEGER NOT NULL,
    PRIMARY KEY (bot, from_id)
) STRICT, WITHOUT ROWID;

-- Topics that were deleted: their messages go to the chat's general topic.
CREATE TABLE lost_topics (
    bot   TEXT    NOT NULL,
    chat  INTEGER NOT NULL,
    topic INTEGER NOT NULL,
    PRIMARY KEY (bot, chat, topic)
) STRICT, WITHOUT ROWID;

-- Who did what, when: kept as long as incidents are.
CREATE TABLE audit (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    at       INTEGER NOT NULL,
    actor    TEXT    NOT NULL,
    action   TEXT    NOT NULL,
    incident INTEGER,
    detail   TEXT    NOT NULL
) STRICT;
CREATE INDEX audit_incident ON audit (incident) WHERE incident IS NOT NULL;
CREATE INDEX audit_at ON audit (at);

-- Small facts that outlive a restart: a bot's next update, when the Watchdog was last heard.
CREATE TABLE facts (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
