import type { Dataset, Model, Project, Run } from '../../src-main/contract/entities.ts';
import type { Study } from '../../src-main/contract/studies.ts';

import { dataTabs, planTabs } from '../state/pageTabs.ts';
import { methodSigns } from '../ui/methods.ts';
import { fuzzyScore } from './fuzzy.ts';
import { places } from '../state/places.ts';

/** One line of the palette. */
export interface Command {
  /** Stays the same over reloads: recent ones are remembered by it. */
  id: string;
  group: 'Recent' | 'Actions' | 'Pages' | 'Runs' | 'Models' | 'Datasets' | 'Studies' | 'Projects';
  label: string;
  detail?: string;
  keys?: string;
  /** An address, or something to do. */
  run: string | (() => void | Promise<void>);
}

/** What there is in the studio. */
export interface Stock {
  runs: readonly Run[];
  models: readonly Model[];
  datasets: readonly Dataset[];
  projects: readonly Project[];
  studies: readonly Study[];
  openProject: string | null;
}

/** Lines for everything that has an address. */
export function stockCommands(stock: Stock, openProject: (name: string) => Promise<void>): Command[] {
  return [
    ...places.map(({ label, href, key }): Command => ({
      id: `page ${href}`,
      group: 'Pages',
      label,
      keys: `g ${key}`,
      run: href,
    })),
    ...[...planTabs, ...dataTabs]
      .filter(({ href }) => !places.some((place) => place.href === href))
      .map(({ label, href }): Command => ({
        id: `page ${href}`,
        group: 'Pages',
        label,
        detail: href.startsWith('/plan') ? 'Plan' : 'Data',
        run: href,
      })),
    ...stock.runs.map((run): Command => ({
      id: `run ${run.id}`,
      group: 'Runs',
      label: run.name,
      detail: `${methodSigns[run.config.adapter.method].label}, ${run.state}`,
      run: `/train/runs/${run.id}`,
    })),
    ...stock.models.map((model): Command => ({
      id: `model ${model.id}`,
      group: 'Models',
      label: model.name,
      detail: model.family,
      run: `/models/${model.id}`,
    })),
    ...stock.datasets.map((dataset): Command => ({
      id: `dataset ${dataset.id}`,
      group: 'Datasets',
      label: dataset.name,
      detail: dataset.format,
      run: `/data/${dataset.id}`,
    })),
    ...stock.studies.map((study): Command => ({
      id: `study ${study.id}`,
      group: 'Studies',
      label: study.name,
      detail: `${study.runs.length} runs`,
      run: `/plan/studies/${study.id}`,
    })),
    ...stock.projects
      .filter(({ name }) => name !== stock.openProject)
      .map((project): Command => ({
        id: `project ${project.name}`,
        group: 'Projects',
        label: `Open project ${project.title}`,
        detail: project.question,
        run: () => openProject(project.name),
      })),
  ];
}

/** With a query the best fits; without one what was used last, then the beginning of each group. */
const mostFound = 30;
const mostOfGroup = 6;

/** The lines to show, in their order. */
export function findCommands(
  commands: readonly Command[],
  query: string,
  recent: readonly string[],
): Command[] {
  const rank = (id: string) => {
    const at = recent.indexOf(id);
    return at < 0 ? 0 : 1 - at / recent.length;
  };
  if (query.trim() === '') {
    const used = recent
      .flatMap((id) => commands.filter((command) => command.id === id))
      .slice(0, mostOfGroup);
    const counts = new Map<string, number>();
    const others = commands.filter(({ id, group }) => {
      if (used.some((command) => command.id === id)) return false;
      const n = (counts.get(group) ?? 0) + 1;
      counts.set(group, n);
      return n <= (group === 'Actions' || group === 'Pages' ? Infinity : mostOfGroup);
    });
    return [...used.map((command): Command => ({ ...command, group: 'Recent' })), ...others];
  }
  return commands
    .flatMap((command) => {
      const label = fuzzyScore(query, command.label);
      const whole = fuzzyScore(query, `${command.label} ${command.detail ?? ''} ${command.group}`);
      // What stands in the label counts more than what stands beside it.
      const score = label === null ? whole : Math.max(label + 2, whole ?? 0);
      return score === null ? [] : [{ command, score: score + rank(command.id) }];
    })
    .sort((a, b) => b.score - a.score)
    .slice(0, mostFound)
    .map(({ command }) => command);
}
