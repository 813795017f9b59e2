-- Finds the live tokens of a user who has thousands, or as many that are dead, without looking at all of them. Built
-- beside those who issue tokens meanwhile, which takes a statement by itself and no transaction.
CREATE INDEX CONCURRENTLY IF NOT EXISTS tokens_of_owner ON tokens (app_id, uid, state, expires_at, platform);
