import { join } from 'node:path';
import { models } from '../../../store/library.ts';
import type { HubModel, HubPreview, HubStatus } from '../../../contract/modelLibrary.ts';
import type { ProcedureHandlers } from '../../../contract/procedures.ts';
import type { ServiceContext } from '../../context.ts';
import { freeBytes } from '../../machine/disk.ts';
import { hubAccess, type HubAccess } from './hubRequest.ts';
import { findToken, keepToken } from './hubToken.ts';
import { planDownload, type Plan } from './preview.ts';
import { parseRepository, searchHub } from './repository.ts';

export interface HubService {
  /** Made anew each time: the environment may be wrong, which must not keep the studio from starting. */
  access(): HubAccess;
  status(): HubStatus;
  setToken(token: string | null): HubStatus;
  search(query: string, limit: number, signal: AbortSignal): Promise<HubModel[]>;
  plan(repository: string, revision: string | undefined, signal: AbortSignal): Promise<Plan>;
  preview(repository: string, revision: string | undefined, signal: AbortSignal): Promise<HubPreview>;
}

/** The Hub: asked only when somebody asks. */
export function createHubService({ paths, database }: ServiceContext): HubService {
  const access = () => hubAccess(() => findToken(paths.hubToken));
  const status = (): HubStatus => {
    const { endpoint, isOffline, token } = access();
    return { endpoint, isOffline, token: token()?.source ?? null };
  };
  const plan: HubService['plan'] = async (given, revision, signal) => {
    const named = parseRepository(given);
    const wanted = revision?.trim() || named.revision || 'main';
    return planDownload(access(), named.repository, wanted, join(paths.cache, 'hub'), signal);
  };
  return {
    access,
    status,
    setToken(token) {
      keepToken(paths.hubToken, token === null ? null : token.trim());
      return status();
    },
    search: (query, limit, signal) => searchHub(access(), query.trim(), limit, signal),
    plan,
    async preview(given, revision, signal) {
      const found = await plan(given, revision, signal);
      const same = models
        .list(database)
        .find(({ origin }) => origin?.repository === found.repository && origin.commit === found.commit);
      return {
        ...found,
        files: found.files.map(({ name, sizeBytes }) => ({ name, sizeBytes })),
        totalBytes: found.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
        modelId: same?.id ?? null,
        freeBytes: freeBytes(paths.models),
      };
    },
  };
}

/** What callers ask of them. */
export const hubHandlers = (hub: HubService) =>
  ({
    'hub.status': () => hub.status(),
    'hub.setToken': ({ token }) => hub.setToken(token),
    'hub.search': ({ query, limit }, { signal }) => hub.search(query, limit, signal),
    'hub.preview': ({ repository, revision }, { signal }) => hub.preview(repository, revision, signal),
  }) satisfies Partial<ProcedureHandlers>;
