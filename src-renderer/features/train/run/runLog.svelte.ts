import type { LogLevel, LogLine } from '../../../../src-main/contract/runRecords.ts';
import { toPlainError, type PlainError } from '../../../../src-main/contract/errors.ts';
import type { StudioEvent } from '../../../../src-main/contract/events.ts';
import type { StudioClient } from '../../../rpc/client.ts';

/** Lines fetched at a time, and held at most: further ones push those at the other end out. */
const page = 400;
const most = 1200;
const levels: readonly LogLevel[] = ['info', 'warning', 'error'];

/** A window on a run's log: it follows the end, and goes back and forth page by page. */
export class RunLog {
  lines: readonly LogLine[] = $state.raw([]);
  /** Lines that have the text and the level, held or not. */
  total = $state(0);
  /** Whether the window reaches the newest line: then new ones are added as they come. */
  isAtEnd = $state(true);
  hasEarlier = $state(false);
  search = $state('');
  level: LogLevel = $state('info');
  error: PlainError | null = $state.raw(null);
  isLoaded = $state(false);
  readonly #client: StudioClient;
  readonly #run: string;
  #ticket = 0;

  constructor(client: StudioClient, run: string) {
    this.#client = client;
    this.#run = run;
  }

  /** The newest lines. */
  async toEnd(): Promise<void> {
    await this.#fetch({}, (lines) => {
      this.lines = lines;
      this.isAtEnd = true;
      this.hasEarlier = this.total > lines.length;
    });
  }

  async earlier(): Promise<void> {
    const first = this.lines[0];
    if (!first) return;
    await this.#fetch({ before: first.id }, (lines) => {
      const all = [...lines, ...this.lines];
      this.lines = all.slice(0, most);
      this.isAtEnd &&= all.length <= most;
      this.hasEarlier = lines.length === page;
    });
  }

  async later(): Promise<void> {
    const last = this.lines.at(-1);
    if (!last) return;
    await this.#fetch({ after: last.id }, (lines) => {
      const all = [...this.lines, ...lines];
      this.lines = all.slice(-most);
      this.hasEarlier ||= all.length > most;
      this.isAtEnd = lines.length < page;
    });
  }

  /** All lines that have the text and the level, one behind the other. @throws StudioError */
  async text(): Promise<string> {
    const parts: string[] = [];
    for (let after = 0; ;) {
      const { lines } = await this.#ask({ after, limit: 5000 });
      for (const line of lines) parts.push(lineText(line));
      if (lines.length < 5000) return parts.map((line) => `${line}\n`).join('');
      after = lines.at(-1)!.id;
    }
  }

  apply(event: StudioEvent): void {
    if (event.type !== 'run.log' || event.runId !== this.#run || !this.isLoaded) return;
    const last = this.lines.at(-1)?.id ?? 0;
    const added = event.lines.filter((line) => line.id > last && this.#isWanted(line));
    if (added.length === 0) return;
    this.total += added.length;
    if (!this.isAtEnd) return;
    const all = [...this.lines, ...added];
    this.hasEarlier ||= all.length > most;
    this.lines = all.slice(-most);
  }

  #isWanted({ line, level }: LogLine): boolean {
    const isGrave = levels.indexOf(level) >= levels.indexOf(this.level);
    return isGrave && line.toLowerCase().includes(this.search.toLowerCase());
  }

  #ask(place: { after?: number; before?: number; limit?: number }) {
    const { search, level } = this;
    return this.#client.call('runs.logs', { run: this.#run, limit: page, search, level, ...place });
  }

  /** What was asked for before is not shown any more. */
  async #fetch(place: { after?: number; before?: number }, show: (lines: LogLine[]) => void): Promise<void> {
    const ticket = ++this.#ticket;
    try {
      const { lines, total } = await this.#ask(place);
      if (ticket !== this.#ticket) return;
      this.total = total;
      show(lines);
      this.isLoaded = true;
      this.error = null;
    } catch (thrown) {
      if (ticket === this.#ticket) this.error = toPlainError(thrown);
    }
  }
}

/** A line as it is copied and saved. */
export function lineText({ time, level, line }: LogLine): string {
  return `${time ?? '-'} ${level} ${line}`;
}
