/** The pages of Plan; each has an address of its own. */
export const planTabs = [
  { key: 'calculator', label: 'Calculator', href: '/plan' },
  { key: 'solver', label: 'Solver', href: '/plan/solver' },
  { key: 'studies', label: 'Studies', href: '/plan/studies' },
  { key: 'sample-size', label: 'Sample size', href: '/plan/sample-size' },
  { key: 'paper', label: 'Paper', href: '/plan/paper' },
] as const;

export type PlanTabKey = (typeof planTabs)[number]['key'];

/** The page that an address of Plan names; undefined where there is none. */
export function planTabOf(part: string | undefined): PlanTabKey | undefined {
  return planTabs.find(({ key, href }) => (part === undefined ? href === '/plan' : key === part))?.key;
}

/** The pages of Data; each has an address of its own. What follows `/data/` otherwise is a dataset. */
export const dataTabs = [
  { key: 'library', label: 'Library', href: '/data' },
  { key: 'mix', label: 'Mix', href: '/data/mix' },
] as const;

/** The pages of Evaluate; each has an address of its own. */
export const evaluateTabs = [
  { key: 'score', label: 'Score', href: '/evaluate' },
  { key: 'compare', label: 'Compare', href: '/evaluate/compare' },
  { key: 'benchmarks', label: 'Benchmarks', href: '/evaluate/benchmarks' },
  { key: 'items', label: 'Items', href: '/evaluate/items' },
  { key: 'blind', label: 'Blind preference', href: '/evaluate/blind' },
  { key: 'guards', label: 'Guards', href: '/evaluate/guards' },
  { key: 'queue', label: 'Queue', href: '/evaluate/queue' },
] as const;
