-- platform-wide; the key is a secret and stands in no other table and in no index
CREATE TABLE terminal_users (
    -- md5 of the key, as deployed clients compute it
    im_uid        TEXT   NOT NULL PRIMARY KEY,
    tuser_key     TEXT   NOT NULL,
    -- milliseconds since 1970
    registered_at BIGINT NOT NULL
);

CREATE TABLE introductions (
    app_id   TEXT NOT NULL,
    im_uid   TEXT NOT NULL,
    br_intro TEXT NOT NULL,
    PRIMARY KEY (app_id, im_uid)
);

-- one to one; user_id is an account of the system app
CREATE TABLE mappings (
    im_uid   TEXT   NOT NULL PRIMARY KEY,
    user_id  TEXT   NOT NULL UNIQUE,
    bound_at BIGINT NOT NULL
);

-- binding codes that were used, by hash; a row goes long after its code has expired
CREATE TABLE used_codes (
    code_hash TEXT   NOT NULL PRIMARY KEY,
    im_uid    TEXT   NOT NULL,
    used_at   BIGINT NOT NULL
);

CREATE INDEX used_codes_age ON used_codes (used_at);

CREATE TABLE validities (
    app_id     TEXT   NOT NULL,
    im_uid     TEXT   NOT NULL,
    ln_md5     TEXT   NOT NULL,
    -- hundredths
    price      BIGINT,
    -- as the client wrote them: yyyy-MM-dd HH:mm:ss
    start_time TEXT   NOT NULL,
    end_time   TEXT   NOT NULL,
    PRIMARY KEY (app_id, im_uid, ln_md5)
);

CREATE TABLE records (
    app_id      TEXT   NOT NULL,
    im_uid      TEXT   NOT NULL,
    kind        TEXT   NOT NULL,
    record_id   TEXT   NOT NULL,
    subject     TEXT   NOT NULL,
    -- hundredths
    amount      BIGINT,
    -- yyyy-MM-dd HH:mm:ss
    occurred_at TEXT   NOT NULL,
    PRIMARY KEY (app_id, im_uid, kind, record_id)
);

-- in the order of their ids
CREATE TABLE replacements (
    id          BIGSERIAL PRIMARY KEY,
    app_id      TEXT   NOT NULL,
    old_uid     TEXT   NOT NULL,
    new_uid     TEXT   NOT NULL,
    replaced_at BIGINT NOT NULL
);

CREATE INDEX replacements_of ON replacements (app_id, old_uid, id);

-- rows that a replacement deleted
CREATE TABLE replaced_rows (
    id             BIGSERIAL PRIMARY KEY,
    replacement_id BIGINT NOT NULL,
    app_id         TEXT   NOT NULL,
    old_uid        TEXT   NOT NULL,
    new_uid        TEXT   NOT NULL,
    deleted_at     BIGINT NOT NULL,
    -- whose row it was
    im_uid         TEXT   NOT NULL,
    -- "validity", or a record's
    kind           TEXT   NOT NULL,
    -- of a validity the course
    record_id      TEXT   NOT NULL,
    subject        TEXT   NOT NULL,
    amount         BIGINT,
    -- of a record when it occurred
    start_time     TEXT   NOT NULL,
    end_time       TEXT   NOT NULL
);

CREATE INDEX replaced_rows_of ON replaced_rows (replacement_id);
