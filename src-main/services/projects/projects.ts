import type { Project } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { ProcedureHandlers } from '../../contract/procedures.ts';
import { ensureProject, findProject, listProjects, markOpened, updateProject } from '../../store/projects.ts';
import type { ExportedProject, ImportedProject } from '../../contract/imports/archives.ts';
import { missing, type ServiceContext } from '../context.ts';
import { exportProject } from './exportProject.ts';
import { importProject } from './importProject.ts';

export type ProjectChanges = Partial<Pick<Project, 'title' | 'question' | 'benchmark' | 'maxTrainable'>>;

export interface ProjectService {
  list(): Project[];
  /** @throws StudioError name_taken */
  create(title: string): Project;
  /** @throws StudioError not_found, name_taken */
  update(reference: string, changes: { [K in keyof ProjectChanges]: ProjectChanges[K] | undefined }): Project;
  /** Writes a project into one file; null: the open one. @throws StudioError as `exportProject` does */
  exportTo(reference: string | null, file: string, signal: AbortSignal): Promise<ExportedProject>;
  /** Takes such a file in. @throws StudioError as `importProject` does */
  importFrom(file: string, into: string | null, signal: AbortSignal): Promise<ImportedProject>;
  /** Opens a project in place of the present one; jobs of that one go on. @throws StudioError not_found */
  open(reference: string): Project;
}

/** @param setOpen tells the composition root which project is open from now on */
export function createProjectService(
  context: ServiceContext,
  setOpen: (name: string) => void,
): ProjectService {
  const { database, emit } = context;

  const get = (reference: string): Project => {
    const project = findProject(database, reference);
    if (project) return project;
    throw missing(
      'project',
      reference,
      listProjects(database).map(({ title }) => title),
    );
  };
  const refuseTaken = (title: string, except: string | null): void => {
    const other = listProjects(database).find(
      (project) =>
        project.name !== except &&
        [project.name, project.title].some((name) => name.toLowerCase() === title.toLowerCase()),
    );
    if (other)
      throw new StudioError(
        'name_taken',
        `There is already a project "${other.title}".`,
        'Choose another name.',
      );
  };

  return {
    list: () => listProjects(database),
    create(title) {
      refuseTaken(title, null);
      ensureProject(context.writable(), title);
      emit({ type: 'projects.changed' });
      return get(title);
    },
    update(reference, changes) {
      const project = get(reference);
      const given = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
      const changed: Project = { ...project, ...given };
      if (changed.title !== project.title) refuseTaken(changed.title, project.name);
      updateProject(context.writable(), changed);
      emit({ type: 'projects.changed' });
      return get(project.name);
    },
    exportTo: (reference, file, signal) =>
      exportProject(context, reference === null ? context.project : get(reference).name, file, signal),
    async importFrom(file, into, signal) {
      const target = into === null ? null : get(into).name;
      const imported = await importProject(context, { file, into: target }, signal);
      for (const type of ['projects.changed', 'models.changed', 'mixes.changed', 'studies.changed'] as const)
        emit({ type });
      // Lists of the project that is open are those of another moment now: they are read anew.
      if (imported.project === context.project) emit({ type: 'project.opened', project: imported.project });
      return imported;
    },
    open(reference) {
      const { name } = get(reference);
      markOpened(context.writable(), name);
      setOpen(name);
      emit({ type: 'project.opened', project: name });
      return get(name);
    },
  };
}

/** What callers ask of them. */
export const projectHandlers = (projects: ProjectService) =>
  ({
    'projects.list': () => projects.list(),
    'projects.create': ({ title }) => projects.create(title),
    'projects.update': ({ project: reference, ...changes }) => projects.update(reference, changes),
    'projects.export': ({ project, file }, { signal }) => projects.exportTo(project ?? null, file, signal),
    'projects.import': ({ file, into }, { signal }) => projects.importFrom(file, into ?? null, signal),
    'projects.open': ({ project: reference }) => projects.open(reference),
  }) satisfies Partial<ProcedureHandlers>;
