// `npm run check:long`: checks that take minutes and need a machine that does nothing else. Ends with the line `N
// passed, N failed`.
import { ensureOrExit } from '../ensure.mjs';
import { studioEnvironment } from '../launch.mjs';
import { projectFolder } from '../paths.mjs';
import { runVitest } from './vitest.mjs';
import { answerHelp } from '../usage.mjs';

answerHelp(`
npm run check:long                                checks that take minutes to hours, one after the other
npm run check:long -- tests/long/steps.long.ts    some of them; options are Vitest's
`);

process.chdir(projectFolder);
const node = await ensureOrExit();
// The paths first: a switch without a value would take the next one for its own.
const args = [...process.argv.slice(2), '--config=vitest.long.config.ts', '--disable-console-intercept'];
const { passed, failed, skipped } = await runVitest(node, args, studioEnvironment(node));
for (const name of skipped) console.log(`skipped  ${name}`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
