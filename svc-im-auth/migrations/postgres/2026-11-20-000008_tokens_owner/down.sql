CREATE INDEX tokens_owner ON tokens (app_id, uid, platform);
