-- Grows with every change of the account, so that copies of it are told apart; 0: not changed since this came.
ALTER TABLE accounts ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
