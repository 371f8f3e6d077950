/** What a dropped thing is to the studio, told by its name. */
export type Dropped = { kind: 'model'; path: string } | { kind: 'dataset'; path: string };

/** Files that lie in a model's folder and are no dataset. */
const modelFile =
  /\.safetensors$|^(config|generation_config|tokenizer|tokenizer_config)\.json$|\.safetensors\.index\.json$/i;
/** Models as one file: GGUF, and forms that the studio does not read, of which the error says so. */
const otherModel = /\.(gguf|bin|pt|pth|onnx)$/i;

/**
 * @param path where it lies, with the separators of its system
 * @param folderKind what a folder is taken for
 */
export function classify(path: string, isFolder: boolean, folderKind: Dropped['kind'] = 'model'): Dropped {
  const cut = Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\'));
  const name = path.slice(cut + 1);
  if (isFolder) return { kind: folderKind, path };
  if (otherModel.test(name)) return { kind: 'model', path };
  if (modelFile.test(name)) return { kind: 'model', path: cut > 0 ? path.slice(0, cut) : path };
  return { kind: 'dataset', path };
}
