-- digest columns: SHA-256 of what the nodes look the record up by. Booleans are 0 or 1; times are Unix seconds.

-- audited: the number of the last entry of the audit log.
ALTER TABLE service ADD COLUMN audited INTEGER NOT NULL DEFAULT 0;

CREATE TABLE enterprises (
    id           TEXT    NOT NULL PRIMARY KEY,
    digest       BLOB    NOT NULL UNIQUE CHECK (length(digest) = 32),
    name         TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('active', 'disabled')),
    quota_limit  INTEGER,
    quota_window INTEGER,
    created_at   INTEGER NOT NULL,
    CHECK ((quota_limit IS NULL) = (quota_window IS NULL))
) STRICT, WITHOUT ROWID;

-- revoke_sessions: whether revoking or deleting one of the team's keys ends the sessions made with it.
ALTER TABLE teams ADD COLUMN enterprise TEXT REFERENCES enterprises (id);
ALTER TABLE teams ADD COLUMN revoke_sessions INTEGER NOT NULL DEFAULT 0 CHECK (revoke_sessions IN (0, 1));
CREATE INDEX teams_by_enterprise ON teams (enterprise, id) WHERE enterprise IS NOT NULL;

CREATE TABLE hosts (
    host   TEXT NOT NULL PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    team   TEXT NOT NULL REFERENCES teams (id)
) STRICT, WITHOUT ROWID;

CREATE INDEX hosts_by_team ON hosts (team, host);

-- password_hash: Argon2id, with its salt.
CREATE TABLE users (
    id            TEXT    NOT NULL PRIMARY KEY,
    digest        BLOB    NOT NULL UNIQUE CHECK (length(digest) = 32),
    team          TEXT    NOT NULL REFERENCES teams (id),
    name          TEXT    NOT NULL,
    state         TEXT    NOT NULL CHECK (state IN ('active', 'disabled')),
    permissions   TEXT    NOT NULL,
    password_hash TEXT,
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX users_by_team ON users (team, id);

CREATE TABLE service_accounts (
    id         TEXT    NOT NULL PRIMARY KEY,
    team       TEXT    REFERENCES teams (id),
    enterprise TEXT    REFERENCES enterprises (id),
    name       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    CHECK ((team IS NULL) <> (enterprise IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX service_accounts_by_team ON service_accounts (team, id) WHERE team IS NOT NULL;
CREATE INDEX service_accounts_by_enterprise ON service_accounts (enterprise, id) WHERE enterprise IS NOT NULL;

-- Keys again: a column that must not be empty cannot be made optional in place.
CREATE TABLE keys_with_owners (
    id              TEXT    NOT NULL PRIMARY KEY,
    digest          BLOB    NOT NULL UNIQUE CHECK (length(digest) = 32),
    kind            TEXT    NOT NULL,
    team            TEXT    REFERENCES teams (id),
    enterprise      TEXT    REFERENCES enterprises (id),
    service_account TEXT    REFERENCES service_accounts (id),
    user_id         TEXT    REFERENCES users (id),
    name            TEXT,
    subject         TEXT,
    scopes          TEXT    NOT NULL,
    origin          TEXT,
    state           TEXT    NOT NULL CHECK (state IN ('active', 'disabled', 'revoked')),
    not_before      INTEGER,
    expires         INTEGER,
    created_at      INTEGER NOT NULL,
    revoked_at      INTEGER,
    revoke_reason   TEXT,
    compromised     INTEGER NOT NULL DEFAULT 0 CHECK (compromised IN (0, 1)),
    superseded_by   TEXT,
    granted         INTEGER NOT NULL DEFAULT 0,
    limited         INTEGER NOT NULL DEFAULT 0,
    last_used_at    INTEGER,
    CHECK ((team IS NULL) <> (enterprise IS NULL))
) STRICT, WITHOUT ROWID;

INSERT INTO keys_with_owners (id, digest, kind, team, name, subject, scopes, state, not_before, expires, created_at,
                              revoked_at, revoke_reason, granted, limited, last_used_at)
SELECT id, digest, kind, team, name, subject, scopes, state, not_before, expires, created_at,
       revoked_at, revoke_reason, granted, limited, last_used_at
FROM keys;

DROP TABLE keys;
ALTER TABLE keys_with_owners RENAME TO keys;

CREATE INDEX keys_by_team ON keys (team, id);
CREATE INDEX keys_by_state ON keys (state, id);
CREATE INDEX keys_by_enterprise ON keys (enterprise, id) WHERE enterprise IS NOT NULL;
CREATE INDEX keys_by_service_account ON keys (service_account, id) WHERE service_account IS NOT NULL;
CREATE INDEX keys_by_user ON keys (user_id, id) WHERE user_id IS NOT NULL;
CREATE UNIQUE INDEX one_key_per_account ON keys (service_account)
    WHERE service_account IS NOT NULL AND superseded_by IS NULL AND state <> 'revoked';

-- Sessions outlive the keys that they were made with, so nothing here refers to another table.
-- credential: 'key:<key id>' or 'user:<user id>'. sid: what the client called the session. current: 1 for the session
-- that a login gives again. claims: what the token says; without its signature it opens nothing.
CREATE TABLE sessions (
    id            TEXT    NOT NULL PRIMARY KEY,
    digest        BLOB    NOT NULL UNIQUE CHECK (length(digest) = 32),
    credential    TEXT    NOT NULL,
    key_id        TEXT,
    user_id       TEXT,
    team          TEXT,
    enterprise    TEXT,
    sid           BLOB,
    sid_digest    BLOB    NOT NULL CHECK (length(sid_digest) = 32),
    current       INTEGER NOT NULL CHECK (current IN (0, 1)),
    kid           TEXT    NOT NULL,
    claims        TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    expires       INTEGER NOT NULL,
    revoked_at    INTEGER,
    revoke_reason TEXT,
    source        TEXT
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX current_session ON sessions (credential, sid_digest) WHERE current = 1;
CREATE INDEX sessions_by_key ON sessions (key_id, id) WHERE key_id IS NOT NULL;
CREATE INDEX sessions_by_user ON sessions (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX sessions_by_team ON sessions (team, id) WHERE team IS NOT NULL;
CREATE INDEX sessions_by_credential ON sessions (credential, expires);
CREATE INDEX sessions_by_end ON sessions (expires);

-- Which keys sign tokens. The private parts are derived from the signing secret and are nowhere. fingerprint: which
-- signing secret. material: what nodes get, a public key, or for HS256 a salt that opens nothing without the node token.
CREATE TABLE token_keys (
    kid         TEXT    NOT NULL PRIMARY KEY,
    digest      BLOB    NOT NULL UNIQUE CHECK (length(digest) = 32),
    algorithm   TEXT    NOT NULL,
    fingerprint BLOB    NOT NULL,
    material    BLOB    NOT NULL,
    created_at  INTEGER NOT NULL,
    retired_at  INTEGER,
    ends_at     INTEGER
) STRICT, WITHOUT ROWID;

-- Who changed what, when, and from where. detail: a JSON object, never a secret. revision: that of the change, if any.
CREATE TABLE audit (
    seq        INTEGER NOT NULL PRIMARY KEY,
    at         INTEGER NOT NULL,
    actor      TEXT    NOT NULL,
    source     TEXT,
    action     TEXT    NOT NULL,
    resource   TEXT    NOT NULL,
    team       TEXT,
    enterprise TEXT,
    detail     TEXT    NOT NULL,
    revision   INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX audit_by_resource ON audit (resource, seq);
CREATE INDEX audit_by_team ON audit (team, seq) WHERE team IS NOT NULL;
CREATE INDEX audit_by_enterprise ON audit (enterprise, seq) WHERE enterprise IS NOT NULL;
CREATE INDEX audit_by_time ON audit (at, seq);

-- Which nodes called lately, and how far they have come. wait_seconds: how long the poll that they last sent may last.
-- max_age: how long they go on serving what they have when they can no longer call, in seconds.
CREATE TABLE nodes (
    name         TEXT    NOT NULL PRIMARY KEY,
    revision     INTEGER NOT NULL,
    version      TEXT,
    seen_at      INTEGER NOT NULL,
    wait_seconds INTEGER NOT NULL,
    max_age      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- From where a user has logged in before.
CREATE TABLE known_sources (
    user_id       TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    source_digest BLOB    NOT NULL,
    seen_at       INTEGER NOT NULL,
    PRIMARY KEY (user_id, source_digest)
) STRICT, WITHOUT ROWID;
