CREATE TABLE accounts (
    app_id             TEXT    NOT NULL,
    uid                TEXT    NOT NULL,
    -- made by another call than a registration; can be registered once
    implicit           BOOLEAN NOT NULL,
    name               TEXT    NOT NULL,
    icon               TEXT    NOT NULL,
    -- milliseconds since 1970; 0: never
    icon_changed_at    BIGINT  NOT NULL,
    gender             INTEGER NOT NULL,
    mobile             TEXT    NOT NULL,
    birth              TEXT    NOT NULL,
    email              TEXT    NOT NULL,
    ex                 TEXT    NOT NULL,
    region             TEXT    NOT NULL,
    sign               TEXT    NOT NULL,
    is_admin           BOOLEAN NOT NULL,
    is_public_number   BOOLEAN NOT NULL,
    expert_status      BIGINT  NOT NULL,
    point              TEXT    NOT NULL,
    yue                BIGINT  NOT NULL,
    jifen              BIGINT  NOT NULL,
    -- PHC string of argon2id
    password_hash      TEXT,
    credential_version BIGINT  NOT NULL,
    -- the last addresses from which the password was right, newest first, separated by commas
    known_addresses    TEXT    NOT NULL,
    created_at         BIGINT  NOT NULL,
    PRIMARY KEY (app_id, uid)
);

CREATE TABLE tokens (
    id         TEXT    PRIMARY KEY,
    app_id     TEXT    NOT NULL,
    uid        TEXT    NOT NULL,
    platform   INTEGER NOT NULL,
    -- Unix seconds, as in the token
    issued_at  BIGINT  NOT NULL,
    expires_at BIGINT  NOT NULL,
    -- 0 live, 1 kicked, 2 revoked
    state      INTEGER NOT NULL
);

CREATE INDEX tokens_owner ON tokens (app_id, uid, platform);
CREATE INDEX tokens_expiry ON tokens (expires_at);
