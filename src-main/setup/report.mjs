/** Progress of set-up goes to stderr: stdout belongs to the command that follows. */
export function say(text) {
  process.stderr.write(`set-up: ${text}\n`);
}

/** A set-up step that cannot be done, with what to do about it. */
export class SetupError extends Error {
  constructor(message, remedy) {
    super(message);
    this.name = 'SetupError';
    this.remedy = remedy;
  }
}
