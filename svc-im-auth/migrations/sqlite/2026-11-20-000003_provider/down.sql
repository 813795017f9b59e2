DROP TABLE provider_users;
ALTER TABLE tokens DROP COLUMN text;
