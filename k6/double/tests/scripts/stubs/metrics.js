// In the place of k6's module `k6/metrics`: keeps what is added, with the tags of that moment.

import { world } from './world.js';

class Metric {
  constructor(name) {
    this.name = name;
    world.metrics[name] = [];
  }

  add(value) {
    world.metrics[this.name].push({ value, ...world.tags });
  }
}

export class Counter extends Metric {}
export class Gauge extends Metric {}
export class Rate extends Metric {}
export class Trend extends Metric {}
