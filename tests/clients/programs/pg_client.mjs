// node's pg as programs use it, with cursors, streams and COPY by its companions. Prints what the server says.
// The connection is told by libpq's environment variables.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import pg from 'pg';
import Cursor from 'pg-cursor';
import copy from 'pg-copy-streams';

const show = (name, value) => console.log(`${name}: ${JSON.stringify(value)}`);

async function error(name, promise) {
  try {
    await promise;
    show(name, 'no error');
  } catch (failure) {
    const { severity, code, message, detail, hint, position, where, schema, table, column, constraint, routine } = failure;
    show(name, { severity, code, message, detail, hint, position, where, schema, table, column, constraint, routine });
  }
}

async function tables(client) {
  const results = await client.query('DROP TABLE IF EXISTS things CASCADE; CREATE TABLE things (id int PRIMARY KEY, name text NOT NULL, price numeric, made timestamptz); SELECT 1 AS a');
  show('several', results.map(({ command, rowCount, rows }) => ({ command, rowCount, rows })));
  const inserted = await client.query("INSERT INTO things SELECT n, 'thing ' || n, n * 1.5, '2026-01-01Z' FROM generate_series(1, 1000) n");
  show('inserted', [inserted.command, inserted.rowCount]);
}

async function values(client) {
  const everything = [true, 42, '9007199254740993', 1.5, "text 'x' é", Buffer.from([0, 255]), new Date(Date.UTC(2026, 1, 28, 1, 2, 3)), [1, null, 3], { a: [1, null] }, null];
  const types = ['bool', 'int', 'int8', 'float8', 'text', 'bytea', 'timestamptz', 'int[]', 'jsonb', 'text'];
  const text = `SELECT ${types.map((type, index) => `$${index + 1}::${type} AS v${index}`).join(', ')}`;
  for (const binary of [false, true]) {
    const found = await client.query({ text, values: everything, binary });
    show(`values, binary ${binary}`, found.rows);
  }
  const found = await client.query({ text: 'SELECT id, name, price FROM things WHERE id <= $1 ORDER BY id', values: [3], rowMode: 'array' });
  show('described', found.fields.map(({ name, dataTypeID, columnID, dataTypeModifier }) => [name, dataTypeID, columnID, dataTypeModifier]));
  show('rows', found.rows);
}

async function prepared(client) {
  for (const id of [1, 2, 3]) {
    const found = await client.query({ name: 'by-id', text: 'SELECT name FROM things WHERE id = $1', values: [id] });
    show('prepared', found.rows);
  }
  await client.query('ALTER TABLE things ADD COLUMN more int DEFAULT 7');
  const query = { name: 'all', text: 'SELECT * FROM things WHERE id = $1', values: [1] };
  show('before', (await client.query(query)).fields.length);
  await client.query('ALTER TABLE things DROP COLUMN more');
  await error('outdated', client.query(query));
  show('anew', (await client.query({ ...query, name: 'anew' })).fields.length);
}

async function transactions(client) {
  await client.query('BEGIN');
  await client.query("INSERT INTO things VALUES (5000, 'x')");
  await client.query('SAVEPOINT s');
  await error('fails', client.query('INSERT INTO things VALUES (5000, $1)', ['again']));
  await error('aborted', client.query('SELECT 1'));
  await client.query('ROLLBACK TO s');
  show('back', (await client.query('SELECT count(*) FROM things')).rows);
  await client.query('ROLLBACK');
  show('gone', (await client.query('SELECT count(*) FROM things WHERE id = 5000')).rows);
}

async function errors(client) {
  await error('syntax', client.query('SELECT 1 FRM things'));
  await error('no table', client.query('SELECT * FROM nowhere'));
  await error('no table, extended', client.query('SELECT * FROM nowhere WHERE a = $1', [1]));
  await error('unique', client.query("INSERT INTO things VALUES (1, 'x')"));
  await error('null', client.query('INSERT INTO things VALUES (6000, $1)', [null]));
  await error('parameter', client.query('SELECT $1::int', ['no number']));
  await error('in several', client.query('SELECT 1; SELECT 1 / 0; SELECT 2'));
  show('alive', (await client.query("SELECT 'yes' AS a")).rows);
}

async function streams(client) {
  const cursor = client.query(new Cursor('SELECT n FROM generate_series(1, $1::int) n', [100]));
  for (const count of [10, 80, 80]) {
    show('read', (await cursor.read(count)).map(({ n }) => n));
  }
  await cursor.close();
  await pipeline(Readable.from(Array.from({ length: 500 }, (_, n) => `${7000 + n}\tcopied ${n}\t\\N\t\\N\n`)), client.query(copy.from('COPY things FROM STDIN')));
  for (const format of ['text', 'csv', 'binary']) {
    const hash = createHash('sha256');
    for await (const part of client.query(copy.to(`COPY (SELECT * FROM things ORDER BY id) TO STDOUT (FORMAT ${format})`))) {
      hash.update(part);
    }
    show(`copied out, ${format}`, hash.digest('hex'));
  }
  await error('bad copy', pipeline(Readable.from(['1\tagain\t\\N\t\\N\n']), client.query(copy.from('COPY things FROM STDIN'))));
  const many = await client.query("SELECT n, repeat('x', n % 100) AS t FROM generate_series(1, 50000) n");
  show('many', [many.rowCount, createHash('sha256').update(JSON.stringify(many.rows)).digest('hex')]);
}

async function notifies(client) {
  const heard = [];
  client.on('notification', ({ channel, payload }) => heard.push([channel, payload]));
  const said = [];
  client.on('notice', ({ severity, code, message, hint }) => said.push([severity, code, message, hint]));
  await client.query('LISTEN news');
  const other = new pg.Client();
  await other.connect();
  for (const number of [1, 2, 3]) {
    await other.query("SELECT pg_notify('news', $1)", [`number ${number}`]);
  }
  await other.end();
  while (heard.length < 3) {
    await once(client, 'notification');
  }
  show('heard', heard);
  await client.query("DO $$ BEGIN RAISE NOTICE 'n'; RAISE WARNING 'w'; END $$");
  await client.query('DROP TABLE IF EXISTS nowhere');
  show('said', said);
}

async function together(client) {
  // Queries are queued, not awaited one by one.
  const found = await Promise.all(Array.from({ length: 50 }, (_, n) => client.query('SELECT $1::int * 2 AS a', [n])));
  show('queued', found.map(({ rows }) => rows[0].a));
  const pool = new pg.Pool({ max: 4 });
  const pooled = await Promise.all(Array.from({ length: 40 }, (_, n) => pool.query('SELECT $1::int * 3 AS a', [n])));
  show('pooled', pooled.map(({ rows }) => rows[0].a));
  await pool.end();
}

const client = new pg.Client({ application_name: 'node pg', statement_timeout: 60000 });
await client.connect();
for (const part of [tables, values, prepared, transactions, errors, streams, notifies, together]) {
  await part(client);
}
await error('timed out', client.query("SET statement_timeout = '200ms'; SELECT pg_sleep(30)"));
await client.query('DROP TABLE things');
await client.end();
