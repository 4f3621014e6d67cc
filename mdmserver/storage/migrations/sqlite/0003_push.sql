-- Push certificates, and when each enrollment is woken.

CREATE TABLE push_certificate (
    id INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    certificate BLOB NOT NULL,
    key_sealed BLOB NOT NULL,
    fingerprint TEXT NOT NULL,
    not_before INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    installed_at INTEGER NOT NULL,
    installed_by TEXT NOT NULL,
    replaced_at INTEGER,
    halted_at INTEGER,
    halted_reason TEXT
) STRICT;
CREATE UNIQUE INDEX push_certificate_topic ON push_certificate (topic) WHERE replaced_at IS NULL;

-- A key that waits for its certificate. With mdmcert.download also the key that the mailed file is encrypted to.
CREATE TABLE push_certificate_request (
    id TEXT PRIMARY KEY,
    csr BLOB NOT NULL,
    key_sealed BLOB NOT NULL,
    reply_certificate BLOB,
    reply_key_sealed BLOB,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    used_at INTEGER
) STRICT;

-- One row per enrollment that was ever to be woken. `due_at` NULL: nothing waits for it.
CREATE TABLE push_target (
    enrollment_id INTEGER PRIMARY KEY REFERENCES enrollment (id),
    due_at INTEGER,
    held_until INTEGER NOT NULL DEFAULT 0,
    claimed_until INTEGER NOT NULL DEFAULT 0,
    is_asked INTEGER NOT NULL DEFAULT 0 CHECK (is_asked IN (0, 1)),
    asks INTEGER NOT NULL DEFAULT 0,
    step INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    apns_id TEXT,
    pushed_at INTEGER,
    pushed_status INTEGER,
    pushed_reason TEXT,
    pushed_id TEXT,
    accepted_at INTEGER,
    stopped_at INTEGER
) STRICT;
-- What the sweep reads: as large as what waits, however many enrollments there are.
CREATE INDEX push_target_due ON push_target (due_at) WHERE due_at IS NOT NULL AND stopped_at IS NULL;
CREATE INDEX push_target_stopped ON push_target (enrollment_id) WHERE stopped_at IS NOT NULL;

CREATE TABLE push_attempt (
    id INTEGER PRIMARY KEY,
    enrollment_id INTEGER NOT NULL REFERENCES enrollment (id),
    at INTEGER NOT NULL,
    status INTEGER,
    reason TEXT,
    apns_id TEXT
) STRICT;
CREATE INDEX push_attempt_timeline ON push_attempt (enrollment_id, id);

-- When the device sent the push token: what APNs knew before that is about another one.
ALTER TABLE enrollment ADD COLUMN push_token_at INTEGER;
UPDATE enrollment SET push_token_at = last_seen_at WHERE push_token_sealed IS NOT NULL;

-- What waited before there was push is told of at once.
INSERT INTO push_target (enrollment_id, due_at) SELECT DISTINCT enrollment_id, 0 FROM queue_item WHERE finished_at IS NULL;
