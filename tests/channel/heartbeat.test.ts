import { expect, it } from 'vitest';
import { beatMs, createHeartbeat, silentAfterBeats } from '../../src-main/channel/heartbeat.ts';

/** Beats `count` times on time. @returns for how many beats an answer is owed */
function run(heartbeat: ReturnType<typeof createHeartbeat>, from: number, count: number): number {
  let owed = 0;
  for (let i = 0; i < count; i++) owed = heartbeat.beat(from + i * beatMs).owed;
  return owed;
}

it('owes nothing while answers come, and asks again after each', () => {
  const heartbeat = createHeartbeat();
  for (let i = 0; i < 20; i++) {
    expect(heartbeat.beat(i * beatMs)).toEqual({ asks: true, owed: 0 });
    heartbeat.heard();
  }
});

it('counts beats since the last answer, and asks once', () => {
  const heartbeat = createHeartbeat();
  expect(heartbeat.beat(0)).toEqual({ asks: true, owed: 0 });
  expect(heartbeat.beat(beatMs)).toEqual({ asks: false, owed: 1 });
  expect(run(heartbeat, 2 * beatMs, silentAfterBeats - 1)).toBe(silentAfterBeats);
  heartbeat.heard();
  expect(heartbeat.beat(20 * beatMs)).toEqual({ asks: true, owed: 0 });
});

it('is not silent because the core was busy for a few seconds', () => {
  const heartbeat = createHeartbeat();
  expect(run(heartbeat, 0, silentAfterBeats)).toBeLessThan(silentAfterBeats);
});

it('blames nobody for the time in which this side slept', () => {
  const heartbeat = createHeartbeat();
  expect(run(heartbeat, 0, 3)).toBe(2);
  const hours = 8 * 3_600_000;
  expect(heartbeat.beat(hours).owed).toBe(2);
  heartbeat.heard();
  expect(run(heartbeat, hours + beatMs, 3)).toBe(2);
  // A page in the background beats once a minute: each time its answer has come long since, and is read afterwards.
  const lazy = createHeartbeat();
  for (let i = 0; i < 20; i++) expect(lazy.beat(i * 60_000).owed).toBe(0);
});
