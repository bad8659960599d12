-- One row: which database this is, the number of its last change, and how far back changes can still be told.
CREATE TABLE service (
    only_row     INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    id           BLOB    NOT NULL CHECK (length(id) = 16),
    revision     INTEGER NOT NULL,
    history_from INTEGER NOT NULL
) STRICT;

INSERT INTO service (only_row, id, revision, history_from) VALUES (1, randomblob(16), 0, 0);

-- digest: SHA-256 of the id, the place under which nodes know the team.
CREATE TABLE teams (
    id           TEXT    NOT NULL PRIMARY KEY,
    digest       BLOB    NOT NULL UNIQUE CHECK (length(digest) = 32),
    name         TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('active', 'disabled')),
    quota_limit  INTEGER,
    quota_window INTEGER,
    created_at   INTEGER NOT NULL,
    granted      INTEGER NOT NULL DEFAULT 0,
    limited      INTEGER NOT NULL DEFAULT 0,
    last_used_at INTEGER,
    CHECK ((quota_limit IS NULL) = (quota_window IS NULL))
) STRICT, WITHOUT ROWID;

-- digest: SHA-256 of the key's text. The text itself is nowhere.
CREATE TABLE keys (
    id            TEXT    NOT NULL PRIMARY KEY,
    digest        BLOB    NOT NULL UNIQUE CHECK (length(digest) = 32),
    kind          TEXT    NOT NULL,
    team          TEXT    NOT NULL REFERENCES teams (id),
    name          TEXT,
    subject       TEXT,
    scopes        TEXT    NOT NULL,
    state         TEXT    NOT NULL CHECK (state IN ('active', 'disabled', 'revoked')),
    not_before    INTEGER,
    expires       INTEGER,
    created_at    INTEGER NOT NULL,
    revoked_at    INTEGER,
    revoke_reason TEXT,
    granted       INTEGER NOT NULL DEFAULT 0,
    limited       INTEGER NOT NULL DEFAULT 0,
    last_used_at  INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX keys_by_team ON keys (team, id);
CREATE INDEX keys_by_state ON keys (state, id);

-- What nodes may know, and since which revision. Table codes: 1 teams, 2 keys.
-- removed_at is set on a tombstone: the record is gone, and nodes have to be told.
CREATE TABLE published (
    table_code INTEGER NOT NULL,
    digest     BLOB    NOT NULL,
    revision   INTEGER NOT NULL,
    removed_at INTEGER,
    PRIMARY KEY (table_code, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX published_by_revision ON published (revision);
CREATE INDEX tombstones ON published (revision, removed_at) WHERE removed_at IS NOT NULL;

-- Which requests were already carried out, and what they made. Neither key nor request is kept, only digests.
CREATE TABLE idempotency (
    operation      TEXT    NOT NULL,
    key_digest     BLOB    NOT NULL,
    request_digest BLOB    NOT NULL,
    resource       TEXT    NOT NULL,
    created_at     INTEGER NOT NULL,
    PRIMARY KEY (operation, key_digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_by_age ON idempotency (created_at);

-- The last batch of usage that was counted, per node and steward. epoch: the bits of a u64.
CREATE TABLE ledger (
    node    TEXT    NOT NULL,
    epoch   INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (node, epoch)
) STRICT, WITHOUT ROWID;

CREATE INDEX ledger_by_age ON ledger (seen_at);
