// In the place of k6's module `k6/execution`.

import { world } from './world.js';

export default {
  get scenario() {
    const { startTime, iteration } = world;
    return { name: 'load', startTime, iterationInTest: iteration };
  },
  get instance() {
    return { currentTestRunDuration: performance.now() };
  },
  vu: { metrics: { tags: world.tags, metadata: world.metadata } },
};
