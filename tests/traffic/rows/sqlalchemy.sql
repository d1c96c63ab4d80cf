INSERT INTO author (name, email, token, labels, extra, mood) VALUES ('Ada', 'ada@canary.example', '6f1c9a52-2f4e-4a7b-9d57-0c8f6a3be111', '{a}', '{"k": "v"}', 'calm');
INSERT INTO book (author_id, title, price) VALUES (1, 'One', 1);
