DROP TABLE replaced_rows;
DROP TABLE replacements;
DROP TABLE records;
DROP TABLE validities;
DROP TABLE used_codes;
DROP TABLE mappings;
DROP TABLE introductions;
DROP TABLE terminal_users;
