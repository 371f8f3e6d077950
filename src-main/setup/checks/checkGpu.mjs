// `npm run check:gpu`: numbers, speed and memory of a card (docs/gpu.md). Needs no network once the studio has started.
import { join } from 'node:path';
import { ensureOrExit } from '../ensure.mjs';
import { launch, studioEnvironment } from '../launch.mjs';
import { projectFolder } from '../paths.mjs';

const node = await ensureOrExit();
const script = join(projectFolder, 'tests', 'card', 'checkGpu.ts');
const env = { ...studioEnvironment(node), TF_CPP_MIN_LOG_LEVEL: '3' };
process.exit(await launch(node, [script, ...process.argv.slice(2)], env));
