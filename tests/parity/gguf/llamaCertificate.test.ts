import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { ExportFormat, GgufType } from '../../../src-main/contract/results.ts';
import { certificateLines, certificateVerdict } from '../../../src-main/options/exits.ts';
import { partingOf } from '../../../src-main/services/exports/comparedAnswers.ts';
import { serverAnswers, upToEnd } from '../../../src-main/services/exports/llamaServer.ts';
import { llamaAnswers } from '../../../src-main/services/exports/otherSoftware.ts';
import { neverAborted, openTrainingCore } from '../../support/core.ts';
import { hasLlamaCpp } from '../../support/parity/llamaCpp.ts';
import { projectFolder } from '../../support/paths.ts';

const recorded = join(projectFolder, 'tests', 'parity', 'recorded');
/** A `llama-server` of one's own: it is then asked itself. */
const server = process.env['ID_LORA_LLAMA_SERVER'];

const { core, home } = await openTrainingCore();
beforeAll(() =>
  core.adapters.add(
    { folder: join(recorded, 'elsewhere', 'lora-uneven'), model: 'tiny', name: 'mine' },
    neverAborted,
  ),
);
afterEach(() => vi.unstubAllEnvs());
afterAll(() => core.close());

/** A program in the place of llama-server: a script with arguments before those that it is given. */
function standIn(name: string, script: string, ...args: string[]): void {
  const program = join(home, name);
  const imported = `process.argv.splice(2, 0, ...${JSON.stringify(args)}); await import(${JSON.stringify(script)});`;
  writeFileSync(`${program}.start.mjs`, imported);
  writeFileSync(program, `#!/bin/sh\nexec ${process.execPath} ${program}.start.mjs "$@"\n`);
  chmodSync(program, 0o755);
  vi.stubEnv('ID_LORA_LLAMA_SERVER', program);
}

async function certificateOf(format: ExportFormat, dtype?: GgufType) {
  const asked = { run: 'mine', format, checkElsewhere: true, ...(dtype && { dtype }) };
  return (await core.exports.create(asked, neverAborted)).certificate;
}

describe.skipIf(process.platform === 'win32')('llama.cpp, asked by the certificate', () => {
  /** Of a whole model in F32 only where llama.cpp is there: each of these takes seconds. */
  const forms = [
    ['gguf-lora', undefined],
    ['gguf', 'Q8_0'],
    ...(server || hasLlamaCpp ? ([['gguf', 'F32']] as const) : []),
  ] as const;
  it.each(forms)('answers from the files (%s %s) as the studio does', async (format, dtype) => {
    if (!server)
      standIn(
        'server',
        join(projectFolder, 'tests', 'support', 'parity', 'llamaServer.mjs'),
        join(recorded, 'llamaCpp-certificate.json'),
      );
    const certificate = await certificateOf(format, dtype);
    // The base that llama.cpp was given lay in the cache, and is gone.
    if (format === 'gguf-lora') expect(readdirSync(join(home, 'cache', 'checks'))).toEqual([]);
    expect(certificate.elsewhere).toMatchObject({ isEqual: true, answers: { prompts: 3 } });
    if (dtype !== 'Q8_0') expect(certificate.elsewhere!.answers!.equal).toBe(3);
    expect(certificateLines(certificate).join('\n')).toMatch(
      /^The same in other software \(llama\.cpp \S+\): [23] of 3 greedy answers/m,
    );
    expect(certificateVerdict(certificate).isGood).toBe(true);
  });

  it('that answers otherwise blocks the tick, in red', async () => {
    const script = join(home, 'other.mjs');
    writeFileSync(
      script,
      `import { createServer } from 'node:http';
       const replies = { '/health': {}, '/props': {}, '/completion': { tokens: [7, 7, 7] } };
       createServer((request, response) => response.end(JSON.stringify(replies[request.url])))
         .listen(Number(process.argv[process.argv.indexOf('--port') + 1]), '127.0.0.1');`,
    );
    standIn('other', script);
    const certificate = await certificateOf('gguf', 'F16');
    expect(certificate).toMatchObject({ equal: false, elsewhere: { isEqual: false } });
    expect(certificateVerdict(certificate)).toMatchObject({ isGood: false, short: 'DIFFERS' });
    expect(certificateLines(certificate).join('\n')).toMatch(
      /^NOT THE SAME in other software \(llama\.cpp of an unknown version\): 0 of 3/m,
    );
  });

  it('that ends its answers earlier blocks the tick, too', async () => {
    const place = join(recorded, 'llamaCpp-certificate.json');
    const whole = JSON.parse(readFileSync(place, 'utf8')) as { answers: Record<string, number[]> };
    const answers = Object.entries(whole.answers).map(([key, ids]) => [key, ids.slice(0, 3)]);
    const cut = join(home, 'cut.json');
    writeFileSync(cut, JSON.stringify({ ...whole, answers: Object.fromEntries(answers) as object }));
    standIn('cut', join(projectFolder, 'tests', 'support', 'parity', 'llamaServer.mjs'), cut);
    const certificate = await certificateOf('gguf', 'Q8_0');
    expect(certificate).toMatchObject({ equal: false, elsewhere: { isEqual: false, sameChoices: 9 } });
    expect(certificate.elsewhere!.answers).toMatchObject({ prompts: 3, equal: 0 });
  });

  it('that does not take the files is heard, and one that is not there is asked for', async () => {
    const script = join(home, 'failing.mjs');
    writeFileSync(script, "console.error('error: unknown model architecture'); process.exit(1);");
    standIn('failing', script);
    const question = { model: 'm', lora: null, prompts: [[1]], maxTokens: 1, endIds: [], context: 8 };
    const asked = () => llamaAnswers(question, neverAborted);
    await expect(asked()).rejects.toMatchObject({
      code: 'adapter_invalid',
      message: expect.stringMatching(/does not take the exported files: error: unknown model/) as string,
    });
    const listening = (answers: string) => `
      import { createServer } from 'node:http';
      createServer((request, response) => { ${answers} })
        .listen(Number(process.argv[process.argv.indexOf('--port') + 1]), '127.0.0.1');`;
    const ready = "if (request.url !== '/completion') return response.end('{}');";
    const cases = {
      crashed: [
        `${ready} console.error('GGML_ASSERT failed: n < 8'); process.exit(134);`,
        /GGML_ASSERT failed: n < 8/,
      ],
      refusing: [
        `${ready} console.error('error: no slot'); response.writeHead(500).end('{"error":"no"}');`,
        /\/completion answers with 500 \{"error":"no"\}; error: no slot/,
      ],
      empty: [`${ready} response.end('{}');`, /\/completion answers without tokens/],
      blank: [`${ready} response.end('');`, /answers with what is no JSON: ""/],
    } as const;
    for (const [name, [answers, message]] of Object.entries(cases)) {
      writeFileSync(script, listening(answers));
      standIn(name, script);
      await expect(asked(), name).rejects.toMatchObject({
        code: 'adapter_invalid',
        message: expect.stringMatching(message) as string,
      });
    }
    writeFileSync(script, listening('response.writeHead(503).end();'));
    standIn('loading', script);
    await expect(
      serverAnswers(process.env['ID_LORA_LLAMA_SERVER']!, question, neverAborted, 500),
    ).rejects.toMatchObject({
      code: 'adapter_invalid',
      message: expect.stringMatching(/it had not loaded them after 0\.5 s/) as string,
    });
    // A check that fails leaves a whole export.
    writeFileSync(script, "console.error('error: no'); process.exit(1);");
    standIn('failing', script);
    const folder = join(home, 'failed');
    const create = () =>
      core.exports.create({ run: 'mine', format: 'gguf-lora', folder, checkElsewhere: true }, neverAborted);
    await expect(create()).rejects.toMatchObject({ code: 'adapter_invalid' });
    expect(readdirSync(folder).sort()).toEqual(
      expect.arrayContaining(['Modelfile', 'README.md', 'adapter.gguf']),
    );
    vi.stubEnv('ID_LORA_LLAMA_SERVER', join(home, 'absent'));
    // One that is missing is missed before anything is written.
    rmSync(folder, { recursive: true });
    await expect(create()).rejects.toMatchObject({ code: 'runtime_missing' });
    expect(existsSync(folder)).toBe(false);
    await expect(asked()).rejects.toMatchObject({
      code: 'runtime_missing',
      message: expect.stringMatching(/needs llama-server .*there is no program/) as string,
      remedy: expect.stringMatching(/Install llama\.cpp/) as string,
    });
  });
});

it('answers are compared with the tokens that end them', () => {
  expect(upToEnd([5, 6, 2, 7, 2], [3, 2])).toEqual([5, 6, 2]);
  expect(upToEnd([5, 6], [2])).toEqual([5, 6]);
  expect(partingOf([5, 6, 2], [5, 6, 2])).toBeNull();
  expect(partingOf([5, 6, 7], [5, 6])).toBe(2);
  expect(partingOf([5, 6], [5, 6, 2])).toBe(2);
  expect(partingOf([5, 6, 2], [5, 6, 3])).toBe(2);
  expect(partingOf([5], [])).toBe(0);
});
