// People at the console, each with a browser window of their own, and stock psql.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
export const { CONSOLE } = process.env;
const { CHROMIUM, PSQL, PICTURES } = process.env;
/** How long anything may take, in milliseconds. */
const PATIENCE = 40_000;

export const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ['--no-sandbox', '--no-proxy-server', '--disable-dev-shm-usage'],
});

/** A new window in which `id` logs in; whatever a script of somebody else's would do there fails the test. */
export async function person(id, options = {}) {
  const context = await browser.newContext({
    ignoreHTTPSErrors: true,
    viewport: { width: 1200, height: 800 },
    timezoneId: 'Europe/Berlin',
    colorScheme: 'light',
    ...options,
  });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const wrong = [];
  page.on('dialog', (dialog) => wrong.push(`a dialog: ${dialog.message()}`));
  page.on('pageerror', (error) => wrong.push(`a script failed: ${error}`));
  page.on('console', (message) => {
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) wrong.push(`the browser says: ${message.text()}`);
  });
  const logIn = async (path = '/') => {
    await page.goto(CONSOLE + path);
    await page.getByRole('link', { name: 'Log in' }).click();
    await page.getByRole('link', { name: id, exact: true }).click();
    await page.getByRole('button', { name: 'Log out' }).waitFor();
  };
  return { id, context, page, wrong, logIn, go: (path) => page.goto(CONSOLE + path) };
}

/** No serious violation of what axe knows, in light, in dark and at a phone's width, where nothing stands beyond the edge. */
export async function usable(page, what) {
  const size = page.viewportSize();
  for (const [colorScheme, width] of [['light', size.width], ['dark', 375]]) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: size.height });
    const violations = await page.evaluate(`${axe}; axe.run(document, { resultTypes: ['violations'] }).then((found) => found.violations
      .filter((one) => ['serious', 'critical'].includes(one.impact))
      .map((one) => one.id + ': ' + one.help + ' at ' + one.nodes.map((node) => node.html.slice(0, 160)).join(' | ')))`);
    assert.deepEqual(violations, [], `${what}, ${colorScheme}, ${width} wide`);
    const beyond = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(beyond <= 0, `${what} is ${beyond} pixels wider than ${width}`);
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize(size);
}

/** Keeps a picture, where pictures are wanted. */
export async function picture(page, name, options = {}) {
  if (PICTURES) await page.screenshot({ path: join(PICTURES, `console-${name}.png`), ...options });
}

/** Stock psql with somebody's token; resolves with what it said once it ends. With `stay` it waits for more. */
export function psql(id, token, sql, { stay = false } = {}) {
  const child = spawn(PSQL, ['--no-psqlrc', '--file=-'], { env: { ...process.env, PGUSER: id, PGPASSWORD: token }, stdio: ['pipe', 'pipe', 'pipe'] });
  const said = { out: '', error: '' };
  child.stdout.on('data', (data) => (said.out += data));
  child.stderr.on('data', (data) => (said.error += data));
  child.stdin.write(sql);
  if (!stay) child.stdin.end();
  const running = { ended: false, said, kill: () => child.kill() };
  running.end = new Promise((resolve) => child.on('close', () => {
    running.ended = true;
    resolve(said);
  }));
  return running;
}

/** Waits until something holds. */
export async function until(what, holds) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    if (await holds()) return;
    assert.ok(Date.now() < deadline, `waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
