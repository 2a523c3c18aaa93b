// In the place of k6's module `k6`.

import { world } from './world.js';

export function check(value, tests) {
  const told = Object.fromEntries(Object.entries(tests).map(([name, test]) => [name, Boolean(test(value))]));
  world.checks.push(told);
  return Object.values(told).every((passed) => passed);
}
