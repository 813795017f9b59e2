-- tokens_of_owner takes its place. One that was not built to its end, because the process that built it was killed,
-- is built anew.
DO $$
BEGIN
    IF NOT (SELECT indisvalid FROM pg_index WHERE indexrelid = 'tokens_of_owner'::regclass) THEN
        DROP INDEX tokens_of_owner;
        CREATE INDEX tokens_of_owner ON tokens (app_id, uid, state, expires_at, platform);
    END IF;
    DROP INDEX tokens_owner;
END $$;
