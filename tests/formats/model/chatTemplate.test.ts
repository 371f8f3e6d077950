import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { readChatTemplate } from '../../../src-main/formats/model/chatTemplate.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

let folder: string;
const write = (name: string, content: unknown) =>
  writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
beforeEach(() => (folder = temporaryFolder()));

it('has none without a file, with a broken one and with an empty one', () => {
  expect(readChatTemplate(folder)).toBeNull();
  write('tokenizer_config.json', '{');
  expect(readChatTemplate(folder)).toBeNull();
  write('tokenizer_config.json', { chat_template: ' ' });
  expect(readChatTemplate(folder)).toBeNull();
  write('tokenizer_config.json', { chat_template: [{ name: 1 }, null, 'x'] });
  expect(readChatTemplate(folder)).toBeNull();
});

it('prefers chat_template.jinja, then chat_template.json, then the tokenizer', () => {
  write('tokenizer_config.json', { chat_template: 'three' });
  expect(readChatTemplate(folder)).toMatchObject({ source: 'tokenizer_config.json', text: 'three' });
  write('chat_template.json', { chat_template: 'two' });
  expect(readChatTemplate(folder)).toMatchObject({ source: 'chat_template.json', text: 'two' });
  write('chat_template.jinja', 'one');
  expect(readChatTemplate(folder)).toMatchObject({ source: 'chat_template.jinja', text: 'one' });
});

it('takes the default of several and names the others', () => {
  const named = (name: string) => ({ name, template: `template ${name}` });
  write('tokenizer_config.json', { chat_template: [named('tool_use'), named('default'), named('rag')] });
  expect(readChatTemplate(folder)).toEqual({
    source: 'tokenizer_config.json',
    text: 'template default',
    isCut: false,
    others: ['tool_use', 'rag'],
  });
});

it('cuts a long template and says so', () => {
  write('chat_template.jinja', 'x'.repeat(30_000));
  const template = readChatTemplate(folder)!;
  expect(template.text).toHaveLength(20_000);
  expect(template.isCut).toBe(true);
});
