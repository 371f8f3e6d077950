// `npm run docs:pictures`: makes the pictures of the documentation anew (docs/images), of the starter lab in a browser.
import { join } from 'node:path';
import { ensureOrExit } from '../ensure.mjs';
import { studioEnvironment } from '../launch.mjs';
import { projectFolder } from '../paths.mjs';
import { runVitest } from './vitest.mjs';
import { answerHelp } from '../usage.mjs';

answerHelp(
  'npm run docs:pictures   makes the pictures of the documentation anew (docs/images); needs Chromium',
);

process.chdir(projectFolder);
const node = await ensureOrExit();
const env = { ...studioEnvironment(node), ID_LORA_STUDIO_PICTURES: join(projectFolder, 'docs', 'images') };
const args = ['tests/long/pictures.long.ts', '--config=vitest.long.config.ts'];
const { failed, skipped } = await runVitest(node, args, env);
for (const name of skipped) console.log(`skipped  ${name}`);
process.exit(failed === 0 && skipped.length === 0 ? 0 : 1);
