import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { adapterConfigSchema } from '../../../src-main/contract/training.ts';
import { createInbox } from '../../../src-main/engine/process/inbox.ts';
import { runEngineRequest } from '../../../src-main/engine/process/jobs.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { tinyLlama } from '../../support/paths.ts';
import { trainTiny } from '../../support/trainingRun.ts';

vi.mock('../../../src-main/engine/runtime/loadTensorflow.ts', { spy: true });

it('an export needs no TensorFlow: it copies files', async () => {
  const folder = temporaryFolder();
  const { result } = await trainTiny({
    folder,
    config: { adapter: { method: 'lora', rank: 2, alpha: 4 }, maxSteps: 1 },
  });
  vi.mocked(loadTensorflow).mockClear();
  const exported = await runEngineRequest(
    {
      kind: 'export',
      format: 'peft',
      modelFolder: tinyLlama,
      checkpoint: result.checkpoint!,
      baseName: 'organization/base',
      adapter: adapterConfigSchema.parse({ method: 'lora', rank: 2, alpha: 4 }),
      quantization: 'none',
      outFolder: join(folder, 'out'),
    },
    () => undefined,
    createInbox(),
  );
  expect(exported).toMatchObject({ files: expect.arrayContaining(['adapter_config.json']) as string[] });
  expect(loadTensorflow).not.toHaveBeenCalled();
});
