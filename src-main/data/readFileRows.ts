import type { DatasetFormat } from '../contract/entities.ts';
import { StudioError } from '../contract/errors.ts';
import type { Row } from '../contract/rows.ts';
import { unusableText } from '../contract/datasets/unusable.ts';
import { planImport } from './importPlan.ts';
import { wrongEncoding } from './readers/fileRows.ts';
import { foreignEncoding } from './readers/textPieces.ts';
import { mapRow } from './mapping/mapRow.ts';

/**
 * Rows of a file that is not imported, for scoring. None is left out: a score on the others would be another one.
 * @param format that it must have; absent: any
 * @throws StudioError not_found, dataset_empty; dataset_invalid with the row
 */
export async function* readFileRows(
  path: string,
  format?: DatasetFormat,
): AsyncGenerator<{ row: Row; format: DatasetFormat }> {
  const { streams, detected } = await planImport({ paths: [path], format: format ?? 'auto' });
  for (const stream of streams)
    for await (const { number, value, broken } of stream.read()) {
      const { row, unusable } = broken ? { row: null, unusable: broken } : mapRow(value, detected.mappings);
      const encoding = unusable?.reason === 'encoding' ? foreignEncoding(stream.source) : null;
      if (encoding) throw wrongEncoding(stream.name, encoding);
      if (!row)
        throw new StudioError(
          'dataset_invalid',
          `${stream.name}, row ${number} ${unusableText(unusable)}.`,
          'Correct the row, or take it out of the file; or import the file as a dataset, which sets it aside.',
        );
      yield { row, format: detected.format };
    }
}
