// What every script of the lab shares: options by environment, arrivals at a constant rate, a
// traceparent on each request, and the numbers that run-lab reads from k6's JSON stream.
//
// Not here: which path is asked and which answer is right. That is the script's own.

import http from 'k6/http';
import exec from 'k6/execution';
import { check } from 'k6';
import { Counter, Rate } from 'k6/metrics';
import { context, tell } from './hoplab.js';

// Traces a second at most: what the probe's cost is certified for.
const MAX_TRACES_PER_SECOND = 200;

// Requests begun. k6 itself tells of a request only when it is over.
const started = new Counter('requests_started');
// Answers that are what was asked for. A request counts as answered only with this beside its times.
const answered = new Rate('requests_answered');
// Start of the scenario in milliseconds since 1970: the measured part begins WARMUP later.
const origin = new Counter('scenario_origin_ms');

// Durations and sizes are written as in plans and for flags (settings/src/span.rs and size.rs), and refused in the
// same words.
const NANOSECONDS = { ns: 1, us: 1e3, '\u00b5s': 1e3, '\u03bcs': 1e3, ms: 1e6, s: 1e9, m: 6e10, h: 3.6e12 };
const PART = /(\d+(?:\.\d+)?)[ \t\n\r\f]*(ns|us|\u00b5s|\u03bcs|ms|s|m|h)[ \t\n\r\f]*/g;
const DURATION = new RegExp(`^[ \\t\\n\\r\\f]*(?:0[ \\t\\n\\r\\f]*|(?:${PART.source})+)$`);
const DAY = 24 * NANOSECONDS.h;
const BYTES = { MiB: 2 ** 20, KiB: 2 ** 10, MB: 1e6, kB: 1e3, KB: 1e3, B: 1, '': 1 };
const SIZE = /^[ \t\n\r\f]*(\d+)[ \t\n\r\f]*(MiB|KiB|MB|kB|KB|B|)[ \t\n\r\f]*$/;
// The largest payload that the gateway makes.
const MAX_PAYLOAD = 16777216;

// Milliseconds of the duration that the environment says.
function milliseconds(name, fallback) {
  const text = __ENV[name] || fallback;
  if (!DURATION.test(text)) {
    throw new Error(
      `${name}: ${JSON.stringify(text)} is not a duration: write a number with a unit (ns, us, ms, s, m, h), ` +
        'such as 500ms, 2s or 1m30s',
    );
  }
  let ns = 0;
  for (const [, number, unit] of text.matchAll(PART)) {
    ns += Number(number) * NANOSECONDS[unit];
  }
  if (ns > DAY) {
    throw new Error(`${name}: ${JSON.stringify(text)} is above the limit of 24h`);
  }
  return Math.round(Math.round(ns) / 1e6);
}

// Bytes of the payload that the environment says.
export function payload(name, fallback) {
  const text = __ENV[name] || fallback;
  const size = SIZE.exec(text);
  if (size === null) {
    throw new Error(
      `${name}: ${JSON.stringify(text)} is not a size: write whole bytes (100) or use B, kB, MB (10^3, 10^6) ` +
        'or KiB, MiB (2^10, 2^20)',
    );
  }
  const bytes = Number(size[1]) * BYTES[size[2]];
  if (bytes >= 2 ** 64) {
    throw new Error(`${name}: ${JSON.stringify(text)} is more bytes than 64 bits can count`);
  }
  if (bytes > MAX_PAYLOAD) {
    throw new Error(`${name}: a payload of ${bytes} bytes is above the limit of ${MAX_PAYLOAD} bytes (16 MiB)`);
  }
  return bytes;
}

// A number from the environment, no less than `least`.
export function number(name, fallback, least) {
  const value = Number(__ENV[name] || fallback);
  if (!(value >= least)) {
    throw new Error(`${name}=${__ENV[name]}: not a number of at least ${least}`);
  }
  return value;
}

// Metrics that k6 itself makes outside of any iteration: their samples have no phase.
const WITHOUT_PHASE = ['dropped_iterations', 'vus', 'vus_max'];

// What holds if nobody names thresholds: a run of which nothing was answered as asked for ends with k6's exit code 99.
const SOMETHING_ANSWERED = '{"requests_answered": ["rate>0"]}';

// Thresholds in k6's own words. They are of the measured part, unless they name a phase: what the first requests on new
// connections take is not what is asked.
function thresholds(text) {
  let told;
  try {
    told = JSON.parse(text);
  } catch (error) {
    throw new Error(`THRESHOLDS=${text}: not JSON such as {"http_req_duration": ["p(99)<100"]}`);
  }
  return Object.fromEntries(Object.entries(told).map(([name, conditions]) => [ofMeasured(name), conditions]));
}

// `name` of the measured part: METRIC or METRIC{TAG:VALUE,...}.
function ofMeasured(name) {
  const [metric, tags] = name.split('{');
  if (WITHOUT_PHASE.includes(metric.trim())) {
    return name;
  }
  if (tags === undefined) {
    return `${name}{phase:measured}`;
  }
  const own = tags.replace(/\}\s*$/, '');
  return own.split(',').some((tag) => tag.trim().startsWith('phase:')) ? name : `${metric}{${own},phase:measured}`;
}

export const gateway = (__ENV.GATEWAY || 'http://127.0.0.1:8080').replace(/\/$/, '');
export const protocol = __ENV.PROTOCOL || 'rest';
if (protocol !== 'rest' && protocol !== 'grpc') {
  throw new Error(`PROTOCOL=${protocol}: not rest or grpc`);
}
const rate = number('RATE', 100, 0.001);
const warmup = milliseconds('WARMUP', '0s');
const duration = milliseconds('DURATION', '10s');
const timeout = `${milliseconds('TIMEOUT', '10s')}ms`;
const maxVUs = number('MAX_VUS', 200, 1);
// 0 traces nothing.
const sampleEvery = number('SAMPLE_EVERY', Math.ceil(rate / MAX_TRACES_PER_SECOND), 0);

// k6 would make one more arrival at the very end, or not, as its timer falls. It takes no less than a second.
const wholeMs = warmup + duration;
if (wholeMs < 1000) {
  throw new Error(`WARMUP + DURATION = ${wholeMs}ms: k6 takes no less than 1s`);
}

// One scenario for warm-up and measured part, so that the users who are measured have connections.
// A rate that is no whole number is offered per thousand seconds: k6 takes whole numbers only.
const whole = Number.isInteger(rate);
export const options = {
  scenarios: {
    load: {
      executor: 'constant-arrival-rate',
      rate: whole ? rate : Math.round(rate * 1000),
      timeUnit: whole ? '1s' : '1000s',
      duration: `${Math.max(1000, wholeMs - 1)}ms`,
      preAllocatedVUs: Math.min(maxVUs, number('PRE_ALLOCATED_VUS', 50, 1)),
      maxVUs,
      gracefulStop: timeout,
    },
  },
  // An empty list is no threshold: it makes k6 keep the metric of the measured part apart.
  thresholds: Object.assign(
    {
      'http_req_blocked{phase:measured}': [],
      'http_req_connecting{phase:measured}': [],
      'http_req_tls_handshaking{phase:measured}': [],
      'http_req_duration{phase:measured}': [],
    },
    thresholds(__ENV.THRESHOLDS || SOMETHING_ANSWERED),
  ),
  // Without url, proto and the like: each tag is in every line of the JSON stream, and in each series.
  systemTags: ['name', 'method', 'status', 'error', 'error_code', 'expected_response', 'scenario', 'check'],
  summaryTrendStats: ['avg', 'min', 'med', 'max', 'p(90)', 'p(95)', 'p(99)', 'count'],
};

// What this user has done: each has a copy of this module.
let told = false;
let warmed = false;

// Has a user's connection made before what it asks is measured: the warm-up has not needed all users, and some are made
// later. A service that has no time for that keeps nobody for long.
function warm() {
  const url = `${gateway}/healthz`;
  exec.vu.metrics.tags.phase = 'warmup';
  // Any answer will do, so none is a failure; and it is no request that was asked for.
  http.request('GET', url, null, { tags: { name: url }, timeout: '1s', redirects: 0, responseCallback: null });
}

// Makes one request and checks its answer: its status and every test of `tests`, of which those in
// `required` decide whether the request counts as answered. Of `more`: `headers` beside those of tracing, the
// `status` that is right, the `route` that its samples are named by, and which `template` of several it is.
export function ask(method, url, body, tests, required, more = {}) {
  const { headers = { 'Content-Type': 'application/json' }, status = 200, route = url.split('?')[0] } = more;
  const measured = Date.now() - exec.scenario.startTime >= warmup;
  const sampled = measured && sampleEvery > 0 && exec.scenario.iterationInTest % sampleEvery === 0;
  const one = context(sampled, `${method} ${route.slice(gateway.length)}`);
  exec.vu.metrics.metadata.trace_id = one.trace;
  exec.vu.metrics.metadata.span_id = one.span;
  exec.vu.metrics.metadata.sampled = sampled ? '1' : '0';
  if (more.template !== undefined) {
    exec.vu.metrics.metadata.template = `${more.template}`;
  }
  if (measured && warmup > 0 && !warmed) {
    warm();
  }
  warmed = true;
  exec.vu.metrics.tags.phase = measured ? 'measured' : 'warmup';
  if (!told) {
    told = true;
    origin.add(exec.scenario.startTime);
  }
  started.add(1);
  const reply = http.request(method, url, body, {
    headers: Object.assign({}, headers, one.headers),
    tags: { name: route },
    timeout,
  });
  tell(one, sampleEvery, method, url, `${method} ${route.slice(gateway.length)}`, reply);
  const right = `status is ${status}`;
  const all = Object.assign({ [right]: (r) => r.status === status }, tests);
  check(reply, all);
  answered.add([right, ...required].every((name) => all[name](reply)));
}

// The most important of a summary, in a line. What cannot be read is said to be so, and not taken for nothing.
function said(data) {
  const value = (name, of) => data.metrics?.[name]?.values?.[of];
  const requests = value('requests_started', 'count');
  if (requests === undefined) {
    return (
      "k6's summary has a shape that this script does not know: no data.metrics.requests_started.values.count, " +
      `but ${Object.keys(data).sort().join(', ')}; nothing can be said of the run here`
    );
  }
  const dropped = value('dropped_iterations', 'count') ?? 0;
  const right = value('requests_answered', 'passes') ?? 0;
  // The times of requests that failed are no latency of the gateway's.
  if (right === 0) {
    return `no latency: none of ${requests} requests was answered as asked for, ${dropped} dropped`;
  }
  const answers = `${right} of ${requests} requests answered as asked for, ${dropped} dropped`;
  const measured = value('http_req_duration{phase:measured}', 'count') ?? 0;
  if (measured === 0) {
    return `no latency: no request ended in the measured part; ${answers}`;
  }
  // k6's `blocked` runs until there is a connection, so `connecting` is in it.
  const mean = (name) => value(`${name}{phase:measured}`, 'avg') ?? 0;
  const latency = mean('http_req_blocked') + mean('http_req_duration');
  const wrong = value('requests_answered', 'fails') ? ', with those that failed' : '';
  return `mean latency ${latency.toFixed(3)} ms (blocked + duration) of ${measured} requests measured${wrong}; ${answers}`;
}

// Keeps the summary as JSON where SUMMARY names a file, and says the most important of it.
export function summary(data) {
  const out = { stdout: `${said(data)}\n` };
  if (__ENV.SUMMARY) {
    out[__ENV.SUMMARY] = JSON.stringify(data);
  }
  return out;
}
