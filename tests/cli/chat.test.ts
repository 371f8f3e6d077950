import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { chatOptions } from '../../src-main/cli/chat/chatOptions.ts';
import { help } from '../../src-main/cli/help.ts';
import { studio } from '../support/commandLine.ts';
import { projectFolder, tinyLlama } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

it('names every option of chat in the help', () => {
  const part = help.slice(help.indexOf('\n  chat '), help.indexOf('\n  generate '));
  const flags = [...part.matchAll(/--([a-z-]+)/g)].map(([, flag]) => flag);
  expect(new Set(flags)).toEqual(new Set(Object.keys(chatOptions)));
  for (const line of part.split('\n')) expect(line.length).toBeLessThanOrEqual(120);
});

it('answers prompts turn after turn, in one document or in words, and keeps the last one', async () => {
  const home = ['--home', join(temporaryFolder(), 'home')];
  const ask = (...rest: string[]) => studio(['chat', tinyLlama, ...rest, ...home]);
  const turns = await ask(
    ...['--prompt', 'Hi', '--prompt', 'So?', '--max-tokens', '3', '--system', 'Be brief.', '--json'],
    ...['--keep', 'mine', '--expect', 'no'],
  );
  expect([turns.code, turns.stderr]).toEqual([0, expect.anything()]);
  const said = JSON.parse(turns.stdout) as {
    columns: object[];
    turns: { prompt: string; answers: { text: string; sent: string; tokens: number; end: string }[] }[];
    kept: object;
  };
  expect(said).toMatchObject({
    columns: [{ name: 'base', method: null }],
    turns: [{ prompt: 'Hi' }, { prompt: 'So?' }],
    kept: { dataset: 'mine', rows: 1 },
  });
  const [first, second] = said.turns.map(({ answers }) => answers[0]!);
  expect([first!.tokens, first!.end]).toEqual([3, 'length']);
  expect(second!.sent).toContain('Be brief.');
  expect(second!.sent).toContain(first!.text);
  const words = await ask('--prompt', 'Hi', '--max-tokens', '3', '--system', 'Be brief.');
  expect([words.code, words.stdout]).toEqual([0, `${first!.text}\n`]);
  const wrong = await ask('--prompt', 'Hi', '--temperature', '11');
  expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('--temperature 11')]);
  // What was not kept cannot go on.
  const gone = await studio(['chat', '--continue', '--prompt', 'Hi', ...home]);
  expect([gone.code, gone.stderr]).toEqual([1, expect.stringContaining('The project keeps no chat')]);
  const lost = await studio(['chat', 'nobody', '--prompt', 'Hi', ...home]);
  expect([lost.code, lost.stderr]).toEqual([1, expect.stringContaining('nobody')]);
});

/** Types lines to a chat. */
async function typed(lines: readonly string[], ...columns: string[]) {
  const home = join(temporaryFolder(), 'home');
  const args = [join(projectFolder, 'src-main', 'cli.ts'), 'chat', ...columns, '--home', home];
  const child = spawn(process.execPath, [...args, '--max-tokens', '3'], { stdio: 'pipe' });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (part: string) => (stdout += part));
  child.stderr.setEncoding('utf8').on('data', (part: string) => (stderr += part));
  child.stdin.end(lines.map((line) => `${line}\n`).join(''));
  const code = await new Promise((resolve) => child.on('close', resolve));
  return { code, stdout, stderr };
}

it('hides names until they are asked for, and counts votes', async () => {
  const lines = ['/vote A', 'Hi', '/vote C', '/vote b', '/reveal'];
  const { code, stdout, stderr } = await typed(lines, tinyLlama, tinyLlama, '--blind');
  expect([code, stdout]).toEqual([0, expect.stringMatching(/A: .*\nB: /)]);
  expect(stderr).toContain('Answers are judged while names are hidden, and when all columns have answered.');
  expect(stderr).toContain('/vote takes the letter of the best column');
  expect(stderr).toContain('1 vote. /reveal shows whose they are.');
  // Two columns of one name are told apart, so that votes count for one of them.
  expect(stderr).toMatch(/A was base, B was base \(2\)\.|A was base \(2\), B was base\./);
  expect(stderr).toMatch(/base was better (0 times, base \(2\) 1|1 times, base \(2\) 0) times/);
});

it('reads prompts line by line, takes turns back and ends', async () => {
  const typing = ['Hi', '/undo', 'Hi', '/keep yes', '/quit', 'unread'];
  const { code, stdout, stderr } = await typed(typing, tinyLlama);
  expect([code, stderr]).toEqual([0, expect.stringContaining('"kept prompts" has 1 prompts.')]);
  const lines = stdout.split('\n').filter((line) => line !== '');
  // The turn that was taken back left nothing behind: the same prompt has the same answer.
  expect(lines).toHaveLength(2);
  expect(lines[0]).toBe(lines[1]);
});
