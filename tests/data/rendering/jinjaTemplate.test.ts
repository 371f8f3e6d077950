import { expect, it } from 'vitest';
import { compileTemplate, TemplateError } from '../../../src-main/data/rendering/jinjaTemplate.ts';

const render = (source: string, variables: Record<string, unknown> = {}) =>
  compileTemplate(source).render(variables).text;

it('reads the escapes of strings as Python does', () => {
  // As Jinja renders it (jinja2 3.1.6).
  expect(render(`{{ "a\\\nb\\d\\x41\\101\\U0001F600\\a'" }}{{ 'it\\'s' }}`)).toBe("ab\\dAA😀\x07'it's");
  expect(render('\\d {# "\\ #}{{ "}}" }} \\')).toBe('\\d }} \\');
});

it('strips what Python strips', () => {
  const text = '\n\ufeff a \x1f\n';
  expect(render('{{ t.strip() }}', { t: text })).toBe('\ufeff a');
  expect(render('{{ t | trim }}', { t: text })).toBe('\ufeff a');
  expect(render("{{ t.lstrip('\\n') + t.rstrip('\\n') }}", { t: '\n a \n' })).toBe(' a \n\n a ');
  expect(render("{{ t.strip('😀x') }}", { t: 'x😀a😀' })).toBe('a');
});

it('prints True, False and None as Python does', () => {
  const source =
    '{% set x = 1 %}{{ t }},{{ f }},{{ n }},{{ u }},{{ t | string }},{{ n | string }},{{ [t] | tojson }}';
  expect(render(source, { t: true, f: false, n: null })).toBe('True,False,None,,True,None,[true]');
});

it('is told of one day, whatever the day is', () => {
  expect(render('{{ strftime_now("%d %b %Y") }}|{{ strftime_now("%B %-d, %A %H:%M %q") }}')).toBe(
    '26 Jul 2024|July 26, Friday 00:00 %q',
  );
});

it('marks what the assistant says, white space around the marks trimmed as around other blocks', () => {
  const { text, marked } = compileTemplate('a\n  {%- generation -%}\n b {%- endgeneration %}\nc').render({});
  expect([text, marked]).toEqual(['abc', [{ from: 1, to: 2 }]]);
});

it('says at which line a template fails while it renders', () => {
  const template = compileTemplate('{{ a }}\n{% if b %}\n\n{{ raise_exception("no b") }}{% endif %}');
  expect(template.render({ a: 1, b: false }).text).toBe('1\n');
  const failed = () => template.render({ a: 1, b: true });
  expect(failed).toThrow(TemplateError);
  expect(failed).toThrow(expect.objectContaining({ line: 4, message: 'no b' }) as Error);
});
