import type { Dataset, Model, Run } from '../../../src-main/contract/entities.ts';
import type { Evaluation } from '../../../src-main/contract/results.ts';

export interface NextStep {
  /** What it is to what happens now. */
  position: string;
  title: string;
  text: string;
  action: string;
  href: string;
}

/** What a person should do next, from what there is: model, data, one run of each method, comparison. */
export function nextStep(state: {
  models: readonly Model[];
  datasets: readonly Dataset[];
  runs: readonly Run[];
  evaluations: readonly Evaluation[];
}): NextStep {
  const usable = state.models.filter(({ unusable }) => !unusable);
  // One that was stopped and saved can be compared as well as one that went to its end.
  const trained = state.runs.filter(
    (run) => run.state === 'done' || (run.state === 'stopped' && run.step > 0),
  );
  const active = state.runs.filter((run) => run.state === 'running');
  if (usable.length === 0)
    return {
      position: 'Next',
      title: 'Add a base model',
      text: 'A Hugging Face folder on this machine: config.json, safetensors weights and tokenizer.json. Nothing is uploaded.',
      action: 'Add a model',
      href: '/models',
    };
  if (state.datasets.length === 0)
    return {
      position: 'Next',
      title: 'Add a dataset',
      text: 'A JSON or JSONL file of prompts and answers: GSM8K, Alpaca, chat and plain text are recognized.',
      action: 'Add a dataset',
      href: '/data',
    };
  if (active.length > 1)
    return {
      position: 'Training',
      title: `${active.length} runs are training`,
      text: 'Each has a card of its own. They go on when you leave this page.',
      action: 'Watch them',
      href: '/train/queue',
    };
  if (active[0])
    return {
      position: 'Training',
      title: `${active[0].name} is training`,
      text: 'It goes on when you leave this page. Watch the held-out loss: it says when more steps no longer help.',
      action: 'Watch the run',
      href: `/train/runs/${active[0].id}`,
    };
  if (trained.length === 0)
    return {
      position: 'Next',
      title: 'Train a first adapter',
      text: 'LoRA, ID-LoRA and four more methods. The form shows the trainable parameters before anything starts.',
      action: 'Configure a run',
      href: '/train',
    };
  const compared = new Set(state.evaluations.map(({ runId }) => runId).filter(Boolean));
  const [newest, other] = trained;
  if (!other)
    return {
      position: 'Next',
      title: 'Train a second run to compare with',
      text: `${newest!.name} is trained. The other method with as many parameters, on the same data and seed, makes a fair comparison.`,
      action: 'Configure it',
      href: `/train?after=${newest!.id}`,
    };
  if (!compared.has(newest!.id) || !compared.has(other.id))
    return {
      position: 'Next',
      title: 'Is the difference real?',
      text: `${other.name} and ${newest!.name} are trained. Compare them on the rows that both held out.`,
      action: 'Compare them',
      href: `/evaluate/compare?runs=${other.id},${newest!.id}`,
    };
  return {
    position: 'Next',
    title: 'Try the next configuration',
    text: 'Your last runs are compared. Change one thing at a time, and keep the seed.',
    action: 'Configure a run',
    href: '/train',
  };
}
