-- digest columns: SHA-256 of what the nodes look the record up by. Booleans are 0 or 1; times are Unix seconds.
-- Text is compared byte by byte (COLLATE "C"), whatever the locale of the database: lists have one order everywhere.

-- One row: which database this is, the number of its last change, and how far back changes can still be told.
-- audited: the number of the last entry of the audit log.
CREATE TABLE service (
    only_row     BIGINT NOT NULL PRIMARY KEY CHECK (only_row = 1),
    id           BYTEA  NOT NULL CHECK (length(id) = 16),
    revision     BIGINT NOT NULL,
    history_from BIGINT NOT NULL,
    audited      BIGINT NOT NULL
);

INSERT INTO service (only_row, id, revision, history_from, audited)
VALUES (1, decode(replace(gen_random_uuid()::text, '-', ''), 'hex'), 0, 0, 0);

CREATE TABLE enterprises (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    digest       BYTEA            NOT NULL UNIQUE CHECK (length(digest) = 32),
    name         TEXT COLLATE "C" NOT NULL,
    state        TEXT COLLATE "C" NOT NULL CHECK (state IN ('active', 'disabled')),
    quota_limit  BIGINT,
    quota_window BIGINT,
    created_at   BIGINT           NOT NULL,
    CHECK ((quota_limit IS NULL) = (quota_window IS NULL))
);

-- revoke_sessions: whether revoking or deleting one of the team's keys ends the sessions made with it.
CREATE TABLE teams (
    id              TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    digest          BYTEA            NOT NULL UNIQUE CHECK (length(digest) = 32),
    name            TEXT COLLATE "C" NOT NULL,
    state           TEXT COLLATE "C" NOT NULL CHECK (state IN ('active', 'disabled')),
    quota_limit     BIGINT,
    quota_window    BIGINT,
    created_at      BIGINT           NOT NULL,
    granted         BIGINT           NOT NULL DEFAULT 0,
    limited         BIGINT           NOT NULL DEFAULT 0,
    last_used_at    BIGINT,
    enterprise      TEXT COLLATE "C" REFERENCES enterprises (id),
    revoke_sessions BIGINT           NOT NULL DEFAULT 0 CHECK (revoke_sessions IN (0, 1)),
    CHECK ((quota_limit IS NULL) = (quota_window IS NULL))
);

CREATE INDEX teams_by_enterprise ON teams (enterprise, id) WHERE enterprise IS NOT NULL;

CREATE TABLE hosts (
    host   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    digest BYTEA            NOT NULL UNIQUE CHECK (length(digest) = 32),
    team   TEXT COLLATE "C" NOT NULL REFERENCES teams (id)
);

CREATE INDEX hosts_by_team ON hosts (team, host);

-- password_hash: Argon2id, with its salt.
CREATE TABLE users (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    digest        BYTEA            NOT NULL UNIQUE CHECK (length(digest) = 32),
    team          TEXT COLLATE "C" NOT NULL REFERENCES teams (id),
    name          TEXT COLLATE "C" NOT NULL,
    state         TEXT COLLATE "C" NOT NULL CHECK (state IN ('active', 'disabled')),
    permissions   TEXT COLLATE "C" NOT NULL,
    password_hash TEXT COLLATE "C",
    created_at    BIGINT           NOT NULL
);

CREATE INDEX users_by_team ON users (team, id);

CREATE TABLE service_accounts (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    team       TEXT COLLATE "C" REFERENCES teams (id),
    enterprise TEXT COLLATE "C" REFERENCES enterprises (id),
    name       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT           NOT NULL,
    CHECK ((team IS NULL) <> (enterprise IS NULL))
);

CREATE INDEX service_accounts_by_team ON service_accounts (team, id) WHERE team IS NOT NULL;
CREATE INDEX service_accounts_by_enterprise ON service_accounts (enterprise, id) WHERE enterprise IS NOT NULL;

-- digest: SHA-256 of the key's text. The text itself is nowhere.
CREATE TABLE keys (
    id              TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    digest          BYTEA            NOT NULL UNIQUE CHECK (length(digest) = 32),
    kind            TEXT COLLATE "C" NOT NULL,
    team            TEXT COLLATE "C" REFERENCES teams (id),
    enterprise      TEXT COLLATE "C" REFERENCES enterprises (id),
    service_account TEXT COLLATE "C" REFERENCES service_accounts (id),
    user_id         TEXT COLLATE "C" REFERENCES users (id),
    name            TEXT COLLATE "C",
    subject         TEXT COLLATE "C",
    scopes          TEXT COLLATE "C" NOT NULL,
    origin          TEXT COLLATE "C",
    state           TEXT COLLATE "C" NOT NULL CHECK (state IN ('active', 'disabled', 'revoked')),
    not_before      BIGINT,
    expires         BIGINT,
    created_at      BIGINT           NOT NULL,
    revoked_at      BIGINT,
    revoke_reason   TEXT COLLATE "C",
    compromised     BIGINT           NOT NULL DEFAULT 0 CHECK (compromised IN (0, 1)),
    superseded_by   TEXT COLLATE "C",
    granted         BIGINT           NOT NULL DEFAULT 0,
    limited         BIGINT           NOT NULL DEFAULT 0,
    last_used_at    BIGINT,
    CHECK ((team IS NULL) <> (enterprise IS NULL))
);

CREATE INDEX keys_by_team ON keys (team, id);
CREATE INDEX keys_by_state ON keys (state, id);
CREATE INDEX keys_by_enterprise ON keys (enterprise, id) WHERE enterprise IS NOT NULL;
CREATE INDEX keys_by_service_account ON keys (service_account, id) WHERE service_account IS NOT NULL;
CREATE INDEX keys_by_user ON keys (user_id, id) WHERE user_id IS NOT NULL;
CREATE UNIQUE INDEX one_key_per_account ON keys (service_account)
    WHERE service_account IS NOT NULL AND superseded_by IS NULL AND state <> 'revoked';

-- What nodes may know, and since which revision. Table codes: those of `tollkeeper_contract::page::Table`.
-- removed_at is set on a tombstone: the record is gone, and nodes have to be told.
CREATE TABLE published (
    table_code BIGINT NOT NULL,
    digest     BYTEA  NOT NULL,
    revision   BIGINT NOT NULL,
    removed_at BIGINT,
    PRIMARY KEY (table_code, digest)
);

CREATE INDEX published_by_revision ON published (revision);
CREATE INDEX tombstones ON published (revision, removed_at) WHERE removed_at IS NOT NULL;

-- Which requests were already carried out, and what they made. Neither key nor request is kept, only digests.
CREATE TABLE idempotency (
    operation      TEXT COLLATE "C" NOT NULL,
    key_digest     BYTEA            NOT NULL,
    request_digest BYTEA            NOT NULL,
    resource       TEXT COLLATE "C" NOT NULL,
    created_at     BIGINT           NOT NULL,
    PRIMARY KEY (operation, key_digest)
);

CREATE INDEX idempotency_by_age ON idempotency (created_at);

-- The last batch of usage that was counted, per node and steward. epoch: the bits of a u64.
CREATE TABLE ledger (
    node    TEXT COLLATE "C" NOT NULL,
    epoch   BIGINT           NOT NULL,
    seq     BIGINT           NOT NULL,
    seen_at BIGINT           NOT NULL,
    PRIMARY KEY (node, epoch)
);

CREATE INDEX ledger_by_age ON ledger (seen_at);

-- Sessions outlive the keys that they were made with, so nothing here refers to another table.
-- credential: 'key:<key id>' or 'user:<user id>'. sid: what the client called the session. current: 1 for the session
-- that a login gives again. claims: what the token says; without its signature it opens nothing.
CREATE TABLE sessions (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    digest        BYTEA            NOT NULL UNIQUE CHECK (length(digest) = 32),
    credential    TEXT COLLATE "C" NOT NULL,
    key_id        TEXT COLLATE "C",
    user_id       TEXT COLLATE "C",
    team          TEXT COLLATE "C",
    enterprise    TEXT COLLATE "C",
    sid           BYTEA,
    sid_digest    BYTEA            NOT NULL CHECK (length(sid_digest) = 32),
    current       BIGINT           NOT NULL CHECK (current IN (0, 1)),
    kid           TEXT COLLATE "C" NOT NULL,
    claims        TEXT COLLATE "C" NOT NULL,
    created_at    BIGINT           NOT NULL,
    expires       BIGINT           NOT NULL,
    revoked_at    BIGINT,
    revoke_reason TEXT COLLATE "C",
    source        TEXT COLLATE "C"
);

CREATE UNIQUE INDEX current_session ON sessions (credential, sid_digest) WHERE current = 1;
CREATE INDEX sessions_by_key ON sessions (key_id, id) WHERE key_id IS NOT NULL;
CREATE INDEX sessions_by_user ON sessions (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX sessions_by_team ON sessions (team, id) WHERE team IS NOT NULL;
CREATE INDEX sessions_by_credential ON sessions (credential, expires);
CREATE INDEX sessions_by_end ON sessions (expires);

-- Which keys sign tokens. The private parts are derived from the signing secret and are nowhere. fingerprint: which
-- signing secret. material: what nodes get, a public key, or for HS256 a salt that opens nothing without the node token.
CREATE TABLE token_keys (
    kid         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    digest      BYTEA            NOT NULL UNIQUE CHECK (length(digest) = 32),
    algorithm   TEXT COLLATE "C" NOT NULL,
    fingerprint BYTEA            NOT NULL,
    material    BYTEA            NOT NULL,
    created_at  BIGINT           NOT NULL,
    retired_at  BIGINT,
    ends_at     BIGINT
);

-- Who changed what, when, and from where. detail: a JSON object, never a secret. revision: that of the change, if any.
CREATE TABLE audit (
    seq        BIGINT           NOT NULL PRIMARY KEY,
    at         BIGINT           NOT NULL,
    actor      TEXT COLLATE "C" NOT NULL,
    source     TEXT COLLATE "C",
    action     TEXT COLLATE "C" NOT NULL,
    resource   TEXT COLLATE "C" NOT NULL,
    team       TEXT COLLATE "C",
    enterprise TEXT COLLATE "C",
    detail     TEXT COLLATE "C" NOT NULL,
    revision   BIGINT
);

CREATE INDEX audit_by_resource ON audit (resource, seq);
CREATE INDEX audit_by_team ON audit (team, seq) WHERE team IS NOT NULL;
CREATE INDEX audit_by_enterprise ON audit (enterprise, seq) WHERE enterprise IS NOT NULL;
CREATE INDEX audit_by_time ON audit (at, seq);

-- Which nodes called lately, and how far they have come. wait_seconds: how long the poll that they last sent may last.
-- max_age: how long they go on serving what they have when they can no longer call, in seconds.
CREATE TABLE nodes (
    name         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    revision     BIGINT           NOT NULL,
    version      TEXT COLLATE "C",
    seen_at      BIGINT           NOT NULL,
    wait_seconds BIGINT           NOT NULL,
    max_age      BIGINT           NOT NULL
);

-- From where a user has logged in before.
CREATE TABLE known_sources (
    user_id       TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    source_digest BYTEA            NOT NULL,
    seen_at       BIGINT           NOT NULL,
    PRIMARY KEY (user_id, source_digest)
);
