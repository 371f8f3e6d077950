import { procedures, type ProcedureHandlers, type ProcedureName } from '../contract/procedures.ts';
import { optionPath } from '../options/optionText.ts';
import { StudioError, toPlainError, type OptionPath } from '../contract/errors.ts';
import type { Reply } from '../contract/transport.ts';

/**
 * Calls a procedure by name: validates what comes in and what goes out, and turns every failure into the one plain
 * form.
 */
export async function dispatch(
  handlers: ProcedureHandlers,
  name: string,
  input: unknown,
  signal: AbortSignal,
): Promise<Reply> {
  try {
    if (!Object.hasOwn(procedures, name))
      throw new StudioError('usage', `There is no procedure "${name}".`, 'Update the client.');
    const procedure = procedures[name as ProcedureName];
    const parsed = procedure.input.safeParse(input);
    if (!parsed.success) {
      const issue = parsed.error.issues[0]!;
      throw new StudioError(
        'usage',
        `${name}: ${issue.path.join('.') || 'the input'}: ${issue.message}.`,
        'Correct the value.',
        { option: configPath(issue.path) },
      );
    }
    const handler = handlers[name as ProcedureName] as (
      value: unknown,
      context: { signal: AbortSignal },
    ) => unknown;
    const value = await handler(parsed.data, { signal });
    return { ok: true, value: 'isChecked' in procedure ? value : procedure.output.parse(value) };
  } catch (error) {
    const plain = toPlainError(error);
    if (plain.code === 'internal') console.error(error);
    return { ok: false, error: plain };
  }
}

/** The path inside the training configuration, or the changes of one, that a call brings; else none. */
function configPath(path: readonly PropertyKey[]): OptionPath | undefined {
  const at = path.findIndex((part) => part === 'config' || part === 'changes');
  return at < 0 ? undefined : optionPath(path.slice(at + 1));
}
