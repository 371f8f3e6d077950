import { join } from 'node:path';
import { writeFileAtomic } from '../files/atomicFile.ts';
import { configOfGguf } from './ggufConfig.ts';
import { GgufFile } from './ggufFile.ts';
import { readGgufTokenizer } from './tokenizer/readTokenizer.ts';

/**
 * Writes what a Hugging Face folder has beside its weights, from what a GGUF file says of its model: configuration,
 * tokenizer, chat template, end tokens and licence.
 * @param folder exists
 * @throws StudioError model_invalid, model_unsupported: what the studio cannot read, by name
 */
export function layOutModel(path: string, folder: string): void {
  const file = new GgufFile(path, 'model_invalid');
  try {
    const config = configOfGguf(file);
    const {
      tokenizer,
      config: tokenizerConfig,
      endIds,
    } = readGgufTokenizer(file, config['vocab_size'] as number);
    const bos = file.metadata.get('tokenizer.ggml.bos_token_id');
    const ids = {
      ...(typeof bos === 'number' && { bos_token_id: bos }),
      ...(endIds.length > 0 && { eos_token_id: endIds.length === 1 ? endIds[0] : endIds }),
    };
    const write = (name: string, value: unknown) =>
      writeFileAtomic(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
    write('config.json', { ...config, ...ids });
    write('generation_config.json', ids);
    write('tokenizer.json', tokenizer);
    write('tokenizer_config.json', tokenizerConfig);
    const licence = file.metadata.get('general.license');
    const isNamed = typeof licence === 'string' && /^[\w.-]{1,100}$/.test(licence);
    writeFileAtomic(
      join(folder, 'README.md'),
      `${isNamed ? `---\nlicense: ${licence}\n---\n\n` : ''}Read from a GGUF file: its weights are dequantized whenever they are used.\n`,
    );
  } finally {
    file.close();
  }
}
