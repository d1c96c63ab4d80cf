---- simple
BEGIN
---- extended
INSERT INTO "public"."User" ("email","name","secret","joined","profile") VALUES ($1,$2,$3,$4,$5) RETURNING "public"."User"."id"
---- extended
INSERT INTO "public"."Post" ("title","published","authorId") VALUES ($1,$2,$3) RETURNING "public"."Post"."id"
---- extended
SELECT "public"."Tag"."name" FROM "public"."Tag" WHERE ("public"."Tag"."name" = $1 AND 1=1) LIMIT $2 OFFSET $3
---- extended
INSERT INTO "public"."Tag" ("name") VALUES ($1) RETURNING "public"."Tag"."name"
---- extended
INSERT INTO "public"."_PostToTag" ("A","B") VALUES ($1,$2) ON CONFLICT DO NOTHING
---- extended
SELECT "public"."User"."id", "public"."User"."email", "public"."User"."name", "public"."User"."secret", "public"."User"."joined", "public"."User"."profile" FROM "public"."User" WHERE "public"."User"."id" = $1 LIMIT $2 OFFSET $3
---- extended
SELECT "public"."Post"."id", "public"."Post"."title", "public"."Post"."published", "public"."Post"."authorId" FROM "public"."Post" WHERE "public"."Post"."authorId" = $1 OFFSET $2
---- simple
COMMIT
---- extended
INSERT INTO "public"."User" ("email","secret","joined") VALUES ($1,$2,$3), ($4,$5,$6) ON CONFLICT DO NOTHING
---- extended
INSERT INTO "public"."User" ("email","secret","joined") VALUES ($1,$2,$3) RETURNING "public"."User"."id", "public"."User"."email", "public"."User"."name", "public"."User"."secret", "public"."User"."joined", "public"."User"."profile"
---- extended
SELECT "public"."User"."id", "public"."User"."email", "public"."User"."name", "public"."User"."secret", "public"."User"."joined", "public"."User"."profile" FROM "public"."User" WHERE ("public"."User"."email" ILIKE ('%' || $1 || '%') OR "public"."User"."name" IS NULL) ORDER BY "public"."User"."id" DESC LIMIT $2 OFFSET $3
---- extended
SELECT "public"."User"."id", "public"."User"."email", "public"."User"."name", "public"."User"."secret", "public"."User"."joined", "public"."User"."profile" FROM "public"."User" WHERE ("public"."User"."id" = $1 AND 1=1) LIMIT $2 OFFSET $3
---- extended
SELECT "public"."Tag"."name", "t0"."A" AS "PostToTag@Post" FROM "public"."Tag" INNER JOIN "public"."_PostToTag" AS "t0" ON "t0"."B" = "public"."Tag"."name" WHERE (1=1 AND "t0"."A" IN ($1,$2)) OFFSET $3
---- extended
SELECT "public"."User"."id", "public"."User"."secret" FROM "public"."User" WHERE EXISTS(SELECT "t0"."authorId" FROM "public"."Post" AS "t0" WHERE ("t0"."published" = $1 AND NOT EXISTS(SELECT "t1"."A" FROM "public"."_PostToTag" AS "t1" INNER JOIN "public"."Tag" AS "j1" ON ("j1"."name") = ("t1"."B") WHERE ("j1"."name" = $2 AND ("t0"."id") = ("t1"."A") AND "t1"."A" IS NOT NULL)) AND ("public"."User"."id") = ("t0"."authorId") AND "t0"."authorId" IS NOT NULL)) LIMIT $3 OFFSET $4
---- extended
SELECT "public"."User"."id", "public"."User"."email", "public"."User"."name", "public"."User"."secret", "public"."User"."joined", "public"."User"."profile" FROM "public"."User" WHERE ("public"."User"."id" IN ($1,$2,$3) AND ("public"."User"."profile"#>ARRAY[$4]::text[])::jsonb::jsonb = $5) OFFSET $6
---- extended
SELECT "public"."User"."id", "public"."User"."email", "public"."User"."name", "public"."User"."secret", "public"."User"."joined", "public"."User"."profile" FROM "public"."User" WHERE "public"."User"."id" >= (SELECT "public"."User"."id" FROM "public"."User" WHERE ("public"."User"."id") = ($1)) ORDER BY "public"."User"."id" ASC LIMIT $2 OFFSET $3
---- extended
SELECT "public"."User"."id", "public"."User"."email", "public"."User"."name", "public"."User"."secret", "public"."User"."joined", "public"."User"."profile" FROM "public"."User" WHERE 1=1 OFFSET $1
---- extended
SELECT COUNT(*) AS "_count$_all" FROM (SELECT "public"."Post"."id" FROM "public"."Post" LEFT JOIN "public"."User" AS "j0" ON ("j0"."id") = ("public"."Post"."authorId") WHERE ("j0"."email"::text LIKE ($1 || '%') AND ("j0"."id" IS NOT NULL)) OFFSET $2) AS "sub"
---- extended
SELECT COUNT(*) AS "_count$_all", MAX("public"."Post"."id") AS "_max$id", "public"."Post"."authorId" FROM "public"."Post" WHERE 1=1 GROUP BY "public"."Post"."authorId" HAVING "public"."Post"."authorId" > $1 OFFSET $2
---- extended
SELECT AVG("id") AS "_avg$id", MIN("title") AS "_min$title" FROM (SELECT "public"."Post"."id", "public"."Post"."title" FROM "public"."Post" WHERE 1=1 OFFSET $1) AS "sub"
---- extended
SELECT "public"."User"."id", "public"."User"."email", "public"."User"."name", "public"."User"."secret", "public"."User"."joined", "public"."User"."profile", COALESCE("aggr_selection_0_Post"."_aggr_count_posts", 0) AS "_aggr_count_posts" FROM "public"."User" LEFT JOIN (SELECT "public"."Post"."authorId", COUNT(*) AS "_aggr_count_posts" FROM "public"."Post" WHERE 1=1 GROUP BY "public"."Post"."authorId") AS "aggr_selection_0_Post" ON ("public"."User"."id" = "aggr_selection_0_Post"."authorId") WHERE 1=1 OFFSET $1
---- extended
UPDATE "public"."User" SET "name" = $1 WHERE ("public"."User"."id" = $2 AND 1=1) RETURNING "public"."User"."id", "public"."User"."email", "public"."User"."name", "public"."User"."secret", "public"."User"."joined", "public"."User"."profile"
---- extended
SELECT "public"."Post"."id", "public"."Post"."authorId" FROM "public"."Post" WHERE (1=1 AND "public"."Post"."authorId" IN ($1)) OFFSET $2
---- extended
UPDATE "public"."Post" SET "published" = $1 WHERE ("public"."Post"."id" IN ($2,$3) AND 1=1)
---- extended
INSERT INTO "public"."User" ("email","secret","joined") VALUES ($1,$2,$3) ON CONFLICT ("email") DO UPDATE SET "name" = $4 WHERE ("public"."User"."email" = $5 AND 1=1) RETURNING "public"."User"."id", "public"."User"."email", "public"."User"."name", "public"."User"."secret", "public"."User"."joined", "public"."User"."profile"
---- extended
INSERT INTO "public"."User" ("email","name","secret","joined") VALUES ($1,$2,$3,$4) ON CONFLICT ("email") DO UPDATE SET "name" = $5 WHERE ("public"."User"."email" = $6 AND 1=1) RETURNING "public"."User"."id", "public"."User"."email", "public"."User"."name", "public"."User"."secret", "public"."User"."joined", "public"."User"."profile"
---- extended
UPDATE "public"."Post" SET "title" = $1 WHERE "public"."Post"."published" = $2
---- extended
UPDATE "public"."Post" SET "authorId" = ("public"."Post"."authorId" + $1) WHERE "public"."Post"."id" = $2
---- extended
SELECT "public"."Post"."id", "public"."Post"."title", "public"."Post"."published", "public"."Post"."authorId" FROM "public"."Post" WHERE 1=1 OFFSET $1
---- extended
SELECT "public"."Tag"."name" FROM "public"."Tag" WHERE 1=1 OFFSET $1
---- extended
SELECT "public"."Post"."id", "public"."Post"."title", "public"."Post"."published", "public"."Post"."authorId", "t0"."B" AS "PostToTag@Tag" FROM "public"."Post" INNER JOIN "public"."_PostToTag" AS "t0" ON "t0"."A" = "public"."Post"."id" WHERE (1=1 AND "t0"."B" IN ($1)) OFFSET $2
---- simple
SET TRANSACTION ISOLATION LEVEL SERIALIZABLE
---- extended
DELETE FROM "public"."Tag" WHERE ("public"."Tag"."name" = $1 AND 1=1) RETURNING "public"."Tag"."name"
---- extended
SELECT "id", "email" FROM "User" WHERE "id" = $1
---- extended
UPDATE "Post" SET "published" = $1 WHERE "id" = $2
---- extended
DELETE FROM "public"."Post" WHERE "public"."Post"."title"::text LIKE ('%' || $1)
---- extended
DELETE FROM "public"."User" WHERE ("public"."User"."email" = $1 AND 1=1) RETURNING "public"."User"."id", "public"."User"."email", "public"."User"."name", "public"."User"."secret", "public"."User"."joined", "public"."User"."profile"
