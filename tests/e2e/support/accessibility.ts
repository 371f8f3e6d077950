import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds on the page as it stands, serious and critical only: rule, and the first elements that break it. */
export async function seriousProblems(page: Page): Promise<string[]> {
  // The content security policy lets no foreign script in: the driver evaluates it beside the page's own.
  await page.evaluate(axe);
  const violations = await page.evaluate(async () => {
    // Of what passes nothing is told: it would be found and described element by element.
    const found = await (
      globalThis as unknown as {
        axe: {
          run(options: object): Promise<{
            violations: { id: string; impact: string; help: string; nodes: { target: string[] }[] }[];
          }>;
        };
      }
    ).axe.run({ resultTypes: ['violations'] });
    return found.violations;
  });
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(
      ({ id, help, nodes }) =>
        `${id}: ${help} (${nodes
          .slice(0, 3)
          .map(({ target }) => target.join(' '))
          .join(', ')})`,
    );
}
