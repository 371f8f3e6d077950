// `node src-main/setup/exec.mjs PROGRAM ...`: a program of node_modules, under the provided Node.
import './surroundings/nodeVersion.mjs';
import { join } from 'node:path';
import { ensureOrExit } from './ensure.mjs';
import { launch, studioEnvironment } from './launch.mjs';
import { modulesFolder } from './paths.mjs';

const node = await ensureOrExit();
const [program, ...args] = process.argv.slice(2);
const script = join(modulesFolder, '.bin', program);
process.exit(await launch(node, [script, ...args], studioEnvironment(node)));
