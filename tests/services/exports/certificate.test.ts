import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import { certificateLines, certificateVerdict } from '../../../src-main/options/exits.ts';
import { neverAborted, openTrainingCore } from '../../support/core.ts';

/** `npm run parity` sets it: a Python with torch, transformers and PEFT. */
const python = process.env['ID_LORA_PARITY_PYTHON'];

const { core, home } = await openTrainingCore();
beforeAll(async () => {
  const adapter = { method: 'idlora', rank: 2, alpha: 4, clusters: 2, pivots: 'serial' };
  const config = trainConfigSchema.parse({ adapter, maxSteps: 2, learningRate: 1e-2, batch: 2, context: 64 });
  await (
    await core.runs.start({ name: 'mine', model: 'tiny', dataset: 'sums', config })
  ).ended;
});
afterAll(() => {
  vi.unstubAllEnvs();
  core.close();
});

const exported = (name: string, format: 'peft' | 'merged' = 'peft') =>
  core.exports.create({ run: 'mine', format, folder: join(home, name), checkElsewhere: true }, neverAborted);

describe.skipIf(!python)('transformers and PEFT themselves', () => {
  it.each(['peft', 'merged'] as const)(
    'compute from the files (%s) what the studio computes',
    async (format) => {
      vi.stubEnv('ID_LORA_PYTHON', python!);
      const { certificate } = await exported(`live-${format}`, format);
      expect(certificate.elsewhere).toMatchObject({ isEqual: true, sameChoices: certificate.tokens });
      expect(certificate.elsewhere!.maxLogitDifference).toBeLessThan(1e-4);
      expect(certificate.elsewhere!.software).toMatch(/^torch .*transformers /);
      expect(certificateVerdict(certificate).isGood).toBe(true);
    },
  );
});

/** A program in the place of Python: it answers with so many logits of one value. */
function pretended(code: string): void {
  const program = join(home, 'python');
  const hasAll = "if (process.argv.includes('-c')) { console.log('[]'); process.exit(); }";
  writeFileSync(program, `#!${process.execPath}\n${code.startsWith('//') ? '' : hasAll}\n${code}`);
  chmodSync(program, 0o755);
  vi.stubEnv('ID_LORA_PYTHON', program);
}

describe.skipIf(process.platform === 'win32')('other software', () => {
  it('that computes something else blocks the tick, in red', async () => {
    pretended(`
      const fs = require('node:fs');
      const { ids, out } = JSON.parse(fs.readFileSync(process.argv.at(-1), 'utf8'));
      const bytes = 4 * ids.length * 101;
      const header = Buffer.from(JSON.stringify({ logits: { dtype: 'F32', shape: [ids.length, 101], data_offsets: [0, bytes] } }));
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(header.length));
      fs.writeFileSync(out, Buffer.concat([length, header, Buffer.alloc(bytes)]));
      console.log(JSON.stringify({ torch: '0' }));`);
    const { certificate } = await exported('other');
    expect(certificate).toMatchObject({ equal: false, elsewhere: { isEqual: false, software: 'torch 0' } });
    expect(certificateVerdict(certificate)).toMatchObject({ isGood: false, short: 'DIFFERS' });
    expect(certificateLines(certificate).join(' ')).toContain('NOT THE SAME in other software (torch 0)');
    expect(certificate.kl).toBeLessThan(1e-6);
  });

  it.each([
    [
      `console.error("ModuleNotFoundError: No module named 'peft'"); process.exit(1);`,
      'runtime_missing',
      /needs a Python that has them.*'peft'/,
    ],
    [
      `console.error('KeyError: IDLORA'); process.exit(1);`,
      'adapter_invalid',
      /do not take the exported files: KeyError: IDLORA/,
    ],
    ['process.exit(3);', 'adapter_invalid', /do not take the exported files: it ended with 3/],
    ['', 'adapter_invalid', /its last line is "", and no answer/],
    [`console.log('{"torch": 2}');`, 'adapter_invalid', /its last line is "\{\\"torch.*no answer/],
  ])('that cannot be asked is named: %s', async (code, expected, message) => {
    pretended(code);
    await expect(exported('other')).rejects.toMatchObject({
      code: expected,
      message: expect.stringMatching(message) as string,
    });
  });

  it('that has not all it needs is asked before anything is written', async () => {
    pretended('// of its own\nconsole.log(JSON.stringify(process.argv.slice(-2)));');
    await expect(exported('absent')).rejects.toMatchObject({
      code: 'runtime_missing',
      message: expect.stringMatching(/has no peft, safetensors\./) as string,
    });
    expect(existsSync(join(home, 'absent'))).toBe(false);
  });
});

it('says of a run on a rounded base what was merged and compared', async () => {
  const adapter = { method: 'lora', rank: 2, alpha: 4 };
  const config = trainConfigSchema.parse({ adapter, maxSteps: 2, batch: 2, context: 64, loadIn4bit: true });
  await (
    await core.runs.start({ name: 'rounded', model: 'tiny', dataset: 'sums', config })
  ).ended;
  const linesOf = async (format: 'peft' | 'merged') => {
    const asked = { run: 'rounded', format, folder: join(home, `rounded-${format}`) };
    const { certificate } = await core.exports.create(asked, neverAborted);
    expect(certificate.equal).toBe(true);
    return certificateLines(certificate);
  };
  expect((await linesOf('merged')).at(-1)).toMatch(
    /^The adapter is merged into the base as it is stored, and was trained on the base rounded to 4 bits \(NF4\)/,
  );
  expect((await linesOf('peft')).at(-1)).toMatch(
    /^Compared on the base as it is stored; .* 4 bits \(NF4\)\.$/,
  );
  const { certificate } = await core.exports.create(
    { run: 'mine', format: 'peft', folder: join(home, 'whole') },
    neverAborted,
  );
  expect(certificateLines(certificate).join(' ')).not.toMatch(/rounded/);
});
