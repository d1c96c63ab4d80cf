INSERT INTO member (id, version, name, email, secret, joined) VALUES (1, 0, 'm1', 'ada@canary.example', 'canary-secret', '2026-01-02'), (2, 0, 'm2', 'bob@canary.example', 'canary-secret', '2026-01-02');
INSERT INTO loan (title, fine, member_id) VALUES ('book', 1, 1);
