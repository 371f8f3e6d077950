/** The pages of Data; each has an address of its own. What follows `/data/` otherwise is a dataset. */
export const dataTabs = [
  { key: 'library', label: 'Library', href: '/data' },
  { key: 'mix', label: 'Mix', href: '/data/mix' },
] as const;
