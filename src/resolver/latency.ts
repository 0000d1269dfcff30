// How long a server takes to answer: counts by fixed steps for a histogram, and a smoothed value to compare servers by.

/** Upper bounds in ms; what took longer is counted after the last. */
export const LATENCY_STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000] as const;

export type Latency = {
  /** an answer came after so many ms */
  add(ms: number): void;
  /** no answer yet after so many ms, and nobody waits any longer: it says something only of a server that was quicker before */
  atLeast(ms: number): void;
  /** ms; 0 before the first answer */
  smoothed(): number;
  samples(): number;
  /** ms of all answers together */
  sum(): number;
  /** answers by step, not added up; the last are those beyond every step */
  counts(): number[];
};

const WEIGHT = 1 / 8;

export function createLatency(): Latency {
  const counts = new Float64Array(LATENCY_STEPS.length + 1);
  let smoothed = 0;
  let samples = 0;
  let sum = 0;
  const mix = (ms: number): void => {
    smoothed = samples++ === 0 ? ms : smoothed + (ms - smoothed) * WEIGHT;
  };
  return {
    add(ms) {
      let step = 0;
      while (step < LATENCY_STEPS.length && ms > (LATENCY_STEPS[step] as number)) step++;
      counts[step] = (counts[step] as number) + 1;
      sum += ms;
      mix(ms);
    },
    atLeast(ms) {
      if (ms > smoothed) mix(ms);
    },
    smoothed: () => smoothed,
    samples: () => samples,
    sum: () => sum,
    counts: () => [...counts],
  };
}
