DROP TABLE debts;
DROP TABLE accounts;
DROP TABLE ledger;
