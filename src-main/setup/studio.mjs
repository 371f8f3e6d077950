// `npm run -s studio -- ...`: the command line, after set-up.
import './surroundings/nodeVersion.mjs';
import { join } from 'node:path';
import { ensureOrExit } from './ensure.mjs';
import { launch, studioEnvironment } from './launch.mjs';
import { projectFolder } from './paths.mjs';

const node = await ensureOrExit({ page: process.argv[2] === 'serve' });
process.exit(
  await launch(
    node,
    [join(projectFolder, 'src-main', 'cli.ts'), ...process.argv.slice(2)],
    studioEnvironment(node),
  ),
);
