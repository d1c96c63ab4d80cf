-- The tables of schema.prisma: Prisma's own migrations need its schema engine, a binary that no package brings.
CREATE TABLE "User" ("id" serial PRIMARY KEY, "email" text NOT NULL, "name" text, "secret" text NOT NULL DEFAULT 's', "joined" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, "profile" jsonb);
CREATE UNIQUE INDEX "User_email_key" ON "User" ("email");
CREATE TABLE "Post" ("id" serial PRIMARY KEY, "title" text NOT NULL, "published" boolean NOT NULL DEFAULT false, "authorId" integer NOT NULL REFERENCES "User" ("id") ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE "Tag" ("name" text PRIMARY KEY);
CREATE TABLE "_PostToTag" ("A" integer NOT NULL REFERENCES "Post" ("id") ON DELETE CASCADE, "B" text NOT NULL REFERENCES "Tag" ("name") ON DELETE CASCADE, PRIMARY KEY ("A", "B"));
CREATE INDEX "_PostToTag_B_index" ON "_PostToTag" ("B");
