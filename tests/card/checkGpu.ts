import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { studioVersion, usableMemory } from '../../src-main/services/machine/machine.ts';
import { versions } from '../../src-main/setup/paths.mjs';
import { findGpu } from '../../src-main/setup/tensorflow/gpu.mjs';
import { projectFolder } from '../support/paths.ts';
import { findCard, processor, Refused, type CheckedDevice } from './device.ts';
import { checkDecoding, checkOutOfMemory, checkPivots } from './otherParts.ts';
import { checkParity, writeParityData } from './parity.ts';
import { deadlineIn, type CaseResult, type Deadline } from './partRunner.ts';
import { performanceTable } from './table.ts';
import { checkTraining } from './training.ts';
import { timedShapes } from './trainingCases.ts';

/*
 * `npm run check:gpu`: what a card computes against the processor, how fast, and in how much memory (docs/gpu.md).
 * Progress goes to stderr, the table to stdout, everything measured to one JSON file, written anew after each part.
 *
 * Exit codes: 0 nothing failed, 1 a part failed or time sufficed for nothing, 2 no card, or wrong usage.
 */
export interface CheckReport {
  studio: string;
  tensorflow: string;
  date: string;
  device: {
    kind: CheckedDevice['kind'];
    name: string;
    driver: string | null;
    capability: string | null;
    memoryBytes: number;
    /** Of bf16 products, in FLOP/s; null: not known for this card. */
    peak: number | null;
  };
  /** What launches on the card come from. */
  host: { processor: string; cores: number; memoryBytes: number };
  minutes: number;
  seconds: number;
  parts: { name: string; seconds: number; cases: CaseResult[] }[];
  /** What was not made, with the reason. */
  left: { name: string; state: CaseResult['state']; reason: string }[];
  passed: number;
  failed: number;
}

class UsageError extends Error {}

const partNames = ['parity', 'out of memory', 'decoding', 'PMRC', 'training'] as const;
type PartName = (typeof partNames)[number];

/**
 * Seconds of eight minutes that a part may take at most. The last takes what the others leave: it has the most cases,
 * in the order in which they are wanted. Without it the others share all there is.
 */
const partSeconds: Readonly<Record<PartName, number>> = {
  parity: 130,
  'out of memory': 40,
  decoding: 90,
  PMRC: 45,
  training: Infinity,
};
const usualMinutes = 8;

/** By how much longer parts may take than in eight minutes. */
function stretchOf(parts: readonly PartName[], minutes: number): number {
  const limits = parts.reduce((sum, name) => sum + partSeconds[name], 0);
  return Number.isFinite(limits) ? (60 * minutes) / limits : minutes / usualMinutes;
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string' },
      out: { type: 'string' },
      card: { type: 'string' },
      device: { type: 'string', default: 'gpu' },
      shapes: { type: 'string' },
      parts: { type: 'string' },
    },
  });
  const { device } = values;
  if (device !== 'gpu' && device !== 'cpu')
    throw new UsageError(`--device ${device} is neither gpu nor cpu.`);
  const minutes = Number(values.minutes ?? usualMinutes);
  if (!(minutes > 0 && minutes <= 600))
    throw new UsageError(`--minutes ${values.minutes} is no number from 0 to 600.`);
  const shapes = values.shapes?.split(',') ?? (device === 'cpu' ? ['tiny'] : ['1B', '8B']);
  const unknown = shapes.find((name) => !Object.hasOwn(timedShapes, name));
  if (unknown !== undefined)
    throw new UsageError(
      `--shapes ${unknown} is not known: there are ${Object.keys(timedShapes).join(', ')}.`,
    );
  const asked = values.parts?.split(',') ?? partNames;
  const wrong = asked.find((name) => !partNames.some((known) => known === name));
  if (wrong !== undefined)
    throw new UsageError(`--parts ${wrong} is not known: there are ${partNames.join(', ')}.`);
  const parts = partNames.filter((name) => asked.includes(name));
  return { device, minutes, shapes, parts, card: values.card ?? null, out: values.out ?? null } as const;
}

const begunAt = performance.now();
const elapsed = () => (performance.now() - begunAt) / 1000;

function say(text: string): void {
  process.stderr.write(`[${elapsed().toFixed(0).padStart(4)} s] ${text}\n`);
}

function sayResult({ name, state, reason, seconds }: CaseResult): void {
  say(`${state.padEnd(8)} ${name}${seconds > 0 ? `, ${seconds} s` : ''}${reason ? `: ${reason}` : ''}`);
}

async function main(): Promise<number> {
  const options = readOptions();
  const { minutes, shapes } = options;
  say(`looking for ${options.device === 'gpu' ? 'a card' : 'the processor'}`);
  const device = options.device === 'gpu' ? await findCard(options.card) : processor();
  const date = new Date().toISOString();
  const report: CheckReport = {
    studio: studioVersion,
    tensorflow: versions.tensorflow,
    date,
    device: {
      kind: device.kind,
      name: device.name,
      driver: device.card ? driverIn((await findGpu()).reason) : null,
      capability: device.card?.capability ?? null,
      memoryBytes: device.memoryBytes,
      peak: device.peak,
    },
    host: {
      processor: cpus()[0]?.model.trim() ?? 'unknown processor',
      cores: cpus().length,
      memoryBytes: usableMemory(),
    },
    minutes,
    seconds: 0,
    parts: [],
    left: [],
    passed: 0,
    failed: 0,
  };
  const plain = device.name.replace(/[^\w]+/g, '-').replace(/^-|-$/g, '');
  const out = resolve(
    options.out ??
      join(projectFolder, 'out', 'check-gpu', `${plain}-${date.slice(0, 16).replace(':', '')}.json`),
  );
  mkdirSync(dirname(out), { recursive: true });
  const write = () => {
    report.seconds = Math.round(elapsed());
    writeFileSync(out, `${JSON.stringify(report, null, 1)}\n`);
  };
  write();
  say(
    `${device.name}, ${(device.memoryBytes / 1e9).toFixed(1)} GB; at most ${minutes} minutes, the results go to ${out}`,
  );
  if (device.kind === 'gpu' && device.peak === null)
    say('the peak of this card is not known here: TFLOP/s are told instead of a share');

  const folder = mkdtempSync(join(tmpdir(), 'id-lora-check-gpu-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  for (const [signal, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
    ['SIGHUP', 1],
  ] as const)
    process.on(signal, () => process.exit(128 + number));
  const data = writeParityData(folder);
  const parts: Record<PartName, (deadline: Deadline) => Promise<CaseResult[]>> = {
    parity: (deadline) => checkParity(device, data, folder, deadline, sayResult),
    'out of memory': (deadline) => checkOutOfMemory(device, deadline),
    decoding: (deadline) => checkDecoding(device, shapes, data, folder, deadline),
    PMRC: (deadline) => checkPivots(device, shapes, deadline),
    training: (deadline) => checkTraining(device, shapes, deadline, sayResult),
  };
  const whole = deadlineIn(60 * minutes - elapsed());
  const stretch = stretchOf(options.parts, minutes);
  for (const name of options.parts) {
    const partAt = elapsed();
    const seconds = partSeconds[name] * stretch;
    say(`${name}${Number.isFinite(seconds) ? `, at most ${Math.round(seconds)} s` : ''}`);
    const cases = await parts[name](deadlineIn(seconds, whole));
    if (name !== 'parity' && name !== 'training') cases.forEach(sayResult);
    report.parts.push({ name, seconds: Math.round(elapsed() - partAt), cases });
    report.passed += cases.filter(({ state }) => state === 'passed').length;
    report.failed += cases.filter(({ state }) => state === 'failed').length;
    for (const { name: left, state, reason } of cases)
      if (state === 'skipped' || state === 'left out')
        report.left.push({ name: left, state, reason: reason! });
    write();
  }
  const table = performanceTable(report);
  const tableFile = out.replace(/(\.json)?$/, '.md');
  writeFileSync(tableFile, `${table}\n`);
  console.log(`${table}\n`);
  console.log(`${out}\n${tableFile}`);
  console.log(`${report.passed} passed, ${report.failed} failed, ${report.left.length} not made`);
  // Without one measurement nothing was found to be right.
  return report.failed === 0 && report.passed > 0 ? 0 : 1;
}

const driverIn = (reason: string) => /driver ([\d.]+)/.exec(reason)?.[1] ?? null;

try {
  // Engines that still end would keep the process.
  process.exit(await main());
} catch (error) {
  const { code } = error as { code?: unknown };
  const isUsage =
    error instanceof UsageError || (typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS'));
  if (!(error instanceof Refused) && !isUsage) throw error;
  say((error as Error).message);
  if (error instanceof Refused) say(error.remedy);
  process.exit(2);
}
