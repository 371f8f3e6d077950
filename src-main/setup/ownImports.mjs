import module from 'node:module';

/**
 * Imported before the rest of the core, of a command, of an engine: Node then takes the studio's imports as they are
 * written. It looks for each of three thousand otherwise: whether the file is there, where links lead, which
 * package.json says of what kind it is; a sixth of the processor time of a short command (1.04 -> 0.88 s). Imports of
 * packages are looked for as ever.
 */
module.registerHooks?.({
  resolve(specifier, context, next) {
    const isOwn = specifier.startsWith('.') && specifier.endsWith('.ts');
    if (!isOwn || !context.parentURL) return next(specifier, context);
    const url = new URL(specifier, context.parentURL).href;
    return { url, format: 'module-typescript', shortCircuit: true };
  },
});
