-- A provider's token is kept as its text, and found by the text's SHA-256, which is its id; builtin tokens have no
-- text, they are signed anew.
ALTER TABLE tokens ADD COLUMN text TEXT;

-- Accounts that the provider knows since a token of theirs was issued: it is told of changes of their profile.
CREATE TABLE provider_users (
    app_id TEXT NOT NULL,
    uid    TEXT NOT NULL,
    PRIMARY KEY (app_id, uid)
);
