-- Apps, their configurations, what should be on which device, and how that stands per device.

CREATE TABLE device_label (
    enrollment_id INTEGER NOT NULL REFERENCES enrollment (id),
    kind TEXT NOT NULL CHECK (kind IN ('tag', 'group')),
    name TEXT NOT NULL,
    PRIMARY KEY (enrollment_id, kind, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX device_label_name ON device_label (kind, name, enrollment_id);

CREATE TABLE app (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    app_store_id INTEGER,
    bundle_id TEXT NOT NULL,
    manifest_url TEXT,
    platforms TEXT NOT NULL,
    preference_domain TEXT,
    preference_form TEXT NOT NULL CHECK (preference_form IN ('managed', 'direct', 'both')),
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE app_assignment (
    app_id INTEGER NOT NULL REFERENCES app (id),
    scope_kind TEXT NOT NULL CHECK (scope_kind IN ('all', 'tag', 'group', 'device')),
    scope_value TEXT NOT NULL,
    effect TEXT NOT NULL CHECK (effect IN ('install', 'remove')),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (app_id, scope_kind, scope_value)
) STRICT, WITHOUT ROWID;

-- One per app and scope. A revision never changes; `revision_id` says which is in force, NULL that none is.
CREATE TABLE app_configuration (
    id INTEGER PRIMARY KEY,
    app_id INTEGER NOT NULL REFERENCES app (id),
    scope_kind TEXT NOT NULL CHECK (scope_kind IN ('all', 'tag', 'group', 'device')),
    scope_value TEXT NOT NULL,
    revision_id INTEGER REFERENCES app_configuration_revision (id),
    created_at INTEGER NOT NULL,
    UNIQUE (app_id, scope_kind, scope_value)
) STRICT;

CREATE TABLE app_configuration_revision (
    id INTEGER PRIMARY KEY,
    configuration_id INTEGER NOT NULL REFERENCES app_configuration (id),
    number INTEGER NOT NULL,
    values_sealed BLOB NOT NULL,
    secret_keys TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    UNIQUE (configuration_id, number)
) STRICT;
CREATE TRIGGER app_configuration_revision_never_changes BEFORE UPDATE ON app_configuration_revision
BEGIN
    SELECT RAISE(ABORT, 'a revision never changes');
END;

-- What should be on a device: a row per device and setting, with its state. `wanted_revision` is for configurations
-- and profiles; `is_wanted` 0 means that it is to be taken away.
CREATE TABLE target_state (
    id INTEGER PRIMARY KEY,
    enrollment_id INTEGER NOT NULL REFERENCES enrollment (id),
    kind TEXT NOT NULL CHECK (kind IN ('app', 'configuration', 'profile')),
    app_id INTEGER NOT NULL REFERENCES app (id),
    is_wanted INTEGER NOT NULL CHECK (is_wanted IN (0, 1)),
    wanted_revision INTEGER REFERENCES app_configuration_revision (id),
    state TEXT NOT NULL CHECK (state IN (
        'intended', 'acknowledged', 'verified', 'installed', 'drifted', 'app_missing', 'app_unmanaged', 'failed',
        'not_verifiable')),
    state_at INTEGER NOT NULL,
    reason TEXT,
    sent_revision INTEGER REFERENCES app_configuration_revision (id),
    verified_at INTEGER,
    step TEXT,
    command_id INTEGER REFERENCES command (id),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at INTEGER,
    observed TEXT,
    -- What this device calls the app; what one device says holds for no other.
    identifier TEXT,
    UNIQUE (enrollment_id, kind, app_id),
    CHECK (state <> 'verified' OR verified_at IS NOT NULL)
) STRICT;
CREATE INDEX target_state_app ON target_state (app_id, kind, state);
CREATE INDEX target_state_command ON target_state (command_id) WHERE command_id IS NOT NULL;

-- Whose settings are to be looked at, and when.
CREATE TABLE reconcile (
    enrollment_id INTEGER PRIMARY KEY REFERENCES enrollment (id),
    due_at INTEGER NOT NULL,
    claimed_until INTEGER NOT NULL DEFAULT 0,
    asks INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX reconcile_due ON reconcile (due_at);
-- A change for many devices: those of the scope above this enrollment are still to be told that it is their turn.
CREATE TABLE reconcile_scope (
    id INTEGER PRIMARY KEY,
    scope_kind TEXT NOT NULL CHECK (scope_kind IN ('all', 'tag', 'group', 'device')),
    scope_value TEXT NOT NULL,
    after_enrollment INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO reconcile (enrollment_id, due_at) SELECT id, 0 FROM enrollment WHERE enabled = 1 AND parent_id IS NULL;

-- The key that `mdmserver init` made may do everything, also what comes with later versions. It is the first one that a
-- person on the server made, and had every scope of its time.
UPDATE api_key SET scopes = '*' WHERE scopes LIKE '%keys:manage%' AND scopes LIKE '%audit:read%'
    AND id = (SELECT id FROM api_key ORDER BY created_at, id LIMIT 1);
