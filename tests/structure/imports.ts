import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import ts from 'typescript';
import { projectFolder } from '../support/paths.ts';

/** A file of the project and what it imports of the project, types included. */
export interface SourceFile {
  /** From the project's folder, with slashes. */
  path: string;
  lines: number;
  /** Paths of the files that it imports, starts as a thread or names by `new URL`. */
  imports: string[];
}

const code = /(?<!\.d)\.(ts|mts|mjs|svelte)$/;
const beside = /\/(fixtures|recorded|generator)\//;

function filesBelow(folder: string): string[] {
  return readdirSync(join(projectFolder, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return filesBelow(path);
    return entry.isFile() ? [path] : [];
  });
}

/** Every file below the given folders but data of tests. */
export function allFiles(...folders: string[]): string[] {
  return folders.flatMap(filesBelow).filter((path) => !beside.test(path));
}

/** Files that a test starts or loads by their path from the project's folder. */
const named = /\bsrc-(?:main|renderer)\/[\w./-]+\.(?:ts|mjs|svelte)\b/g;

/** Names in `import`, `export from`, `import()`, types of imports, and `new URL('./...')`. */
function importedNames(path: string, text: string): string[] {
  const script = path.endsWith('.svelte')
    ? [...text.matchAll(/<script[^>]*>([\s\S]*?)<\/script>/g)].map(([, inner]) => inner).join('\n')
    : text;
  return [
    ...ts.preProcessFile(script, true, true).importedFiles.map(({ fileName }) => fileName),
    ...[...script.matchAll(/new URL\(\s*'([^']+)'/g)].map(([, name]) => name!),
  ];
}

/** The code below the given folders with its imports, read as text. */
export function sourceFiles(...folders: string[]): SourceFile[] {
  const paths = allFiles(...folders).filter((path) => code.test(path));
  const known = new Set(paths);
  return paths.map((path) => {
    const text = readFileSync(join(projectFolder, path), 'utf8');
    const targets = importedNames(path, text)
      .filter((name) => name.startsWith('.'))
      .map((name) => posix.join(dirname(path), name.replace(/\?.*$/, '')))
      .concat(path.startsWith('tests/') ? (text.match(named) ?? []) : [])
      .filter((target) => known.has(target) && target !== path);
    return { path, lines: text.split('\n').length - 1, imports: [...new Set(targets)] };
  });
}

/** Groups of files that import each other, directly or by way of others (Tarjan's strongly connected components). */
export function circles(files: readonly SourceFile[]): string[][] {
  const importsOf = new Map(files.map(({ path, imports }) => [path, imports]));
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const open: string[] = [];
  const found: string[][] = [];
  const visit = (path: string) => {
    order.set(path, order.size);
    lowest.set(path, order.get(path)!);
    open.push(path);
    for (const target of importsOf.get(path) ?? []) {
      if (!order.has(target)) visit(target);
      if (open.includes(target)) lowest.set(path, Math.min(lowest.get(path)!, lowest.get(target)!));
    }
    if (lowest.get(path) !== order.get(path)) return;
    const circle = open.splice(open.indexOf(path));
    if (circle.length > 1) found.push(circle.sort());
  };
  for (const { path } of files) if (!order.has(path)) visit(path);
  return found;
}
