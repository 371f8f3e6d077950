import type { Page } from 'playwright-core';
import { afterEach } from 'vitest';

const opened: Page[] = [];

/** Adds to the error of a test that fails what this page shows then: a wait in vain does not say what was there. */
export function tellAtFailure(page: Page): void {
  opened.push(page);
}

afterEach(async ({ task }) => {
  const error = task.result?.errors?.[0];
  if (!error) return;
  for (const page of opened.filter((one) => !one.isClosed())) {
    const shown = await page
      .locator('body')
      .innerText({ timeout: 5000 })
      .catch((problem: Error) => `nothing (${problem.message})`);
    error.message += `\nThe page at ${page.url()} shows:\n${shown}\n`;
  }
});
