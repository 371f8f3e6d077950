interface Step {
  /** What could not be done: "The npm packages could not be installed". */
  what: string;
  /** Where it writes. */
  folder: string;
  /** Where it fetches from: "the npm registry". */
  source: string;
  /** Where else it could write: ", or ...". */
  elsewhere?: string;
  /** What to do once that is put right. */
  then?: string;
}
/** What is meant by a program's output, as an error with a way on; null: nothing that is known stands in it. */
export function obstacleIn(output: string, step: Step): (Error & { remedy: string }) | null;
/** An error of a system call of set-up itself, with a way on; another error as it is. */
export function explained(error: unknown): unknown;
/** Refuses a step that would fill the disk, before anything is fetched. @throws SetupError */
export function requireSpace(folder: string, bytes: number, what: string, elsewhere: string): void;
