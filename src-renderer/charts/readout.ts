/** All values at one place of a chart. */
export interface Readout {
  title: string;
  values: readonly { name: string; value: string }[];
}

/** A readout as ECharts' tooltip takes it; styled by Chart.svelte. */
export function readoutElement({ title, values }: Readout): HTMLElement {
  const box = document.createElement('div');
  box.className = 'chart-readout';
  const head = document.createElement('strong');
  head.textContent = title;
  const list = document.createElement('dl');
  for (const { name, value } of values) {
    const term = document.createElement('dt');
    term.textContent = name;
    const text = document.createElement('dd');
    text.textContent = value;
    list.append(term, text);
  }
  box.append(head, list);
  return box;
}
