import { StudioError } from '../../contract/errors.ts';
import { targetModuleSchema, type TargetModule } from '../../contract/training.ts';
import { compilePathExpression, type ModulePattern } from '../../shape/modulePatterns.ts';

/** The options of adapter_config.json that say which modules are adapted. */
export interface PlacementOptions {
  target_modules: string | string[];
  exclude_modules?: string | string[] | null | undefined;
  modules_to_save?: string[] | null | undefined;
  layers_to_transform?: number | number[] | null | undefined;
}

/** Where an adapter is, as AdapterConfig has it. */
export interface Placement {
  targets: TargetModule[];
  /** Null: all. */
  layers: number[] | null;
  /** Null: all modules of targets and layers. */
  paths: string[] | null;
}

/** Path of a linear module of the decoder, at the beginning of a tensor's name. */
const linearPath = /^model\.layers\.(\d+)\.(?:self_attn|mlp)\.(\w+)(?=\.)/;

/** The paths of the linear modules that tensors belong to. @param names without PEFT's prefix */
export function adaptedPaths(names: Iterable<string>): string[] {
  const paths = new Set<string>();
  for (const name of names) {
    const [path, , module] = linearPath.exec(name) ?? [];
    if (path !== undefined && isTarget(module!)) paths.add(path);
  }
  return [...paths];
}

/**
 * Where an adapter is. Names of modules alone mean these modules in the named layers. Expressions, paths and parts of
 * paths are resolved with the modules that the file has tensors for: they do not say how many layers there are.
 * @throws StudioError adapter_invalid: a tensor outside of what the configuration names, which PEFT would not read
 */
export function placementOf(options: PlacementOptions, paths: readonly string[]): Placement {
  const { target_modules: targets, exclude_modules: excluded, modules_to_save: saved } = options;
  const names = [targets].flat();
  const layers = layerList(options);
  if (
    Array.isArray(targets) &&
    names.every(isTarget) &&
    [excluded ?? []].flat().length + (saved ?? []).length === 0
  )
    return {
      targets: targetModuleSchema.options.filter((name) => names.includes(name)),
      layers,
      paths: null,
    };
  if (typeof targets === 'string' && layers !== null)
    throw new StudioError(
      'adapter_invalid',
      'adapter_config.json has layers_to_transform beside an expression as target_modules: PEFT refuses that.',
      'Name the layers in the expression, or give target_modules as a list.',
    );
  const isAdapted = adaptsModule(options);
  const foreign = paths.find((path) => !isAdapted(path));
  if (foreign !== undefined)
    throw new StudioError(
      'adapter_invalid',
      `The adapter has tensors for ${foreign}, which its target_modules do not name: PEFT does not read them.`,
      'Correct target_modules in adapter_config.json, or take the tensors out of the file.',
    );
  if (paths.length === 0)
    throw new StudioError(
      'adapter_invalid',
      `The adapter has no tensors for a module that its target_modules name (${names.join(', ').slice(0, 100)}).`,
      'Copy the adapter’s files from where it was saved, or save it once more with PEFT, whole.',
    );
  const parts = paths.map((path) => linearPath.exec(`${path}.`)!);
  const grid = {
    targets: targetModuleSchema.options.filter((name) => parts.some((part) => part[2] === name)),
    layers: [...new Set(parts.map((part) => Number(part[1])))].sort((a, b) => a - b),
  };
  const isWhole = grid.targets.length * grid.layers.length === paths.length;
  return { ...grid, paths: isWhole ? null : [...paths] };
}

/** Whether PEFT adapts the module at a path (check_target_module_exists of its tuners_utils.py). */
export function adaptsModule(options: PlacementOptions): ModulePattern {
  const { target_modules: targets, exclude_modules: excluded, modules_to_save: saved } = options;
  const layers = layerList(options);
  const isExcluded =
    typeof excluded === 'string' && excluded !== '' ? expression(excluded, 'exclude_modules') : null;
  const isTargeted =
    typeof targets === 'string' && targets.toLowerCase() !== 'all-linear'
      ? expression(targets, 'target_modules')
      : null;
  return (path) => {
    if (isExcluded?.(path)) return false;
    if (Array.isArray(excluded) && excluded.some((name) => endsWith(path, name))) return false;
    if (saved?.some((name) => `.${path}.`.includes(`.${name}.`))) return false;
    if (typeof targets === 'string') return isTargeted?.(path) ?? true;
    if (targets.includes(path)) return true;
    const layer = Number(/\.(\d+)\./.exec(path)?.[1]);
    return targets.some((name) => endsWith(path, name)) && (layers === null || layers.includes(layer));
  };
}

/** One layer or a list; an empty list means all, as in PEFT. */
function layerList({ layers_to_transform: given }: PlacementOptions): number[] | null {
  const layers = [given ?? []].flat();
  return layers.length === 0 ? null : [...new Set(layers)].sort((a, b) => a - b);
}

function isTarget(name: string): name is TargetModule {
  return (targetModuleSchema.options as readonly string[]).includes(name);
}

function endsWith(path: string, name: string): boolean {
  return path === name || path.endsWith(`.${name}`);
}

function expression(text: string, key: string): ModulePattern {
  try {
    return compilePathExpression(text);
  } catch (error) {
    throw error instanceof StudioError
      ? new StudioError('model_unsupported', `${key}: ${error.message}`, error.remedy)
      : error;
  }
}
