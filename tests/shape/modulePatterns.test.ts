import { describe, expect, it } from 'vitest';
import { adapterSites, modulePath } from '../../src-main/shape/adapterSites.ts';
import { compileModulePattern, compilePatternMap } from '../../src-main/shape/modulePatterns.ts';
import { targetModules } from '../../src-main/contract/training.ts';

const paths = Array.from({ length: 12 }, (_, layer) =>
  targetModules.map((module) => modulePath({ layer, module })),
).flat();

/** Keys as people write them for PEFT. */
const understood = [
  'q_proj',
  'proj',
  'self_attn.q_proj',
  'layers.1.mlp.up_proj',
  'model.layers.0.self_attn.q_proj',
  '^model.layers.0.self_attn.q_proj',
  '^layers.0.self_attn.q_proj',
  '.*q_proj',
  '.*\\.q_proj$',
  'q_proj|v_proj',
  '^model.*q_proj|down_proj',
  'self_attn\\.(q|k|v)_proj',
  '(?:self_attn|mlp)\\..*_proj',
  'layers\\.\\d+\\.mlp\\.gate_proj',
  'layers\\.[0-9]+\\.self_attn\\.o_proj',
  'layers\\.[0-3]\\.mlp\\..*_proj',
  'layers\\.(0|1|1[01])\\..*',
  'layers\\.[^0-4]\\.self_attn\\.[qk]_proj',
  'layers.1?\\d.self_attn.v_proj',
  '\\w+_proj',
  'model.layers.\\d+.(self_attn|mlp).(q|up)_proj',
  '1.self_attn.q_proj',
  '.+',
  'layers\\.1.self_attn.q_proj',
  'yers.1.mlp.up_proj',
  'm',
  '(_|-|x)?proj',
  'a|',
  'down[_-]proj',
  '.*?q_proj',
  'layers\\.\\d{1,2}\\.mlp\\..*',
  'layers\\.1{2}\\..*',
  '(?!.*mlp).*_proj',
  '(?=.*mlp).*up_proj',
  '\\bq_proj',
  '.*\\bself_attn\\b.*',
];

describe('module patterns', () => {
  it.each(understood)('%s fits where a regular expression engine finds it', (key) => {
    const expression = new RegExp(`^(?:.*\\.)?(?:${key})$`);
    const fits = compileModulePattern(key);
    expect(paths.filter(fits)).toEqual(paths.filter((path) => expression.test(path)));
  });

  it.each<[string, RegExp]>([
    ['(a+)+b', /a repetition inside a repetition/],
    ['(.*)*', /a repetition inside a repetition/],
    ['a**', /the repetition \*\*/],
    ['a*?*', /the repetition \*\*/],
    ['a*+', /the repetition \*\+/],
    ['a{x}', /a brace \{ that counts nothing/],
    ['(a*){2}', /a repetition inside a repetition/],
    ['((?!a)b)*', /a repetition inside a repetition/],
    ['(?!(?!a))b', /looking ahead inside looking ahead/],
    ['(?<!a)b', /the group \(\?</],
    ['(?P<x>a)', /the group \(\?P/],
    ['(a)\\1', /\\1/],
    ['q_proj\\', /\\, which/],
    ['[a', /an unclosed or nested class/],
    ['[]', /an empty class/],
    ['[z-a]', /the range z-a/],
    ['(a', /a \( without \)/],
    ['a)', /an unpaired \)/],
    ['*a', /the character "\*"/],
    ['q proj', /the character " "/],
    ['a'.repeat(201), /more than 200 characters/],
  ])('refuses %s by name', (key, reason) => {
    expect(() => compileModulePattern(key)).toThrow(reason);
    expect(() => compileModulePattern(key)).toThrow(/module pattern/);
  });

  it('a map of one key for each module of a large model is quick, one that is too long is refused', () => {
    const keys = Array.from({ length: 126 }, (_, layer) =>
      targetModules.map((module) => modulePath({ layer, module })),
    ).flat();
    const rankPattern = Object.fromEntries(keys.map((key, i) => [key, 1 + (i % 5)]));
    const begin = process.cpuUsage();
    const sites = adapterSites(
      { layers: 126, fusedProjections: false },
      { rank: 8, targets: [...targetModules], rankPattern },
    );
    expect(process.cpuUsage(begin).user / 1000).toBeLessThan(1000);
    expect(sites.map(({ adapter }) => adapter.rank)).toEqual(keys.map((_, i) => 1 + (i % 5)));
    const long = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`${'.'.repeat(150)}${i}`, 1]));
    expect(() => compilePatternMap(long, 'rankPattern')).toThrow(
      /The 500 patterns .* have 76390 characters; at most 65536/,
    );
  });

  it('takes no longer than the path and the key are, whatever the key', () => {
    const hostile = `${'.*'.repeat(90)}x`;
    const fits = compileModulePattern(hostile);
    const begun = performance.now();
    for (let i = 0; i < 100; i++) expect(fits('a.'.repeat(40))).toBe(false);
    expect(performance.now() - begun).toBeLessThan(2000);
  });
});

describe('adapted modules', () => {
  const adapter = { rank: 8, alpha: 16, targets: ['q_proj', 'up_proj'] as const };
  const sites = (more: object, layers = 3) =>
    adapterSites(
      { layers, fusedProjections: false },
      { ...adapter, targets: [...adapter.targets], ...more },
    ).map(({ site, adapter: own }) => `${site.layer}.${site.module} ${own.rank} ${own.alpha}`);

  it('have the rank and alpha of the first fitting key', () => {
    expect(
      sites({
        rankPattern: { 'layers.1.self_attn.q_proj': 2, q_proj: 4, '.*': 6 },
        alphaPattern: { up_proj: 1 },
      }),
    ).toEqual([
      '0.q_proj 4 16',
      '0.up_proj 6 1',
      '1.q_proj 2 16',
      '1.up_proj 6 1',
      '2.q_proj 4 16',
      '2.up_proj 6 1',
    ]);
  });
  it('are those of the chosen layers', () => {
    expect(sites({ layers: [2, 0, 2] })).toEqual([
      '0.q_proj 8 16',
      '0.up_proj 8 16',
      '2.q_proj 8 16',
      '2.up_proj 8 16',
    ]);
  });
  it.each<[object, RegExp]>([
    [{ layers: [0, 3] }, /Layer 3 does not exist: the model has 3 layers/],
    [{ rankPattern: { k_proj: 4 } }, /rank pattern "k_proj" fits no adapted module/],
    [
      { alphaPattern: { 'layers.0.*': 4 }, layers: [1] },
      /alpha pattern "layers.0.\*" fits no adapted module/,
    ],
    [{ targets: ['q_proj', 'q_proj'] }, /q_proj is named twice/],
  ])('%j is refused', (more, reason) => {
    expect(() => sites(more)).toThrow(reason);
  });
});
