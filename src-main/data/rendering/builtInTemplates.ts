import type { TemplateName } from '../../contract/templates.ts';

/**
 * The studio's own templates, in Jinja as a model's: an export can hand them on as a chat template, and a user can
 * start from one. They mark what the assistant says, its end included. `eos_token` is what training appends and
 * generation stops at; user turns may have an `input` (contract/rows.ts).
 */
export const builtInTemplates: Readonly<
  Record<Exclude<TemplateName, 'auto' | 'model' | 'custom' | 'none'>, string>
> = {
  /**
   * Stanford's, without a newline behind "### Response:". A system text takes the place of the sentence that says what
   * the instruction is.
   */
  alpaca: String.raw`{%- set head = 'Below is an instruction that describes a task' -%}
{%- set tail = '. Write a response that appropriately completes the request.\n\n' -%}
{%- set ns = namespace(begun=false) -%}
{%- for message in messages -%}
  {%- if message.role == 'system' -%}
    {{- message.content + '\n\n' -}}
    {%- set ns.begun = true -%}
  {%- elif message.role == 'assistant' -%}
    {%- generation -%}{{- message.content + eos_token -}}{%- endgeneration -%}
    {%- if not loop.last -%}{{- '\n\n' -}}{%- endif -%}
  {%- elif message.role == 'tool' -%}
    {{- '### Input:\n' + message.content + '\n\n### Response:' -}}
  {%- else -%}
    {%- if not ns.begun -%}
      {{- head + (', paired with an input that provides further context' if message.input else '') + tail -}}
      {%- set ns.begun = true -%}
    {%- endif -%}
    {{- '### Instruction:\n' + message.content + '\n\n' -}}
    {%- if message.input -%}{{- '### Input:\n' + message.input + '\n\n' -}}{%- endif -%}
    {{- '### Response:' -}}
  {%- endif -%}
{%- endfor -%}`,
  /** As lm-evaluation-harness asks GSM8K and CommonsenseQA. */
  question_answer: String.raw`{%- for message in messages -%}
  {%- if message.role == 'system' -%}
    {{- message.content + '\n\n' -}}
  {%- elif message.role == 'assistant' -%}
    {%- generation -%}{{- ' ' + message.content + eos_token -}}{%- endgeneration -%}
    {%- if not loop.last -%}{{- '\n\n' -}}{%- endif -%}
  {%- else -%}
    {{- 'Question: ' + message.content -}}
    {%- if message.input -%}{{- '\n\n' + message.input -}}{%- endif -%}
    {{- '\nAnswer:' -}}
  {%- endif -%}
{%- endfor -%}`,
  chatml: String.raw`{%- for message in messages -%}
  {{- '<|im_start|>' + message.role + '\n' -}}
  {%- if message.role == 'assistant' -%}
    {%- generation -%}{{- message.content + '<|im_end|>\n' -}}{%- endgeneration -%}
  {%- else -%}
    {{- message.content -}}
    {%- if message.input -%}{{- '\n\n' + message.input -}}{%- endif -%}
    {{- '<|im_end|>\n' -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}`,
  plain: String.raw`{%- for message in messages -%}
  {{- message.role + ':' -}}
  {%- if message.role == 'assistant' -%}
    {%- generation -%}{{- ' ' + message.content + eos_token -}}{%- endgeneration -%}
    {%- if not loop.last -%}{{- '\n' -}}{%- endif -%}
  {%- else -%}
    {{- ' ' + message.content -}}
    {%- if message.input -%}{{- '\n\n' + message.input -}}{%- endif -%}
    {{- '\n' -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- 'assistant:' -}}{%- endif -%}`,
};
