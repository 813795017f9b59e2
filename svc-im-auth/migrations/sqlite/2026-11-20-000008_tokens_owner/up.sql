-- tokens_of_owner takes its place.
DROP INDEX tokens_owner;
