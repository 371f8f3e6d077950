import { EncodingError } from '../../contract/datasets/textEncoding.ts';
import { StudioError } from '../../contract/errors.ts';
import type { Split } from '../../contract/rows.ts';
import { jsonLayout, jsonRows } from './jsonRows.ts';
import { parquetRows } from './parquetRows.ts';
import type { ByteSource, ReaderOptions, SourceRow } from './source.ts';
import type { InputFile } from './sourceFiles.ts';
import { tableLayout, tableRows } from './tableRows.ts';
import { textRows } from './textRows.ts';

/** Rows of a file, or of one of the lists in it. */
export interface RowStream {
  name: string;
  source: ByteSource;
  stated: { split: Split; reason: string } | null;
  /** Whether each row is a line of the file in UTF-8: it can then be used where it lies. */
  isLines: boolean;
  read(): AsyncIterable<SourceRow>;
}

/**
 * What rows a file holds: one stream, or one for each part where a file holds several.
 * @throws StudioError dataset_invalid with what is wrong with the encoding
 */
export async function rowStreams(file: InputFile, options: ReaderOptions): Promise<RowStream[]> {
  const { source, kind, stated } = file;
  const stream = (read: () => AsyncIterable<SourceRow>, isLines = false): RowStream => ({
    name: source.name,
    source,
    stated,
    isLines,
    read: () => withEncoding(source, read),
  });
  try {
    switch (kind) {
      case 'json': {
        const layout = await jsonLayout(source, options);
        if (layout.kind !== 'fields')
          return [stream(() => jsonRows(source, layout, null, options), layout.kind === 'lines')];
        return layout.fields.map(({ name, split }) => ({
          ...stream(() => jsonRows(source, layout, name, options)),
          name: layout.fields.length > 1 ? `${source.name} (${name})` : source.name,
          stated: split ? { split, reason: `they stand in the field "${name}"` } : stated,
        }));
      }
      case 'table': {
        const layout = await tableLayout(source, options);
        return [stream(() => tableRows(source, layout, options))];
      }
      case 'parquet':
        return [stream(() => parquetRows(source, file.onBytes))];
      case 'text':
      case 'markdown':
        return [stream(() => textRows(source, kind === 'markdown', options))];
    }
  } catch (error) {
    throw error instanceof EncodingError ? wrongEncoding(source.name, error) : error;
  }
}

async function* withEncoding(
  source: ByteSource,
  read: () => AsyncIterable<SourceRow>,
): AsyncGenerator<SourceRow> {
  try {
    yield* read();
  } catch (error) {
    throw error instanceof EncodingError ? wrongEncoding(source.name, error) : error;
  }
}

/** The error for a file that is no text of its encoding. */
export function wrongEncoding(name: string, { message, probable }: EncodingError): StudioError {
  return new StudioError(
    'dataset_invalid',
    `${name} ${message}.`,
    `Save it as UTF-8, or import it with its encoding named (on the page under Text): datasets add "${name}" --encoding ${probable ?? 'NAME'}.`,
  );
}
