// Prisma's client over its driver adapter for pg: writes, nested writes, relations, aggregates, transactions, raw SQL.
import { PrismaPg } from "@prisma/adapter-pg";
import { createRequire } from "node:module";

const { PrismaClient } = createRequire(import.meta.url)("./generated/index.js");
const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL }) });

const ada = await prisma.user.create({
  data: { email: "ada@example.org", name: "Ada", profile: { k: 1 }, posts: { create: [{ title: "One", tags: { connectOrCreate: { where: { name: "t" }, create: { name: "t" } } } }, { title: "Two" }] } },
  include: { posts: true },
});
await prisma.user.createMany({ data: [{ email: "bob@example.org" }, { email: "cyd@example.org" }], skipDuplicates: true });
await prisma.user.createManyAndReturn({ data: [{ email: "dan@example.org" }] });
await prisma.user.findMany({ where: { OR: [{ email: { contains: "a", mode: "insensitive" } }, { name: null }] }, orderBy: { id: "desc" }, take: 2, skip: 1 });
await prisma.user.findUnique({ where: { id: ada.id }, include: { posts: { include: { tags: true } } } });
await prisma.user.findFirst({ where: { posts: { some: { published: false, tags: { none: { name: "x" } } } } }, select: { id: true, secret: true } });
await prisma.user.findMany({ where: { id: { in: [1, 2, 3] }, profile: { path: ["k"], equals: 1 } } });
await prisma.user.findMany({ cursor: { id: 1 }, take: 2, orderBy: { id: "asc" } });
await prisma.user.findMany({ distinct: ["name"] });
await prisma.post.count({ where: { author: { email: { startsWith: "ada" } } } });
await prisma.post.groupBy({ by: ["authorId"], _count: { _all: true }, _max: { id: true }, having: { authorId: { gt: 0 } } });
await prisma.post.aggregate({ _avg: { id: true }, _min: { title: true } });
await prisma.user.findMany({ include: { _count: { select: { posts: true } } } });
await prisma.user.update({ where: { id: ada.id }, data: { name: "Ada L.", posts: { updateMany: { where: {}, data: { published: true } } } } });
await prisma.user.upsert({ where: { email: "eve@example.org" }, update: { name: "x" }, create: { email: "eve@example.org" } });
await prisma.user.upsert({ where: { email: "eve@example.org" }, update: { name: "y" }, create: { email: "eve@example.org", name: "z" } });
await prisma.post.updateMany({ where: { published: true }, data: { title: "T" } });
await prisma.post.updateMany({ where: { id: 1 }, data: { authorId: { increment: 0 } } });
await prisma.$transaction([prisma.post.findMany(), prisma.tag.findMany({ include: { posts: true } })]);
await prisma.$transaction(async (t) => { await t.tag.create({ data: { name: "u" } }); await t.tag.delete({ where: { name: "u" } }); }, { isolationLevel: "Serializable" });
await prisma.$queryRaw`SELECT "id", "email" FROM "User" WHERE "id" = ${ada.id}`;
await prisma.$executeRaw`UPDATE "Post" SET "published" = ${false} WHERE "id" = ${1}`;
await prisma.post.deleteMany({ where: { title: { endsWith: "nothing" } } });
await prisma.user.delete({ where: { email: "eve@example.org" } });
await prisma.$disconnect();
