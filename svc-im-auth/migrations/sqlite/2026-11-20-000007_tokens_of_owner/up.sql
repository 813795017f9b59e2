-- Finds the live tokens of a user who has thousands, or as many that are dead, without looking at all of them.
CREATE INDEX tokens_of_owner ON tokens (app_id, uid, state, expires_at, platform);
