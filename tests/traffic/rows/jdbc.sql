INSERT INTO item (name, price, secret) VALUES ('item 1', 2, 'canary-secret');
