-- The built-in CA, who was invited, what was issued, and when identities are renewed.

CREATE TABLE authority (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL CHECK (role IN ('issuing', 'trusted')),
    certificate BLOB NOT NULL,
    key_sealed BLOB NOT NULL,
    crl_number INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX authority_issuing ON authority (role) WHERE role = 'issuing';

CREATE TABLE invitation (
    id INTEGER PRIMARY KEY,
    token_hash BLOB NOT NULL UNIQUE,
    user_name TEXT,
    serial_number TEXT,
    allow_reenroll INTEGER NOT NULL CHECK (allow_reenroll IN (0, 1)),
    uses_allowed INTEGER NOT NULL CHECK (uses_allowed >= 1),
    uses INTEGER NOT NULL DEFAULT 0,
    downloads INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER,
    CHECK (uses BETWEEN 0 AND uses_allowed)
) STRICT;

CREATE TABLE challenge (
    id INTEGER PRIMARY KEY,
    secret_hash BLOB NOT NULL UNIQUE,
    invitation_id INTEGER REFERENCES invitation (id),
    enrollment_id INTEGER REFERENCES enrollment (id),
    expires_at INTEGER NOT NULL,
    replaced_at INTEGER,
    used_at INTEGER,
    CHECK ((invitation_id IS NULL) <> (enrollment_id IS NULL))
) STRICT;
CREATE INDEX challenge_open_invitation ON challenge (invitation_id) WHERE used_at IS NULL AND replaced_at IS NULL;
CREATE INDEX challenge_open_enrollment ON challenge (enrollment_id) WHERE used_at IS NULL AND replaced_at IS NULL;

-- A row is written before anything is signed; `certificate` follows.
CREATE TABLE issued_certificate (
    id INTEGER PRIMARY KEY,
    authority_id INTEGER NOT NULL REFERENCES authority (id),
    serial_number TEXT NOT NULL,
    purpose TEXT NOT NULL CHECK (purpose IN ('device', 'server')),
    enrollment_uid TEXT NOT NULL,
    challenge_id INTEGER UNIQUE REFERENCES challenge (id),
    invitation_id INTEGER REFERENCES invitation (id),
    enrollment_id INTEGER REFERENCES enrollment (id),
    transaction_id TEXT,
    public_key_hash BLOB NOT NULL,
    not_before INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    certificate BLOB,
    fingerprint BLOB UNIQUE,
    revoked_at INTEGER,
    revocation_reason TEXT,
    UNIQUE (authority_id, serial_number)
) STRICT;
CREATE INDEX issued_certificate_renewal ON issued_certificate (enrollment_id, public_key_hash)
    WHERE enrollment_id IS NOT NULL;
CREATE INDEX issued_certificate_transaction ON issued_certificate (transaction_id) WHERE transaction_id IS NOT NULL;
CREATE INDEX issued_certificate_unused ON issued_certificate (recorded_at)
    WHERE purpose = 'device' AND enrollment_id IS NULL AND revoked_at IS NULL;

ALTER TABLE enrollment ADD COLUMN uid TEXT;
ALTER TABLE enrollment ADD COLUMN user_name TEXT;
ALTER TABLE enrollment ADD COLUMN reauthenticated_at INTEGER;
ALTER TABLE enrollment ADD COLUMN unenroll_requested_at INTEGER;
-- Forgotten: the row stays, empty, so that its revoked certificates stay known.
ALTER TABLE enrollment ADD COLUMN deleted_at INTEGER;
CREATE UNIQUE INDEX enrollment_uid ON enrollment (uid) WHERE uid IS NOT NULL;

-- When a certificate's renewal is next looked at; NULL where another CA issued it. Until its first use that is soon,
-- then when it is its turn, which planned_renewal_at keeps.
ALTER TABLE identity ADD COLUMN first_used_at INTEGER;
ALTER TABLE identity ADD COLUMN renew_at INTEGER;
ALTER TABLE identity ADD COLUMN planned_renewal_at INTEGER;
ALTER TABLE identity ADD COLUMN renew_attempts INTEGER NOT NULL DEFAULT 0;
CREATE INDEX identity_renewal ON identity (renew_at) WHERE state = 'active' AND renew_at IS NOT NULL;

-- A command whose bytes are made for each delivery, by the renderer of this name; `body_sealed` is then empty.
ALTER TABLE command ADD COLUMN renderer TEXT;
