import type { ProcedureInput } from '../../../src-main/contract/procedures.ts';
import { templateNames, type TemplateName } from '../../../src-main/contract/templates.ts';
import type { Precision } from '../../../src-main/contract/training.ts';

/** What the page asks with; it survives a reload. */
export interface ChatForm {
  modelId: string | null;
  hasBase: boolean;
  runIds: string[];
  precision: Precision;
  context: number | null;
  /** `trained`: as each column's run was trained, else as usual. */
  template: Exclude<TemplateName, 'custom'> | 'trained';
  /** Empty: as trained. */
  system: string;
  /** One a line; `\n` is a line break. */
  stop: string;
  maxTokens: number | null;
  temperature: number | null;
  topP: number | null;
  seed: number | null;
  draft: string;
}

export const chatTemplates = templateNames.filter((name) => name !== 'custom');

export function restoreChat(saved: Partial<ChatForm>): ChatForm {
  return {
    modelId: saved.modelId ?? null,
    hasBase: saved.hasBase ?? true,
    runIds: saved.runIds ?? [],
    precision: saved.precision ?? 'f32',
    context: saved.context ?? 2048,
    template: saved.template ?? 'trained',
    system: saved.system ?? '',
    stop: saved.stop ?? '',
    maxTokens: saved.maxTokens ?? 256,
    temperature: saved.temperature ?? 0,
    topP: saved.topP ?? 1,
    seed: saved.seed ?? 0,
    draft: saved.draft ?? '',
  };
}

/** Texts before which answers end. */
export function stopTexts(lines: string): string[] {
  return lines
    .split('\n')
    .map((line) => line.replaceAll('\\n', '\n'))
    .filter((line) => line !== '');
}

/** What a number of the form must be, in words; null: all are well. */
export function settingsProblem({ maxTokens, temperature, topP, seed, stop }: ChatForm): string | null {
  const isWhole = (value: number | null, least: number, most: number) =>
    value !== null && Number.isInteger(value) && value >= least && value <= most;
  if (!isWhole(maxTokens, 1, 8192)) return 'Longest answer: a whole number from 1 to 8,192.';
  if (temperature === null || temperature < 0 || temperature > 10) return 'Temperature: 0 to 10.';
  if (topP === null || topP <= 0 || topP > 1) return 'Top p: above 0, at most 1.';
  if (!isWhole(seed, 0, Number.MAX_SAFE_INTEGER)) return 'Seed: a whole number, 0 or more.';
  if (stopTexts(stop).length > 16) return 'Stop texts: at most 16.';
  return null;
}

/** The form as it is asked with. It has no problem. */
export function settingsOf(form: ChatForm): NonNullable<ProcedureInput<'chat.ask'>['settings']> {
  const { template, system, stop, maxTokens, temperature, topP, seed } = form;
  return {
    template: {
      ...(template !== 'trained' && { name: template }),
      ...(system !== '' && { system }),
    },
    stop: stopTexts(stop),
    maxTokens: maxTokens!,
    temperature: temperature!,
    topP: topP!,
    seed: seed!,
  };
}
