// `npm run starter:train`: makes the model and the tasks of the starter lab anew (docs/starter.md).
import { join } from 'node:path';
import { ensureOrExit } from '../ensure.mjs';
import { launch, studioEnvironment } from '../launch.mjs';
import { projectFolder } from '../paths.mjs';

const node = await ensureOrExit();
const script = join(projectFolder, 'src-main', 'starter', 'train.ts');
process.exit(await launch(node, [script, ...process.argv.slice(2)], studioEnvironment(node)));
