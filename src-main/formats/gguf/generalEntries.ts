import type { GgufEntry } from './writeGguf.ts';

/** The keys that say what a file is, of which base, and under which terms. */
export function generalEntries(
  { name, licence }: { name: string; licence: string | null },
  baseName: string,
): GgufEntry[] {
  const text = (key: string, value: string): GgufEntry => ({ key: `general.${key}`, type: 'string', value });
  const isRepository = /^[\w.-]+\/[\w.-]+$/.test(baseName);
  return [
    text('name', name),
    ...(licence === null ? [] : [text('license', licence)]),
    { key: 'general.base_model.count', type: 'u32', value: 1 },
    text('base_model.0.name', isRepository ? baseName.split('/')[1]! : baseName),
    ...(isRepository
      ? [
          text('base_model.0.organization', baseName.split('/')[0]!),
          text('base_model.0.repo_url', `https://huggingface.co/${baseName}`),
        ]
      : []),
  ];
}
