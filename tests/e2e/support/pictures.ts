import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';

/** Where pictures go; absent: none is taken, since one takes up to seconds and no test looks at it. */
const folderOf = () => process.env['ID_LORA_STUDIO_PICTURES'];

/**
 * Keeps a picture of the page for people to look at, where they ask for pictures.
 * @param options.isWindow only what the window shows
 */
export async function takePicture(
  page: Page,
  name: string,
  options: { isWindow?: boolean } = {},
): Promise<void> {
  const folder = folderOf();
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  const fullPage = options.isWindow !== true;
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage, animations: 'disabled' });
}
