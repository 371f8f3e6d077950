// `npm run starter:train`: makes the model and the tasks of the starter lab anew (docs/starter.md).
import { join } from 'node:path';
import { ensureOrExit } from '../ensure.mjs';
import { launch, studioEnvironment } from '../launch.mjs';
import { projectFolder } from '../paths.mjs';
import { answerHelp } from '../usage.mjs';

answerHelp(`
npm run starter:train -- [options]   makes tasks and model of the starter lab anew (docs/starter.md)
  --only tasks                       the tasks alone, in a second; scores: asks the model that is there once more
  --steps 1300 --documents 60000     length of the training, and how many texts it reads; half an hour on two cores
  --seed 1                           of texts, tasks and weights
  --out DIR                          instead of resources/starter
  --work DIR                         texts, random weights and the run meanwhile: starter-work
`);

const node = await ensureOrExit();
const script = join(projectFolder, 'src-main', 'starter', 'train.ts');
process.exit(await launch(node, [script, ...process.argv.slice(2)], studioEnvironment(node)));
