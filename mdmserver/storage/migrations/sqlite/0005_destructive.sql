-- Commands that erase, lock, clear a passcode or end management: their cap, their hold, and what follows an erase.

-- None of them waits for ever: a stale wipe dies.
ALTER TABLE command ADD COLUMN is_destructive INTEGER NOT NULL DEFAULT 0
    CHECK (is_destructive = 0 OR (is_destructive = 1 AND expires_at IS NOT NULL));
CREATE INDEX command_destructive ON command (id) WHERE is_destructive = 1;

-- What was enqueued counts, whatever becomes of the command or the device: neither cancelling nor deleting makes room.
CREATE TABLE destructive_use (
    id INTEGER PRIMARY KEY,
    command_id INTEGER NOT NULL REFERENCES command (id),
    at INTEGER NOT NULL,
    devices INTEGER NOT NULL CHECK (devices > 0)
) STRICT;
CREATE INDEX destructive_use_at ON destructive_use (at);

-- In quarantine: open, not offered until a person releases it, and its time runs out all the same.
ALTER TABLE queue_item ADD COLUMN held_at INTEGER;

-- The device acknowledged an erase then; it is not enabled, and its certificate goes a day later.
ALTER TABLE enrollment ADD COLUMN erased_at INTEGER;
CREATE INDEX enrollment_erased ON enrollment (erased_at) WHERE erased_at IS NOT NULL;
