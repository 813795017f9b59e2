-- No unique key: a job that was committed twice must show.
CREATE TABLE ledger (seq BIGSERIAL PRIMARY KEY, key TEXT NOT NULL);
CREATE TABLE accounts (id BIGINT PRIMARY KEY, balance BIGINT NOT NULL);
