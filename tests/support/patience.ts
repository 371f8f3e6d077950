/**
 * So long a test waits for what an engine computes, in ms: seconds on an idle machine, ten times that on one whose
 * processors run other test files. What has to be fast is tested with a bound of its own.
 */
export const patienceMs = 240_000;
