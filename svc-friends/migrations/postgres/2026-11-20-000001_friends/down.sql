DROP TABLE requests;
DROP TABLE friends;
DROP TABLE owners;
DROP TABLE constants;
