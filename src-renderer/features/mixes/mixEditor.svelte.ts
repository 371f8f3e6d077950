import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import { stored } from '../../state/stored.svelte.ts';
import { draftRecipeSchema, type CountSettings, type MixDraft } from './mixDraft.ts';

/** What is kept of an edited mix over reloads: null: it is as it was saved. */
interface Kept {
  draft: MixDraft | null;
  past: MixDraft[];
  future: MixDraft[];
}

/** Changes that can be taken back. */
const mostSteps = 60;
/** Changes of one kind that follow each other so closely are one: a drag is taken back whole. */
const oneChangeMs = 1000;

/** A mix under a person's hands, with what was before each change; survives reload and crash. */
export class MixEditor {
  readonly #kept: Kept;
  readonly #saved: () => MixDraft;
  #last = { kind: '', at: 0 };

  /** @param key under which it is kept: one for each mix @param saved as it is in the project, or empty */
  constructor(key: string, saved: () => MixDraft) {
    this.#kept = stored<Kept>(`studio.mix.${key}`, restoreKept);
    this.#saved = saved;
  }

  get draft(): MixDraft {
    return this.#kept.draft ?? this.#saved();
  }

  /** Whether anything differs from what is saved. */
  get isChanged(): boolean {
    return this.#kept.draft !== null && JSON.stringify(this.#kept.draft) !== JSON.stringify(this.#saved());
  }

  get canUndo(): boolean {
    return this.#kept.past.length > 0;
  }

  get canRedo(): boolean {
    return this.#kept.future.length > 0;
  }

  /** @param kind changes of one kind in quick succession are taken back together; empty: each for itself */
  change(next: (draft: MixDraft) => MixDraft, kind = ''): void {
    const before = this.draft;
    const draft = next(before);
    const isSame = kind !== '' && kind === this.#last.kind && Date.now() - this.#last.at < oneChangeMs;
    this.#last = { kind, at: Date.now() };
    if (!isSame) this.#kept.past = [...this.#kept.past, before].slice(-mostSteps);
    this.#kept.future = [];
    this.#kept.draft = draft;
  }

  undo(): void {
    const before = this.#kept.past.at(-1);
    if (!before) return;
    this.#kept.future = [...this.#kept.future, this.draft];
    this.#kept.past = this.#kept.past.slice(0, -1);
    this.#kept.draft = before;
    this.#last.kind = '';
  }

  redo(): void {
    const next = this.#kept.future.at(-1);
    if (!next) return;
    this.#kept.past = [...this.#kept.past, this.draft];
    this.#kept.future = this.#kept.future.slice(0, -1);
    this.#kept.draft = next;
    this.#last.kind = '';
  }

  /** It is saved as it stands, or given up: what is in the project counts again. */
  forget(): void {
    Object.assign(this.#kept, { draft: null, past: [], future: [] } satisfies Kept);
  }
}

const settingsSchema = trainConfigSchema.pick({
  context: true,
  packing: true,
  batch: true,
  accumulate: true,
  heldOutFraction: true,
  epochs: true,
});

/** As far as each is possible; else as usual. */
export function restoreSettings(saved: Partial<Record<keyof CountSettings, unknown>>): CountSettings {
  const { shape } = settingsSchema;
  return {
    context: shape.context.safeParse(saved.context).data ?? shape.context.parse(undefined),
    packing: saved.packing === true,
    batch: shape.batch.safeParse(saved.batch).data ?? shape.batch.parse(undefined),
    accumulate: shape.accumulate.safeParse(saved.accumulate).data ?? shape.accumulate.parse(undefined),
    heldOutFraction:
      shape.heldOutFraction.safeParse(saved.heldOutFraction).data ?? shape.heldOutFraction.parse(undefined),
    epochs: shape.epochs.safeParse(saved.epochs).data ?? shape.epochs.parse(undefined),
  };
}

/** Limits of the settings, for their fields. */
export function settingProblem(name: keyof CountSettings, value: unknown): string | undefined {
  const read = settingsSchema.shape[name].safeParse(value);
  return read.success ? undefined : read.error.issues[0]!.message;
}

function restoreDraft(saved: unknown): MixDraft | null {
  if (typeof saved !== 'object' || saved === null) return null;
  const { name, recipe, modelId, settings } = saved as Partial<Record<keyof MixDraft, unknown>>;
  const read = draftRecipeSchema.safeParse(recipe);
  if (!read.success) return null;
  return {
    name: typeof name === 'string' ? name : '',
    recipe: read.data,
    modelId: typeof modelId === 'string' ? modelId : null,
    settings: restoreSettings(typeof settings === 'object' && settings !== null ? settings : {}),
  };
}

function restoreKept(saved: Partial<Record<keyof Kept, unknown>>): Kept {
  const list = (value: unknown) =>
    Array.isArray(value) ? value.map(restoreDraft).filter((draft) => draft !== null) : [];
  return { draft: restoreDraft(saved.draft), past: list(saved.past), future: list(saved.future) };
}
