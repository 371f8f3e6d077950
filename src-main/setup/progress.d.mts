export function createDownloadProgress(
  label: string,
  measure: () => number,
  totalBytes: number | null,
  now?: () => number,
): () => string | null;
export function folderBytes(...folders: string[]): number;
export function largestFileBytes(folder: string): number;
