// A script as anybody has one: who looks at small pages, who looks at large ones, and a page that is not as large as it
// says. Of the lab in it: one import, and what each request is to carry.

import { check } from 'k6';
import { http } from './hoplab.js';

const arrivals = (exec, startTime, rate, duration) => ({
  executor: 'constant-arrival-rate',
  exec,
  rate,
  timeUnit: '1s',
  duration,
  startTime,
  preAllocatedVUs: 20,
  maxVUs: 40,
});

export const options = {
  scenarios: {
    small: arrivals('small', '0s', 20, '3s'),
    lying: arrivals('lying', '4s', 10, '3s'),
    large: arrivals('large', '8s', 40, '4s'),
  },
  thresholds: {
    checks: ['rate>0.99'],
    'http_req_duration{scenario:small}': ['p(95)<20000'],
    'http_req_duration{scenario:large}': ['p(95)<100000'],
  },
};

// The edge asks for a page, the service behind it is sent the page and sends it back.
function page(path, name, size) {
  const carries = [{ request: 0, reply: size }, { request: size, reply: size, envelope: 20 }];
  const reply = http.get(`${__ENV.TARGET}${path}?size=${size}`, { tags: { name }, carries });
  check(reply, { 'is a page': (r) => r.status === 200 && r.json('payload') !== undefined });
}

export const small = () => page('/page', 'page', 1000);
export const large = () => page('/page', 'page', 1000000);
export const lying = () => page('/wrong', 'wrong page', 1000);
