-- How far chains of replacements were followed: from a mapped key to the newest that was found, and by which replacement.
-- Only a shortcut; without it the chain is followed from its beginning.
CREATE TABLE newest_keys (
    app_id     TEXT   NOT NULL,
    first_uid  TEXT   NOT NULL,
    newest_uid TEXT   NOT NULL,
    last_id    BIGINT NOT NULL,
    PRIMARY KEY (app_id, first_uid)
);
