// Loaded before everything else of set-up: what is missing in an older Node would end it with a trace of its own.
const oldest = 20;
if (Number(process.versions.node.split('.')[0]) < oldest) {
  process.stderr.write(
    `set-up: This is Node ${process.versions.node} (${process.execPath}); the studio needs ${oldest} or newer.\n` +
      'set-up: Install a newer Node, or put it first on the PATH, and start again.\n',
  );
  process.exit(1);
}
