// What people do at the console, in a real browser; tests/e2e/browser.rs starts everything around it and reads what it says.
import assert from 'node:assert/strict';
import { CONSOLE, browser, person, picture, psql, until, usable } from './people.mjs';

const { AGENT_TOKEN, DORA_TOKEN } = process.env;
const step = (words) => console.log(`browser: ${words}`);

/** The card of a held statement by its text, once it is in somebody's list: a page that is live shows it by itself. */
async function held(who, text) {
  await who.go('/');
  const card = who.page.locator('article', { hasText: text });
  await until(`\`${text}\` at ${who.id}`, async () => {
    if (await card.count()) return true;
    await who.page.reload();
    return card.count();
  });
  await card.getByRole('link').first().click();
  await who.page.getByRole('heading', { name: 'Who is asked' }).waitFor();
}

async function vote(who, button, reason) {
  await who.page.getByLabel('Your reason').fill(reason);
  await who.page.getByRole('button', { name: button }).click();
  await who.page.locator('blockquote', { hasText: reason }).waitFor();
}

const dora = await person('dora@corp');
await dora.go('/');
await usable(dora.page, 'the page before the login');
step('logs in');
await dora.logIn();
await dora.page.getByRole('heading', { name: 'Nothing here' }).waitFor();
await usable(dora.page, 'the empty list');
const cookies = (await dora.context.cookies()).filter((cookie) => cookie.name.startsWith('__Host-'));
assert.deepEqual(cookies.map(({ httpOnly, secure, sameSite }) => [httpOnly, secure, sameSite]), [[true, true, 'Lax']]);

step('an agent is held, and goes on when a person approves');
const script = '<script>alert(document.domain)</script><img src=x onerror=alert(1)>';
const deleting = psql('devin@corp', AGENT_TOKEN, `DELETE FROM orders WHERE id = 1 /* ${script} */;`);
await held(dora, 'WHERE id = 1');
await picture(dora.page, 'approval');
await usable(dora.page, 'a held statement');
assert.ok((await dora.page.locator('pre').first().innerText()).includes(script), 'the text is shown as it is');
assert.equal(await dora.page.locator('pre script, pre img').count(), 0);
assert.equal(deleting.ended, false, 'nobody approved yet');
await vote(dora, 'Approve', 'a duplicate, see ticket 42');
assert.equal((await deleting.end).out, 'DELETE 1\n', deleting.said.error);

step('one no is what the client reads');
const refused = psql('devin@corp', AGENT_TOKEN, 'DELETE FROM orders WHERE id < 9;');
await held(dora, 'WHERE id < 9');
await vote(dora, 'Deny', 'all of them?');
const told = (await refused.end).error;
assert.ok(told.includes('was refused by dora@corp') && told.includes('all of them?'), told);

step('where two are asked, one is not enough');
const emil = await person('emil@corp');
await emil.logIn();
const updating = psql('devin@corp', AGENT_TOKEN, 'UPDATE orders SET id = id WHERE id = 2;');
await held(dora, 'WHERE id = 2');
await vote(dora, 'Approve', 'fine with me');
await dora.page.getByText('1 of 2 dbas').waitFor();
assert.equal(await dora.page.getByLabel('Your reason').count(), 0, 'nobody votes twice');
assert.equal(updating.ended, false, 'one of two approved');
await held(emil, 'WHERE id = 2');
await vote(emil, 'Approve', 'and with me');
assert.match((await updating.end).out, /^UPDATE \d/, updating.said.error);

step('nobody approves their own');
const own = psql('dora@corp', DORA_TOKEN, 'UPDATE orders SET id = id WHERE id = 3;');
await held(dora, 'WHERE id = 3');
await dora.page.getByText("You can't vote").waitFor();
assert.equal(await dora.page.getByLabel('Your reason').count(), 0);
const csrf = await dora.page.locator('input[name=csrf]').first().inputValue();
const forged = (form, headers = { origin: CONSOLE }) => dora.context.request.post(`${dora.page.url()}/votes`, { form, headers });
const yes = { vote: 'approve', reason: 'because it is mine' };
assert.equal((await forged({ ...yes, csrf })).status(), 403);
assert.equal((await forged({ ...yes, csrf: 'x' })).status(), 403);
assert.equal((await forged({ ...yes, csrf }, { origin: 'https://evil.example.com' })).status(), 403);
await held(emil, 'WHERE id = 3');
await vote(emil, 'Deny', 'not today');
assert.ok((await own.end).error.includes('was refused by emil@corp'));

step('a keyboard is enough');
await dora.go('/');
await dora.page.keyboard.press('Tab');
assert.equal(await dora.page.evaluate(() => document.activeElement.textContent), 'Skip to the content');
await dora.page.keyboard.press('Enter');
assert.equal(new URL(dora.page.url()).hash, '#content');
await usable(dora.page, 'the list');

step('a list is up to date by itself');
await dora.go('/?standing=waiting');
const live = psql('devin@corp', AGENT_TOKEN, 'DELETE FROM orders WHERE id = 4;');
await dora.page.locator('article', { hasText: 'WHERE id = 4' }).waitFor();
assert.match(await dora.page.locator('time').first().getAttribute('title'), /UTC$/, 'UTC is behind the time');
assert.doesNotMatch(await dora.page.locator('time').first().innerText(), /UTC/, 'the time is the reader\'s');
await emil.go('/');
await emil.page.locator('article', { hasText: 'WHERE id = 4' }).getByRole('link').first().click();
await vote(emil, 'Approve', 'that one, too');
await live.end;
await dora.page.locator('article', { hasText: 'WHERE id = 4' }).waitFor({ state: 'detached' });

step('without a script everything else is the same');
const plain = await person('dora@corp', { javaScriptEnabled: false });
await plain.logIn();
await plain.page.getByRole('link', { name: 'Keep this page up to date without a script' }).click();
assert.equal(await plain.page.locator('meta[http-equiv=refresh]').count(), 1);
assert.match(await plain.page.locator('time').first().innerText(), /UTC$/);
const unscripted = psql('devin@corp', AGENT_TOKEN, 'DELETE FROM orders WHERE id = 5;');
await held(plain, 'WHERE id = 5');
await vote(plain, 'Approve', 'by hand');
await unscripted.end;

step('who has no role sees their own');
await dora.go('/decisions');
await dora.page.getByText('You see your own statements').waitFor();
assert.equal(await dora.page.getByText('devin@corp').count(), 0);
for (const path of ['/policy', '/controls', '/data', '/health']) assert.equal((await dora.go(path)).status(), 403, path);
await dora.page.getByText('[console] viewers').waitFor();
await usable(dora.page, 'a page that is not for them');

step('an administrator looks at every page');
const olga = await person('olga@corp');
await olga.logIn();
const asleep = psql('devin@corp', AGENT_TOKEN, 'SELECT ssn FROM customers;\n', { stay: true });
for (const name of ['Sessions', 'Decisions', 'Policy', 'Controls', 'Data', 'Health']) {
  await olga.page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name, exact: true }).click();
  await olga.page.getByRole('heading', { name, exact: true, level: 1 }).waitFor();
  assert.equal(await olga.page.locator('main script, main img:not(.graph)').count(), 0, name);
  await usable(olga.page, name);
  if (name === 'Controls') await picture(olga.page, 'controls');
}
await olga.go('/policy');
await olga.page.locator('img.graph').scrollIntoViewIfNeeded();
await until('the graph to be drawn', async () => {
  const [isThere, width] = await olga.page.locator('img.graph').evaluate((image) => [image.complete, image.naturalWidth]);
  if (isThere && !width) await olga.page.reload();
  return width > 100;
});

step('decisions are found, and shown as text');
await olga.go('/decisions');
await olga.page.getByLabel('Text').fill('alert(document.domain)');
await olga.page.getByRole('button', { name: 'Search' }).click();
await olga.page.locator('article', { hasText: '<script>alert(document.domain)' }).getByRole('link').first().click();
await olga.page.getByRole('heading', { name: 'Masked columns' }).waitFor();
assert.ok((await olga.page.locator('pre').first().innerText()).includes(script));
await usable(olga.page, 'a statement');
await olga.go('/controls');
await olga.page.getByRole('link', { name: 'AC-3', exact: true }).click();
await olga.page.getByRole('heading', { name: 'Decisions by rules that name it' }).waitFor();
await usable(olga.page, 'a control');

step('the playground decides as a session would');
await olga.go('/policy/playground');
await usable(olga.page, 'the playground');
await olga.page.getByLabel('Principal').fill('devin@corp');
await olga.page.getByLabel('Groups, as the issuer names them').fill('ai-agents');
for (const [sql, told] of [
  [`SELECT ssn FROM customers /* ${script} */`, ['allow', 'last 4', script]],
  ['DROP TABLE orders', ['deny', 'schema changes go through migrations']],
]) {
  await olga.page.getByLabel('SQL').fill(sql);
  await olga.page.getByRole('button', { name: 'Decide' }).click();
  await olga.page.getByRole('heading', { name: `Decision ${told[0]}` }).waitFor();
  const decided = await olga.page.locator('main').innerText();
  for (const words of told) assert.ok(decided.includes(words), `${words} in: ${decided}`);
}
await usable(olga.page, 'the playground\'s answer');
await picture(olga.page, 'playground');

step('an administrator ends a session');
await olga.go('/sessions');
await until('the session to be open', async () => {
  if (await olga.page.locator('article', { hasText: 'devin@corp' }).getByText('open', { exact: true }).count()) return true;
  await olga.page.reload();
  return false;
});
await olga.page.locator('article', { hasText: 'devin@corp' }).filter({ hasText: 'since' }).getByRole('link').first().click();
await until('its statement to be told', async () => {
  if (await olga.page.getByText('SELECT ssn FROM customers').count()) return true;
  await olga.page.reload();
  return false;
});
await usable(olga.page, 'a session');
await picture(olga.page, 'session');
await olga.page.getByLabel('Why it is to end').fill('it was forgotten');
await olga.page.getByRole('button', { name: 'End this session' }).click();
await until('the session to be over', async () => {
  const told = olga.page.getByText('olga@corp ended this session: it was forgotten');
  if ((await olga.page.getByText('over', { exact: true }).count()) && (await told.count())) return true;
  await olga.page.reload();
  return false;
});
asleep.kill();

step('an error has a page that says what to do');
await dora.go('/approvals/nothing');
await dora.page.getByRole('alert').waitFor();
await usable(dora.page, 'the page of an error');

await dora.go('/');
await dora.page.getByRole('button', { name: 'Log out' }).click();
await dora.page.getByRole('link', { name: 'Log in' }).waitFor();
assert.equal((await dora.context.cookies()).filter((cookie) => cookie.name === '__Host-provost').length, 0);
for (const { id, wrong } of [dora, emil, olga, plain]) assert.deepEqual(wrong, [], `what went wrong in the window of ${id}`);
await browser.close();
step('done');
