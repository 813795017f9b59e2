DROP INDEX tokens_of_owner;
