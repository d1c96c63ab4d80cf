INSERT INTO thing (name, secret, weight) VALUES ('a', 'canary-secret', 1);
