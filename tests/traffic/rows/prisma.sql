INSERT INTO "User" (email, name, secret, profile) VALUES ('ada@canary.example', 'Ada', 'canary-secret', '{"k": 1}');
INSERT INTO "Post" (title, "authorId") VALUES ('One', 1);
