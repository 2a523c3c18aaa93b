// How many users have an e-mail, asked over PROTOCOL: 80 % of the requests ask for a common one.
//
//   k6 run -e GATEWAY=http://127.0.0.1:8080 -e PROTOCOL=grpc -e RATE=100 -e DURATION=10s k6/users.js
//
// Also: USERS (rows of the table), WARMUP, TIMEOUT, MAX_VUS, PRE_ALLOCATED_VUS, SAMPLE_EVERY, THRESHOLDS, SUMMARY.

import { ask, gateway, number, options, protocol, summary } from './load.js';

const users = number('USERS', 1000000, 1);
const url = `${gateway}/${protocol}/users/count`;

const counts = 'counts users';
const tests = {
  [counts]: (r) => r.status === 200 && Number.isInteger(r.json('count')),
};

export { options };

function below(count) {
  return Math.floor(Math.random() * count);
}

export default function () {
  const name = Math.random() < 0.8 ? `common${below(100)}` : `user${below(users)}`;
  ask('GET', `${url}?email=${encodeURIComponent(`${name}@example.com`)}`, null, tests, [counts]);
}

export const handleSummary = summary;
