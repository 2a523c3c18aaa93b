// How many users have an e-mail, asked over PROTOCOL: 80 % of the requests ask for a common one.
//
//   k6 run -e GATEWAY=http://127.0.0.1:8080 -e PROTOCOL=grpc -e RATE=100 -e DURATION=10s k6/users.js
//
// Also: USERS (rows of the table), WARMUP, TIMEOUT, MAX_VUS, PRE_ALLOCATED_VUS, SAMPLE_EVERY, THRESHOLDS, SUMMARY.

import { ask, gateway, number, options, protocol, summary } from './load.js';

const users = number('USERS', 1000000, 1);
const url = `${gateway}/${protocol}/users/count`;

// The table, as `pg-client seed` fills it: every fifth user has an e-mail of its own, the others take the common
// ones in turn.
const COMMON = 100;
const UNIQUE_EVERY = 5;
const unique = Math.floor(users / UNIQUE_EVERY);
const sharing = users - unique;

export { options };

function below(count) {
  return Math.floor(Math.random() * count);
}

// An e-mail, and how many users have it.
function question() {
  if (unique > 0 && Math.random() < 1 / UNIQUE_EVERY) {
    return [`user${UNIQUE_EVERY * (1 + below(unique))}@example.com`, 1];
  }
  const number = below(COMMON);
  const count = Math.floor(sharing / COMMON) + (number < sharing % COMMON ? 1 : 0);
  return [`common${number}@example.com`, count];
}

const counts = 'counts the users there are';

export default function () {
  const [email, count] = question();
  // Comparing text takes an answer that is no JSON for a wrong one.
  const answer = JSON.stringify({ protocol, email, count });
  const tests = { [counts]: (r) => r.body === answer };
  ask('GET', `${url}?email=${encodeURIComponent(email)}`, null, tests, [counts]);
}

export const handleSummary = summary;
