import { createHash } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import type { DatasetFormat } from '../contract/entities.ts';
import { StudioError } from '../contract/errors.ts';
import type { Row, Split } from '../contract/rows.ts';
import { unusableText, type Unusable } from '../contract/datasets/unusable.ts';
import { planImport } from './importPlan.ts';
import type { SourceValue } from './mapping/fields.ts';
import { mapRow } from './mapping/mapRow.ts';
import { wrongEncoding } from './readers/fileRows.ts';
import type { ByteSource } from './readers/source.ts';
import { foreignEncoding } from './readers/textPieces.ts';

/** A row of a file that is not imported, with the fields that the file has. */
export interface FileRecord {
  /** 0-based, among the rows that are read. */
  index: number;
  /** File and row, for messages. */
  place: string;
  /** The file, by its path below what was chosen. */
  file: string;
  value: SourceValue;
  /** What it says; null where no known form of data has its fields. */
  row: Row | null;
}

/** Files that are scored without being imported. */
export interface FileRecords {
  format: DatasetFormat;
  /** Parts of the data that the files say they are. */
  splits: ReadonlySet<Split>;
  /** The files' bytes, of one part or of all. */
  sources(split?: Split): ByteSource[];
  /**
   * Rows of one part, or of all. None is left out: a score on the others would be another one.
   * @throws StudioError dataset_invalid with the row
   */
  records(split?: Split): AsyncGenerator<FileRecord>;
  /** The same as rows. @throws StudioError dataset_invalid also where one cannot be read as such */
  rows(split?: Split): AsyncGenerator<Row>;
}

/** Rows of a file, or of a folder of files. @throws StudioError not_found, dataset_empty */
export async function openFileRecords(path: string): Promise<FileRecords> {
  // Fields of which nothing is known are no failure yet: a benchmark may know them.
  const { streams, detected } = await planImport({ paths: [path], format: 'auto', isLook: true });
  const of = (split: Split | undefined) =>
    streams.filter((stream) => split === undefined || stream.split === split);
  const { mappings } = detected;

  async function* read(split?: Split): AsyncGenerator<FileRecord & { unusable: Unusable | null }> {
    let index = 0;
    for (const stream of of(split))
      for await (const { number, value, broken } of stream.read()) {
        const place = `${stream.name}, row ${number}`;
        const mapped = broken ? null : mapRow(value, mappings);
        const unusable = broken ?? mapped!.unusable;
        const encoding = unusable?.reason === 'encoding' ? foreignEncoding(stream.source) : null;
        if (encoding) throw wrongEncoding(stream.name, encoding);
        if (!value) throw unusableRow(place, unusable!);
        yield { index: index++, place, file: stream.name, value, row: mapped!.row, unusable };
      }
  }

  return {
    format: detected.format,
    splits: new Set(streams.map(({ split }) => split)),
    sources: (split) => of(split).map(({ source }) => source),
    records: read,
    async *rows(split) {
      for await (const { place, row, unusable } of read(split)) {
        if (row === null) throw unusableRow(place, unusable!);
        yield row;
      }
    },
  };
}

function unusableRow(place: string, unusable: Unusable): StudioError {
  return new StudioError(
    'dataset_invalid',
    `${place} ${unusableText(unusable)}.`,
    'Correct the row, or take it out of the file; or import the file as a dataset, which sets it aside.',
  );
}

/** Hash of what is scored: of a file its bytes, of a folder those of the files of a part. */
export async function hashOfFiles(
  path: string,
  records: Pick<FileRecords, 'sources'>,
  split: Split | undefined,
): Promise<string> {
  const hash = createHash('sha256');
  if (statSync(path).isDirectory())
    for (const source of records.sources(split)) {
      hash.update(`${source.name}\n`);
      for await (const bytes of source.open()) hash.update(bytes);
    }
  else await pipeline(createReadStream(path), hash, { end: false });
  return hash.digest('hex');
}
