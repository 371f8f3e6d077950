/**
 * Answers `--help` and ends, before anything is installed or begun.
 * @param {string} text how the script is called, and what its options mean
 * @param {readonly string[]} args what it was called with
 */
export function answerHelp(text, args = process.argv.slice(2)) {
  if (!args.includes('--help') && !args.includes('-h')) return;
  process.stdout.write(`${text.trim()}\n`);
  process.exit(0);
}
