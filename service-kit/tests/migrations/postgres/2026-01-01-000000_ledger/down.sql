DROP TABLE accounts;
DROP TABLE ledger;
