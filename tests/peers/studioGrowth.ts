import { writeFileSync } from 'node:fs';
import * as echarts from 'echarts';
import type { BenchRequest } from '../../src-main/engine/benchProtocol.ts';
import { createEngineHost } from '../../src-main/engine/process/supervisor.ts';

/*
 * How the time of a training step and its memory grow with one size at a time: context, batch, layers, rank, and
 * clusters of ID-LoRA. Prints each measurement as a line and one JSON document last, and draws the picture.
 *
 * usage: node studioGrowth.ts '{"picture": "growth.svg", "steps": 5, "shape": {...}}'
 */
const { picture, steps, shape } = JSON.parse(process.argv[2]!) as Pick<BenchRequest, 'steps' | 'shape'> & {
  picture: string;
};

/** The shape that is given, with 1,024 tokens a step. */
const small: BenchRequest = {
  kind: 'bench',
  shape,
  method: 'lora',
  rank: 32,
  batch: 4,
  tokens: 256,
  precision: 'bf16',
  gradientCheckpointing: false,
  steps,
};

interface Series {
  name: string;
  /** What changes, and its values. */
  values: readonly number[];
  request(value: number): BenchRequest;
}

const methods = ['lora', 'idlora'] as const;
const names = { lora: 'LoRA', idlora: 'ID-LoRA' };
const panels: { title: string; series: Series[] }[] = [
  {
    title: 'context, 2,048 tokens',
    series: [
      {
        name: names.lora,
        values: [128, 256, 512, 1024, 2048],
        request: (tokens) => ({ ...small, tokens, batch: 2048 / tokens }),
      },
    ],
  },
  {
    title: 'batch of 256 tokens',
    series: [{ name: names.lora, values: [1, 2, 4, 8], request: (batch) => ({ ...small, batch }) }],
  },
  {
    title: 'layers',
    series: [
      {
        name: names.lora,
        values: [2, 4, 8, 16],
        request: (layers) => ({ ...small, shape: { ...small.shape, layers } }),
      },
    ],
  },
  {
    title: 'rank',
    series: methods.map((method) => ({
      name: names[method],
      // Keys and values have 256 rows: four clusters of 64 at most.
      values: method === 'lora' ? [8, 16, 32, 64, 128] : [8, 16, 32, 64],
      request: (rank: number) => ({ ...small, method, rank }),
    })),
  },
  {
    title: 'clusters k, rank 32',
    series: [
      {
        name: names.idlora,
        values: [1, 2, 4, 8],
        request: (clusters) => ({ ...small, method: 'idlora', clusters }),
      },
    ],
  },
];

interface Measured {
  value: number;
  secondsPerStep: number;
  peakMemoryBytes: number;
}

/** Engines of their own, one at a time: peaks are those of their processes. Other work can only make a step longer. */
async function measure(request: BenchRequest): Promise<Omit<Measured, 'value'>> {
  const host = createEngineHost();
  try {
    const { secondsPerStep, peakMemoryBytes } = await host.start(request).result;
    return { secondsPerStep: secondsPerStep.minimum, peakMemoryBytes };
  } finally {
    host.close();
  }
}

const known = new Map<string, Omit<Measured, 'value'>>();
const measured: { title: string; series: { name: string; points: Measured[] }[] }[] = [];
for (const { title, series } of panels) {
  const lines = [];
  for (const { name, values, request } of series) {
    const points: Measured[] = [];
    for (const value of values) {
      const asked = request(value);
      const key = JSON.stringify(asked);
      const found = known.get(key) ?? (await measure(asked));
      known.set(key, found);
      points.push({ value, ...found });
      console.log(
        `${title.padEnd(32)} ${name.padEnd(8)} ${String(value).padStart(5)}: ` +
          `${found.secondsPerStep.toFixed(3)} s a step, ${(found.peakMemoryBytes / 1e9).toFixed(2)} GB`,
      );
    }
    lines.push({ name, points });
  }
  measured.push({ title, series: lines });
}
writeFileSync(picture, draw());
console.log(JSON.stringify({ shape: small.shape, steps, panels: measured }));

/** A row of seconds above a row of memory, a column for each size. */
function draw(): string {
  const [width, height, left, top] = [230, 200, 46, 46];
  const colors: Readonly<Record<string, string>> = { LoRA: '#0072b2', 'ID-LoRA': '#d55e00' };
  const chart = echarts.init(null, null, {
    renderer: 'svg',
    ssr: true,
    width: width * measured.length,
    height: 2 * height,
  });
  const cells = measured.flatMap((panel, column) =>
    (['secondsPerStep', 'peakMemoryBytes'] as const).map((key, row) => ({ panel, column, key, row })),
  );
  chart.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    legend: { data: Object.keys(colors), top: 0 },
    title: cells.map(({ panel, column, key, row }) => ({
      text: `${key === 'secondsPerStep' ? 's a step' : 'peak, GB'} by ${panel.title}`,
      left: column * width + 8,
      top: row * height + 22,
      textStyle: { fontSize: 11, fontWeight: 'bold' },
    })),
    grid: cells.map(({ column, row }) => ({
      left: column * width + left,
      top: row * height + top,
      width: width - left - 16,
      height: height - top - 28,
    })),
    xAxis: cells.map((_, gridIndex) => ({ type: 'log', logBase: 2, gridIndex })),
    yAxis: cells.map((_, gridIndex) => ({ type: 'value', gridIndex, min: 0 })),
    series: cells.flatMap(({ panel, key }, at) =>
      panel.series.map(({ name, points }) => ({
        type: 'line',
        name,
        xAxisIndex: at,
        yAxisIndex: at,
        color: colors[name],
        data: points.map((point) => [point.value, key === 'secondsPerStep' ? point[key] : point[key] / 1e9]),
      })),
    ),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}
