// `npm run -s studio -- ...`: the command line, after set-up.
import { join } from 'node:path';
import { ensureOrExit } from './ensure.mjs';
import { launch, studioEnvironment } from './launch.mjs';
import { ensurePage } from './checkout/page.mjs';
import { projectFolder } from './paths.mjs';

const node = await ensureOrExit();
if (process.argv[2] === 'serve') await ensurePage(node);
process.exit(
  await launch(
    node,
    [join(projectFolder, 'src-main', 'cli.ts'), ...process.argv.slice(2)],
    studioEnvironment(node),
  ),
);
