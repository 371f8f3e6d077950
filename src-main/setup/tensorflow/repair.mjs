// Repairs the TensorFlow runtime for a studio that is open: steps go to stderr, the reason of a failure to stdout as
// JSON.
import { tensorflowFailure } from './failure.mjs';
import { repairTensorflow } from './tensorflow.mjs';

const isThere = await repairTensorflow();
const failure = tensorflowFailure();
if (failure) process.stdout.write(JSON.stringify(failure));
process.exitCode = isThere && !failure ? 0 : 1;
