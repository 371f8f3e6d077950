import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { builtInTemplates } from '../../src-main/data/rendering/builtInTemplates.ts';
import { compileTemplate } from '../../src-main/data/rendering/jinjaTemplate.ts';
import {
  expanded,
  goTemplate,
  ollamaTemplateOf,
  probeConversations,
} from '../../src-main/services/exports/ollamaTemplate.ts';
import { projectFolder } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

type Turns = (typeof probeConversations)[number];

const folder = join(projectFolder, 'tests', 'parity', 'templates');
const sources = new Map([
  ...Object.entries(builtInTemplates),
  ...readdirSync(folder)
    .filter((name) => name.endsWith('.jinja'))
    .map((name) => [name, readFileSync(join(folder, name), 'utf8')] as const),
]);

/** A conversation up to where the assistant goes on; null where the template does not take it. */
function rendered(source: string, messages: Turns): string | null {
  const values = { bos_token: '<s>', eos_token: '</s>', tools: null, documents: null };
  try {
    return compileTemplate(source).render({ ...values, messages, add_generation_prompt: true }).text;
  } catch {
    return null;
  }
}

function found(name: string) {
  const texts = probeConversations.map((turns) => rendered(sources.get(name)!, turns));
  return texts.every((text) => text !== null) ? ollamaTemplateOf(texts, '<s>') : null;
}

const turns = (...said: string[]): Turns =>
  said.map((content, i) => ({ role: i % 2 === 0 ? ('user' as const) : ('assistant' as const), content }));
/** Conversations that are none of those by which a template is found. */
const others: readonly Turns[] = [
  turns('Why?', 'So.', 'And "then"?'),
  [{ role: 'system', content: 'Be {{ brief }}.' }, ...turns('Why?\nNow', 'So\tit is', 'Then?')],
];

const named = [...sources.keys()].map((name) => [name, found(name)] as const);
const known = named.filter(([, template]) => template !== null);

describe('templates in Ollama’s language', () => {
  it('are found for most, and are not made up for the others', () => {
    const missing = named.filter(([, template]) => template === null).map(([name]) => name);
    // These take no system turn. The studio's renderer puts it before the question, and is not asked here.
    expect(missing.sort()).toMatchInlineSnapshot(`
      [
        "gemma-like.jinja",
        "mistral-like.jinja",
        "mistral3-like.jinja",
      ]
    `);
  });

  it.each(known)('give the same text as Jinja: %s', (name, template) => {
    for (const conversation of others) {
      const text = rendered(sources.get(name)!, conversation)!.replace(/^<s>/, '');
      expect(expanded(template!, conversation)).toBe(text);
    }
  });

  it('take white space, quotes and backslashes as they are', () => {
    const text = goTemplate({
      head: '',
      beforeSystem: '',
      afterSystem: '',
      beforeUser: 'a"""b\\\n\t',
      afterUser: '',
      beforeAssistant: '',
      afterAssistant: '',
    });
    expect(text).toContain(String.raw`{{ "a\x22\x22\x22b\\\n\x09" }}`);
  });

  // Only in `npm run parity`: Go builds the program anew, which takes half a minute.
  const isLive = process.env['ID_LORA_PARITY_FOLDER'] !== undefined;
  const hasGo = isLive && spawnSync('go', ['version']).status === 0;
  it.runIf(hasGo)('mean to Go what they mean here', { timeout: 120_000 }, () => {
    const work = temporaryFolder();
    const cases = known.flatMap(([, template]) =>
      others.map((conversation) => ({
        template: goTemplate(template!),
        messages: conversation.map(({ role, content }) => ({ Role: role, Content: content })),
        text: expanded(template!, conversation),
      })),
    );
    writeFileSync(join(work, 'cases.json'), JSON.stringify(cases));
    writeFileSync(join(work, 'main.go'), goProgram);
    const { status, stdout, stderr } = spawnSync('go', ['run', 'main.go'], {
      cwd: work,
      encoding: 'utf8',
      env: { ...process.env, GO111MODULE: 'off', GOFLAGS: '' },
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(JSON.parse(stdout)).toEqual(cases.map(({ text }) => text));
  });
});

/** Runs templates as Ollama does, with Go's own text/template. */
const goProgram = `package main

import (
	"encoding/json"
	"os"
	"strings"
	"text/template"
)

type Message struct{ Role, Content string }

func main() {
	var cases []struct {
		Template string
		Messages []Message
	}
	bytes, _ := os.ReadFile("cases.json")
	if err := json.Unmarshal(bytes, &cases); err != nil {
		panic(err)
	}
	texts := []string{}
	for _, one := range cases {
		var out strings.Builder
		parsed := template.Must(template.New("").Parse(one.Template))
		if err := parsed.Execute(&out, map[string]any{"Messages": one.Messages}); err != nil {
			panic(err)
		}
		texts = append(texts, out.String())
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.Encode(texts)
}
`;
