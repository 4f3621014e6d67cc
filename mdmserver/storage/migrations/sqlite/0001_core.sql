-- The core: who is enrolled, their certificates, the queue, results, keys, audit, outbox.
-- Times are microseconds since 1970 UTC. Columns named *_sealed hold vault envelopes (storage/vault.py).

CREATE TABLE vault_key (
    id INTEGER PRIMARY KEY,
    purpose TEXT NOT NULL CHECK (purpose IN ('seal', 'fingerprint')),
    wrapping_key TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE enrollment (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    external_id TEXT NOT NULL,
    type TEXT NOT NULL,
    device_id TEXT NOT NULL,
    user_id TEXT,
    parent_id INTEGER REFERENCES enrollment (id),
    life INTEGER NOT NULL CHECK (life >= 1),
    enabled INTEGER NOT NULL DEFAULT 0 CHECK (enabled IN (0, 1)),
    ended_at INTEGER,
    released_at INTEGER,
    tally INTEGER NOT NULL DEFAULT 0,
    awaiting_configuration INTEGER NOT NULL DEFAULT 0 CHECK (awaiting_configuration IN (0, 1)),
    topic TEXT,
    push_token_sealed BLOB,
    push_magic_sealed BLOB,
    unlock_token_sealed BLOB,
    bootstrap_token_sealed BLOB,
    serial_number TEXT,
    device_name TEXT,
    model TEXT,
    model_name TEXT,
    product_name TEXT,
    os_version TEXT,
    build_version TEXT,
    imei TEXT,
    meid TEXT,
    user_short_name TEXT,
    user_long_name TEXT,
    created_at INTEGER NOT NULL,
    enrolled_at INTEGER,
    last_seen_at INTEGER,
    CHECK (ended_at IS NULL OR enabled = 0),
    CHECK ((parent_id IS NULL) = (user_id IS NULL))
) STRICT;
CREATE INDEX enrollment_external_id ON enrollment (external_id);
CREATE INDEX enrollment_parent ON enrollment (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX enrollment_serial_number ON enrollment (serial_number) WHERE serial_number IS NOT NULL;

CREATE TABLE identity (
    id INTEGER PRIMARY KEY,
    fingerprint BLOB NOT NULL UNIQUE,
    enrollment_id INTEGER NOT NULL REFERENCES enrollment (id),
    state TEXT NOT NULL CHECK (state IN ('active', 'grace', 'superseded', 'revoked')),
    authority TEXT NOT NULL,
    certificate BLOB NOT NULL,
    not_after INTEGER NOT NULL,
    bound_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX identity_active ON identity (enrollment_id) WHERE state = 'active';
CREATE UNIQUE INDEX identity_grace ON identity (enrollment_id) WHERE state = 'grace';

CREATE TABLE pending_reenrollment (
    enrollment_id INTEGER NOT NULL REFERENCES enrollment (id),
    fingerprint BLOB NOT NULL,
    serial_number TEXT,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (enrollment_id, fingerprint)
) STRICT;

CREATE TABLE enrollment_event (
    id INTEGER PRIMARY KEY,
    enrollment_id INTEGER NOT NULL REFERENCES enrollment (id),
    life INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX enrollment_event_timeline ON enrollment_event (enrollment_id, id);

CREATE TABLE command (
    id INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    request_type TEXT NOT NULL,
    body_sealed BLOB NOT NULL,
    content_hash BLOB NOT NULL,
    idempotency_key TEXT UNIQUE,
    priority INTEGER NOT NULL,
    not_before INTEGER,
    expires_at INTEGER,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL
) STRICT;

CREATE TABLE queue_item (
    id INTEGER PRIMARY KEY,
    enrollment_id INTEGER NOT NULL REFERENCES enrollment (id),
    command_id INTEGER NOT NULL REFERENCES command (id),
    state TEXT NOT NULL CHECK (state IN (
        'queued', 'sent', 'not_now', 'withdrawn',
        'acknowledged', 'error', 'format_error', 'cancelled', 'expired', 'superseded')),
    priority INTEGER NOT NULL,
    not_before INTEGER,
    expires_at INTEGER,
    queued_at INTEGER NOT NULL,
    first_sent_at INTEGER,
    sent_at INTEGER,
    deliveries INTEGER NOT NULL DEFAULT 0,
    not_now_count INTEGER NOT NULL DEFAULT 0,
    not_now_at INTEGER,
    oversized INTEGER NOT NULL DEFAULT 0,
    withdrawn_as TEXT CHECK (withdrawn_as IN ('cancelled', 'expired', 'superseded')),
    finished_at INTEGER,
    reason TEXT,
    CHECK ((finished_at IS NULL) = (state IN ('queued', 'sent', 'not_now', 'withdrawn'))),
    CHECK (state <> 'withdrawn' OR withdrawn_as IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX queue_item_target ON queue_item (enrollment_id, command_id);
CREATE INDEX queue_item_command ON queue_item (command_id);
-- What Idle reads: as large as the work that is open, whatever the history.
CREATE INDEX queue_item_open ON queue_item (enrollment_id, priority DESC, id) WHERE finished_at IS NULL;
CREATE INDEX queue_item_expiry ON queue_item (expires_at) WHERE finished_at IS NULL AND expires_at IS NOT NULL;

CREATE TRIGGER queue_item_final_states_never_change
BEFORE UPDATE OF state, finished_at ON queue_item
WHEN OLD.finished_at IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'a finished queue item never changes');
END;

CREATE TABLE result (
    item_id INTEGER PRIMARY KEY REFERENCES queue_item (id),
    status TEXT NOT NULL,
    body_sealed BLOB NOT NULL,
    is_compressed INTEGER NOT NULL,
    is_readable INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    processed INTEGER NOT NULL,
    claimed_until INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX result_unprocessed ON result (item_id) WHERE processed = 0;

CREATE TABLE outbox (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    topic TEXT NOT NULL,
    body_sealed BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    claimed_until INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE api_key (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    scopes TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER,
    revoked_at INTEGER
) STRICT;

CREATE TABLE audit_record (
    sequence INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    previous_hash BLOB NOT NULL,
    hash BLOB NOT NULL
) STRICT;
