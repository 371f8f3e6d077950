import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** A line is due at the start, at every tenth of the way, and at the latest after this long. */
const longestSilenceMs = 15_000;

/** The rate is taken over about this long: long enough to be steady, short enough to show a stall. */
const rateWindowMs = 20_000;

/**
 * Tells how far a download is, in lines that are few enough to read.
 * @param {string} label what is downloaded
 * @param {() => number} measure bytes that are there
 * @param {number | null} totalBytes null: not known
 * @param {() => number} [now] milliseconds
 * @returns {() => string | null} to be called often; null: no line is due
 */
export function createDownloadProgress(label, measure, totalBytes, now = Date.now) {
  const samples = [{ at: now(), bytes: measure() }];
  let saidAt = -Infinity;
  let saidBytes = 0;
  return () => {
    const at = now();
    const bytes = measure();
    samples.push({ at, bytes });
    while (samples.length > 2 && at - samples[1].at >= rateWindowMs) samples.shift();
    const isStep = totalBytes !== null && bytes - saidBytes >= totalBytes / 10;
    if (!isStep && at - saidAt < longestSilenceMs) return null;
    saidAt = at;
    saidBytes = bytes;
    const from = samples[0];
    const bytesPerSecond = ((bytes - from.bytes) * 1000) / Math.max(1, at - from.at);
    return `${label}: ${amount(bytes, totalBytes)}${pace(bytes, totalBytes, bytesPerSecond)}`;
  };
}

function amount(bytes, totalBytes) {
  const megabytes = (value) => Math.round(value / 1e6);
  if (totalBytes === null) return `${megabytes(bytes)} MB`;
  // What is measured can exceed a total that is only roughly known; 100 % is for what is done.
  const percent = Math.min(99, Math.floor((100 * bytes) / totalBytes));
  return `${megabytes(bytes)} of ${megabytes(totalBytes)} MB (${percent} %)`;
}

function pace(bytes, totalBytes, bytesPerSecond) {
  if (bytesPerSecond < 1000) return ', waiting for data';
  const megabytes = bytesPerSecond / 1e6;
  const rate = `, ${megabytes < 10 ? megabytes.toPrecision(2) : Math.round(megabytes)} MB/s`;
  if (totalBytes === null || bytes >= totalBytes) return rate;
  const seconds = Math.ceil((totalBytes - bytes) / bytesPerSecond);
  return `${rate}, about ${seconds < 90 ? `${seconds} s` : `${Math.round(seconds / 60)} min`} left`;
}

/**
 * Bytes of all files under folders, which another process may be changing: what vanishes meanwhile counts as nothing.
 */
export function folderBytes(...folders) {
  let total = 0;
  for (const bytes of fileSizes(folders)) total += bytes;
  return total;
}

/**
 * Bytes of the largest file under a folder: of one download, which pip first keeps in one place and then copies to
 * another, so that for a while there are two of it.
 */
export function largestFileBytes(folder) {
  let largest = 0;
  for (const bytes of fileSizes([folder])) largest = Math.max(largest, bytes);
  return largest;
}

function* fileSizes(folders) {
  for (const folder of folders)
    for (const entry of attempt(() => readdirSync(folder, { withFileTypes: true })) ?? []) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) yield* fileSizes([path]);
      else if (entry.isFile()) yield attempt(() => statSync(path).size) ?? 0;
    }
}

function attempt(read) {
  try {
    return read();
  } catch {
    return null;
  }
}
